"""The events of a lab, typed, and their JSON form; docs/reference/json.md describes each field.

Each run publishes its events, whichever process carries it out. The lab's background process sends
them to every reader (``hashlab.daemon.reader``) as lines of JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from types import NoneType
from typing import Any, Literal, cast

Json = dict[str, Any]
Change = Literal["begin", "update", "end"]


@dataclass(frozen=True)
class RunStarted:
    """A run took the lab's lock. ``pid``: the process that carries it out; ``client``: the process
    in which the command was typed. ``since``: ISO 8601 in UTC.
    """

    run: str
    command: str
    pid: int
    client: int
    since: str


@dataclass(frozen=True)
class RowChanged:
    """A row of a run began, advanced or ended. ``row``: its id within the run. ``status`` and
    ``seconds`` are set at its end. ``done`` of ``total`` ``unit``: the amount so far.
    """

    run: str
    row: str
    parent: str | None
    change: str
    name: str
    machine: str | None
    service: str | None
    detail: str = ""
    done: float = 0.0
    total: float | None = None
    unit: str = ""
    status: str | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class RunEnded:
    """A run released the lab's lock. ``record``: its run record; None if it ended without one,
    because of a bug or because its process was killed. ``notes``: what a person should know.
    """

    run: str
    command: str
    pid: int
    client: int
    record: Json | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ServiceChanged:
    """A run changed the container of a service. ``change``: the detail of its row."""

    run: str
    service: str
    machine: str | None
    change: str
    status: str


@dataclass(frozen=True)
class Lost:
    """The reader missed ``count`` events, because it was too slow; 0: the connection was
    interrupted, and the number is not known.
    """

    count: int


@dataclass(frozen=True)
class Restarting:
    """The background process ends, and another one is about to take its place."""

    reason: str


@dataclass(frozen=True)
class Ending:
    """The background process ends."""

    reason: str


Event = RunStarted | RowChanged | RunEnded | ServiceChanged | Lost | Restarting | Ending
Publish = Callable[[Event], None]

KINDS: Mapping[str, type[Event]] = {
    "run-started": RunStarted,
    "row": RowChanged,
    "run-ended": RunEnded,
    "service": ServiceChanged,
    "lost": Lost,
    "restarting": Restarting,
    "ending": Ending,
}
_NAMES = {kind: name for name, kind in KINDS.items()}
_TYPES: Mapping[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "float": (int, float),
    "str | None": (str, NoneType),
    "float | None": (int, float, NoneType),
    "Json | None": (dict, NoneType),
    "tuple[str, ...]": (list,),
}


def event_json(event: Event) -> Json:
    """Return the JSON object of an event; ``event`` names its kind."""
    return {"event": _NAMES[type(event)], **asdict(event)}


def event_of(value: object) -> Event | None:
    """Return the event that a JSON object describes; None for a kind that this version does not
    know. Raises ValueError for a value that is not an event.
    """
    if not isinstance(value, dict) or not isinstance(value.get("event"), str):
        raise ValueError("not an event")
    kind = KINDS.get(value["event"])
    if kind is None:
        return None
    given = {}
    for field in fields(kind):
        inner = value.get(field.name)
        if isinstance(inner, bool) or not isinstance(inner, _TYPES[str(field.type)]):
            raise ValueError(f"{value['event']}: wrong value of {field.name}")
        given[field.name] = tuple(map(str, inner)) if isinstance(inner, list) else inner
    return cast(Event, cast(Any, kind)(**given))
