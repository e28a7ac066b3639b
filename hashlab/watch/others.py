"""The runs of other commands on a lab that is watched."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime

from hashlab.daemon.reader import Outdated
from hashlab.run.events import Event, RunEnded


class OtherRuns:
    """Reads ``events`` in a thread; calls ``wake`` at the end of each run of another command."""

    def __init__(self, events: Iterable[Event], *, wake: Callable[[], None]) -> None:
        self._events = events
        self._wake = wake
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def lines(self) -> list[str]:
        """Return one line for each run that ended since the last call."""
        lines = []
        with suppress(queue.Empty):
            while True:
                lines.append(self._lines.get_nowait())
        return lines

    def _read(self) -> None:
        with suppress(Outdated):  # the next refresh notices it too
            for event in self._events:
                if isinstance(event, RunEnded) and event.client != os.getpid():
                    self._lines.put(line_of(event, datetime.now()))
                    self._wake()


def line_of(run: RunEnded, ended: datetime) -> str:
    """Return the line that reports the run of another command."""
    how = "ended without a record"
    if run.record is not None:
        error = run.record.get("error")
        seconds = f"{run.record.get('seconds', 0.0):.2f} s"
        how = f"failed after {seconds}: {error.get('what')}" if error else f"ok after {seconds}"
    return f"{ended:%H:%M:%S} another command ran: hashlab {run.command}, {how}"
