"""Marks refreshes in the metrics store, so that graphs show what a service's edit has changed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing, suppress

from hashlab.documents.events import LabEvent
from hashlab.errors import HashlabError
from hashlab.metrics.exposition import series
from hashlab.phases.happened import read_events
from hashlab.phases.world import World
from hashlab.pipeline import Cancelled, CancelToken
from hashlab.protocols import MetricStore

# Between two looks at the record, which is a small file.
LOOK_SECONDS = 1.0
MARK = "hashlab_refresh"


class Annotations:
    """Stores a sample of ``hashlab_refresh`` at the moment of each change to a service, until it is
    cancelled. The same sample again changes nothing, so each start stores all that is known.
    """

    def __init__(
        self, world: World, store: MetricStore, *, log: Callable[[str], None], cancel: CancelToken
    ) -> None:
        self._world, self._store, self._log, self._cancel = world, store, log, cancel
        self._last = 0

    def run(self) -> None:
        """Store marks, again after each failure; it is the thread's target."""
        with suppress(Cancelled), closing(self._store):
            while True:
                try:
                    self.store_new()
                except HashlabError as error:
                    self._log(f"marks of refreshes: {error.what}")
                self._cancel.wait(LOOK_SECONDS)

    def store_new(self) -> None:
        """Store the changes since the last time. Raises StoreError, LaptopError."""
        events = read_events(self._world.state, after=self._last)
        if lines := [_line(event) for _, event in events if event.event == "changed"]:
            self._store.insert("".join(f"{line}\n" for line in lines))
        self._last = events[-1][0] if events else self._last


def _line(event: LabEvent) -> str:
    labels = {
        name: value
        for name in ("machine", "service", "build")
        if (value := getattr(event, name)) is not None
    }
    return f"{series(MARK, labels)} 1 {round(event.time * 1000)}"
