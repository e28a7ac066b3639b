"""One flag for a whole run, and what is called when it is set."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

INTERRUPTED = 130
LEFT = "left at once; the next run ends what is still at work, and goes on from there\n"
SHOW_CURSOR = "\x1b[?25h"


class Cancelled(Exception):
    """Raised inside a step when the run was cancelled; never an error of its own."""


class CancelToken:
    """One flag for a whole run, with callbacks that stop what is blocking."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._callbacks: dict[int, Callable[[], None]] = {}
        self._next = 0

    @property
    def cancelled(self) -> bool:
        """Whether the run was cancelled."""
        return self._event.is_set()

    def cancel(self) -> None:
        """Cancel the run: wake every waiter and call every registered callback once."""
        with self._lock:
            self._event.set()
            callbacks = list(self._callbacks.values())
            self._callbacks.clear()
        for callback in callbacks:
            # What it would have stopped is gone already; the others must still be called.
            with suppress(OSError):
                callback()

    def check(self) -> None:
        """Raise Cancelled when the run was cancelled."""
        if self._event.is_set():
            raise Cancelled

    def wait(self, seconds: float) -> None:
        """Wait ``seconds`` between two looks at a condition; raise Cancelled when cancelled."""
        if self._event.wait(seconds):
            raise Cancelled

    @contextmanager
    def calling(self, callback: Callable[[], None]) -> Iterator[None]:
        """Call ``callback`` when the run is cancelled inside the block."""
        with self._lock:
            key, self._next = self._next, self._next + 1
            if not self._event.is_set():
                self._callbacks[key] = callback
        if self._event.is_set():
            raise Cancelled
        try:
            yield
        finally:
            with self._lock:
                self._callbacks.pop(key, None)


def leave_at_once() -> NoReturn:
    """End this process without waiting for anything, as kill -9 would, but with a word about it."""
    words = f"{SHOW_CURSOR if os.isatty(2) else ''}\n{LEFT}"
    with suppress(OSError):
        os.write(2, words.encode())
    os._exit(INTERRUPTED)
