"""Marks what happened to the lab among its log lines: refreshes, their builds, lost machines."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing, suppress

from hashlab.documents.events import LabEvent
from hashlab.errors import HashlabError
from hashlab.logs.feeding import AGAIN_SECONDS
from hashlab.logs.stored import quoted
from hashlab.phases.happened import read_events
from hashlab.phases.world import World
from hashlab.pipeline import Cancelled, CancelToken
from hashlab.protocols import LogStore
from hashlab.report import event_text

# Between two looks at the record, which is a small file.
LOOK_SECONDS = 1.0


class Marks:
    """Stores each event of the record once, until it is cancelled."""

    def __init__(
        self, world: World, store: LogStore, *, log: Callable[[str], None], cancel: CancelToken
    ) -> None:
        self._world, self._store, self._log, self._cancel = world, store, log, cancel

    def run(self) -> None:
        """Store events, again after each failure; it is the thread's target."""
        with suppress(Cancelled), closing(self._store):
            while True:
                try:
                    self._follow()
                except HashlabError as error:
                    self._log(f"marks: {error.what}")
                self._cancel.wait(AGAIN_SECONDS)

    def _follow(self) -> None:
        """Store what is not stored, then what comes. Raises StoreError, LaptopError."""
        self._store.flush()
        lab = quoted(self._world.lab.name)
        stored = {row["mark"] for row in self._store.query(f"{{lab={lab}}} mark:* | fields mark")}
        last = 0
        while True:
            events = read_events(self._world.state, after=last)
            if rows := [row for row in map(self._row, events) if row["mark"] not in stored]:
                self._store.insert(rows)
            last = events[-1][0] if events else last
            self._cancel.wait(LOOK_SECONDS)

    def _row(self, numbered: tuple[int, LabEvent]) -> dict[str, object]:
        number, event = numbered
        row: dict[str, object] = {
            "_time": round(event.time * 1e6) * 1000,
            "_msg": event_text(event),
            "lab": self._world.lab.name,
            "machine": event.machine,
            "service": event.service,
            "running_build": event.build,
            "event": event.event,
            "command": event.command,
            # A record that was removed begins with the number 1 again.
            "mark": f"{number} {event.time:.3f}",
        }
        return {name: value for name, value in row.items() if value is not None}
