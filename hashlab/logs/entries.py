"""Reads the lines that programs/read-journal.sh prints on a machine."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from hashlab.errors import LabError

# The fields of an entry that are read; journalctl adds cursor and times. The names of labels are
# those that Docker's driver makes of hashlab.service and hashlab.build.
FIELDS = (
    "MESSAGE",
    "PRIORITY",
    "HASHLAB_SERVICE",
    "HASHLAB_BUILD",
    "CONTAINER_NAME",
    "CONTAINER_PARTIAL_MESSAGE",
    "CONTAINER_PARTIAL_LAST",
    "_SYSTEMD_UNIT",
    "UNIT",
)
# A cursor names the entry's journal, and the entry's number there.
PLACE = re.compile(r"s=([0-9a-f]+);i=([0-9a-f]+)(?:;|$)")
BEGIN = b"#begin "
NO_CURSOR = "-"


@dataclass(frozen=True, slots=True)
class Begin:
    """The first line: whether the engine logs to the journal, the machine's clock in Unix seconds,
    cursor and Unix time of the last entry that existed then ("" and 0: none).
    """

    journald: bool
    clock: float
    last: str
    last_time: float


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a machine's journal.

    ``time``: Unix time. ``container``: its name, "" for a unit's own line. ``part``: the text goes
    on in the container's next entry, because the engine cuts lines at 16 KiB.
    """

    cursor: str
    time: float
    container: str
    service: str
    build: str
    unit: str
    priority: int | None
    text: str
    part: bool = False


def read(line: bytes) -> Begin | Entry:
    """Return what a line says. Raises LabError if a machine printed something else."""
    try:
        return _begin(line) if line.startswith(BEGIN) else _entry(json.loads(line))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        shown = line[:200].decode(errors="replace")
        raise LabError("the journal has a line that cannot be read", output=shown) from error


def place_of(cursor: str) -> tuple[str, int]:
    """Return the journal of an entry and its number there; the next entry has the next number.
    Raises LabError.
    """
    match = PLACE.match(cursor)
    if match is None:
        raise LabError("the journal has an entry without a number", output=cursor)
    return match[1], int(match[2], 16)


def _begin(line: bytes) -> Begin:
    _, driver, clock, last, time = line.decode().split()
    cursor = "" if last == NO_CURSOR else last
    return Begin(driver == "journald", float(clock), cursor, int(time) / 1e6)


def _entry(fields: dict[str, Any]) -> Entry:
    priority = _text(fields.get("PRIORITY"))
    unit = _text(fields.get("UNIT")) or _text(fields.get("_SYSTEMD_UNIT"))
    return Entry(
        cursor=fields["__CURSOR"],
        time=int(fields["__REALTIME_TIMESTAMP"]) / 1e6,
        container=_text(fields.get("CONTAINER_NAME")),
        service=_text(fields.get("HASHLAB_SERVICE")),
        build=_text(fields.get("HASHLAB_BUILD")),
        unit=unit.removesuffix(".service"),
        priority=int(priority) if priority.isdecimal() else None,
        text=_text(fields.get("MESSAGE")),
        part="CONTAINER_PARTIAL_MESSAGE" in fields
        and _text(fields.get("CONTAINER_PARTIAL_LAST")) != "true",
    )


def _text(value: object) -> str:
    """Return a field's text. journalctl prints a field that is not plain UTF-8 as a list of bytes,
    and one that an entry has several times as a list of them.
    """
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        return ""
    if all(isinstance(each, int) for each in value):
        return bytes(value).decode(errors="replace")
    return _text(value[0])
