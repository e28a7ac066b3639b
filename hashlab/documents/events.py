"""The document of `hashlab events`: one thing that happened to the lab."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from hashlab.pipeline import UNIX_TIME

EventKind = Literal[
    "run",
    "changed",
    "ended",
    "restarted",
    "unhealthy",
    "healthy",
    "away",
    "back",
    "firing",
    "resolved",
]
EVENT_KINDS: tuple[EventKind, ...] = get_args(EventKind)


@dataclass(frozen=True)
class LabEvent:
    """``run``: a command ended; ``changed``: it changed a container of a service; ``ended``,
    ``restarted``, ``unhealthy``, ``healthy``: a container did so by itself; ``away``, ``back``: a
    machine; ``firing``, ``resolved``: an alert, whose name begins ``text``. ``time``: Unix time, of
    what hashlab noticed later the time when it noticed, unless the machine knows better. ``build``:
    the start id of the container; ``ok``: how the run ended.
    """

    time: float = field(metadata=UNIX_TIME)
    event: EventKind
    machine: str | None = None
    service: str | None = None
    replica: int | None = None
    build: str | None = None
    command: str | None = None
    ok: bool | None = None
    text: str = ""
