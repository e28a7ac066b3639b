"""The record of what happened to the lab. It outlives machines, and the lab itself."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from hashlab.documents import to_json, unix_time
from hashlab.documents.events import EVENT_KINDS, LabEvent
from hashlab.documents.run import RunRecord
from hashlab.pipeline import Row
from hashlab.state.files import StateFolder, append, explained, read_text, write_text
from hashlab.state.private import open_file

# The record is cut to its newer half when it has more lines than this.
MOST_EVENTS = 10_000
# Commands that are recorded only if they changed something, or failed: they are run all the time.
OFTEN = ("refresh", "verify", "seed")
# The rows of a change to a container, and of the wait until it is healthy.
CONTAINER, HEALTHY = "container", "healthy"

Numbered = tuple[int, LabEvent]


def record_events(state: StateFolder, events: Sequence[LabEvent]) -> None:
    """Append events to the record, each with the next number. Raises LaptopError."""
    if events:
        with recording(state):
            append_events(state, events)


def append_events(state: StateFolder, events: Sequence[LabEvent]) -> None:
    """Do what ``record_events`` does, for a caller that is ``recording`` already."""
    if not events:
        return
    lines = (read_text(state.events) or "").splitlines()
    number = max((known for known, _ in map(_parsed, lines[-1:]) if known), default=len(lines))
    added = [
        json.dumps({"number": number + place, **to_json(event)})
        for place, event in enumerate(events, start=1)
    ]
    if len(lines) + len(added) > MOST_EVENTS:
        kept = (lines + added)[-MOST_EVENTS // 2 :]
        write_text(state.events, "".join(f"{line}\n" for line in kept))
    else:
        append(state.events, "".join(f"{line}\n" for line in added))


def read_events(state: StateFolder, *, after: int = 0) -> list[Numbered]:
    """Return the recorded events with a number above ``after``, the oldest first. Raises
    LaptopError.
    """
    found: list[Numbered] = []
    for line in (read_text(state.events) or "").splitlines():
        number, event = _parsed(line)
        if event is not None and number > after:
            found.append((number, event))
    return found


def last_change(state: StateFolder) -> float | None:
    """Return when the last run began that changed containers, as Unix time; None without one."""
    changed = None
    for _, event in reversed(read_events(state)):
        if event.event == "changed":
            changed = event.time if changed is None else min(changed, event.time)
        elif event.event == "run" and changed is not None:
            break
    return changed


def events_of_run(record: RunRecord, builds: Mapping[str, str]) -> list[LabEvent]:
    """Return what a run did: each change to a service, when that was healthy, and the run itself.
    ``builds``: the build ids of its services, by name. Pure.
    """
    rows = [row for row in record.phases if row.service is not None and row.status == "ok"]
    changes = [_change(row, builds) for row in rows if row.name == CONTAINER]
    changed = {(change.machine, change.service) for change in changes}
    changes += [
        replace(
            _change(row, builds),
            event="healthy",
            time=(row.started or 0.0) + row.seconds,
            text="",
        )
        for row in rows
        if row.name == HEALTHY and (row.machine, row.service) in changed
    ]
    if record.command in OFTEN and record.ok and not changes:
        return []
    services = ", ".join(dict.fromkeys(each.service or "" for each in changes))
    what = record.error.what.splitlines()[0] if record.error else services
    run = LabEvent(
        time=record.started + record.seconds,
        event="run",
        command=record.command,
        ok=record.ok,
        text=f"{record.seconds:.1f} s{': ' if what else ''}{what}",
    )
    return [*changes, run]


def _change(row: Row, builds: Mapping[str, str]) -> LabEvent:
    return LabEvent(
        time=row.started or 0.0,
        event="changed",
        machine=row.machine,
        service=row.service,
        build=builds.get(row.service or ""),
        text=row.detail,
    )


def _parsed(line: str) -> tuple[int, LabEvent | None]:
    """Return a line's number and event; None for a line that is damaged or of another version."""
    try:
        value: dict[str, Any] = json.loads(line)
        number, time = int(value.pop("number")), unix_time(value.pop("time"))
        if time is None or value["event"] not in EVENT_KINDS:
            return number, None
        return number, LabEvent(time=time, **value)
    except (AttributeError, KeyError, TypeError, ValueError):
        return 0, None


@contextmanager
def recording(state: StateFolder) -> Iterator[None]:
    """Let one process at a time, and one thread of it, look at the lab's record and add to it.
    Raises LaptopError.
    """
    lock = state.events.with_suffix(".lock")
    with explained(lock):
        descriptor = open_file(str(lock), os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
