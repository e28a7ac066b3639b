"""The document of `hashlab logs --json`: one line that a service or a machine's unit printed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from hashlab.pipeline import UNIX_TIME

Level = Literal["trace", "debug", "info", "warn", "error", "fatal"]
LEVELS: tuple[Level, ...] = get_args(Level)


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line, or several that belong together, such as a stack trace.

    ``time``: Unix time by the machine's clock. ``running_build``: the start id of the container
    that printed it. A unit's line has no service, replica and build; a service's has no unit.
    ``level``: None if the text does not show one.
    """

    time: float = field(metadata=UNIX_TIME)
    machine: str
    service: str | None
    replica: int | None
    running_build: str | None
    unit: str | None
    level: Level | None
    message: str
