"""Calls a function at a steady pace from a thread of its own until it is stopped."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Ticker:
    """Calls from a daemon thread, which never keeps the process alive."""

    def __init__(self, interval: float, call: Callable[[], None]) -> None:
        self._interval = interval
        self._call = call
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="report", daemon=True)

    def start(self) -> None:
        """Start; the first call follows after one interval (seconds)."""
        self._thread.start()

    def stop(self) -> None:
        """Stop, and return when no call is running. May be called again."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(self._interval):
            self._call()
