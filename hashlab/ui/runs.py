"""Follows the run that goes on, row by row, and reads the records of past ones for the page."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from hashlab.documents import to_json, unix_time
from hashlab.report.findings import placed_rows
from hashlab.report.runs import read_record
from hashlab.run.events import Event, Lost, RowChanged, RunEnded, RunStarted
from hashlab.state.files import StateFolder, names, read_json
from hashlab.ui.feed import Feed

# Past runs that the page lists.
SHOWN = 40
Json = dict[str, Any]


class RunFollower:
    """Takes the events of a lab's runs, and puts the run that goes on into the feed.

    ``now``: Unix time. A row's ``offset`` is when its begin arrived here: the record has the exact
    one. ``ended`` is called after each run.
    """

    def __init__(
        self, feed: Feed, *, ended: Callable[[], None], now: Callable[[], float] = time.time
    ) -> None:
        self._feed, self._ended, self._now = feed, ended, now
        self._run: Json | None = None
        self._rows: dict[str, Json] = {}

    def follow(self, events: Iterable[Event]) -> None:
        """Take events until there are no more."""
        for event in events:
            self.take(event)

    def take(self, event: Event) -> None:
        """Take one event."""
        if isinstance(event, RunStarted):
            self._rows = {}
            started = unix_time(event.since) or self._now()
            # The event names whole seconds only; a run that began this moment is timed here.
            started = started if self._now() - started > 2.0 else self._now()
            self._run = {"command": event.command, "pid": event.pid, "started": started}
        elif isinstance(event, RowChanged) and self._run is not None:
            self._row(event)
        elif isinstance(event, RunEnded) or (isinstance(event, Lost) and event.count == 0):
            self._run = None
            self._ended()
        else:
            return
        self._feed.put("run", self._shown())

    def _row(self, event: RowChanged) -> None:
        started = self._run["started"] if self._run else 0.0
        known = self._rows.setdefault(
            event.row,
            {
                "offset": max(0.0, self._now() - started),
                "depth": self._depth(event.parent),
                "seconds": None,
            },
        )
        known |= {
            "name": event.name,
            "machine": event.machine,
            "service": event.service,
            "detail": event.detail,
            "status": event.status or "running",
        }
        if event.seconds is not None:
            known["seconds"] = event.seconds

    def _depth(self, parent: str | None) -> int:
        return self._rows[parent]["depth"] + 1 if parent in self._rows else 0

    def _shown(self) -> Json | None:
        if self._run is None:
            return None
        return {**self._run, "phases": [dict(row) for row in self._rows.values()]}


def past_runs(state: StateFolder) -> list[Json]:
    """Return the newest runs without their rows, the newest first; broken records are left out."""
    found: list[Json] = []
    for name in sorted(names(state.runs), reverse=True):
        if name.endswith(".json") and len(found) < SHOWN and (run := _summary(state, name)):
            found.append(run)
    return found


def _summary(state: StateFolder, name: str) -> Json | None:
    try:
        record = read_record(read_json(state.runs / name))
    except ValueError:
        return None
    return {
        "name": name,
        "command": record.command,
        "started": record.started,
        "seconds": record.seconds,
        "ok": record.ok,
        "error": record.error.what if record.error else "",
    }


def past_run(state: StateFolder, name: str) -> Json | None:
    """Return one run with its rows; None if no such run is recorded. ``name`` comes from a page, so
    it is only compared.
    """
    if not name.endswith(".json") or name not in names(state.runs):
        return None
    try:
        record = read_record(read_json(state.runs / name))
    except ValueError:
        return None
    rows: list[Json] = to_json(placed_rows(record))
    return {**(_summary(state, name) or {}), "phases": rows}
