"""One alert that fires: a rule about the lab's metrics has found something for long enough."""

from __future__ import annotations

from dataclasses import dataclass, field

from hashlab.pipeline import UNIX_TIME


@dataclass(frozen=True)
class Alert:
    """``alert``: the name of its rule; ``since``: Unix time when it began to fire. What it is about
    is None where it is not of one machine, service or replica. ``text``: a sentence.
    """

    alert: str
    since: float = field(metadata=UNIX_TIME)
    machine: str | None
    service: str | None
    replica: int | None
    text: str
