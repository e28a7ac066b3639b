"""One cancel flag for a whole run, with callbacks that are called when it is set."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

INTERRUPTED = 130
LEFT = "left at once; the next run ends what is still running and continues from there\n"
SHOW_CURSOR = "\x1b[?25h"


class Cancelled(Exception):
    """Raised inside a step when the run is cancelled. It is never the cause of a failure."""


class CancelToken:
    """One flag for a whole run, with callbacks that stop blocking calls."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._callbacks: dict[int, Callable[[], None]] = {}
        self._next = 0

    @property
    def cancelled(self) -> bool:
        """True if the run was cancelled."""
        return self._event.is_set()

    def cancel(self) -> None:
        """Cancel the run: wake every waiter and call every registered callback once."""
        with self._lock:
            self._event.set()
            callbacks = list(self._callbacks.values())
            self._callbacks.clear()
        for callback in callbacks:
            # The call it would have stopped has already ended; the others must still be stopped.
            with suppress(OSError):
                callback()

    def check(self) -> None:
        """Raise Cancelled if the run was cancelled."""
        if self._event.is_set():
            raise Cancelled

    def wait(self, seconds: float) -> None:
        """Wait ``seconds`` before a condition is checked again. Raise Cancelled if the run is
        cancelled.
        """
        if self._event.wait(seconds):
            raise Cancelled

    @contextmanager
    def calling(self, callback: Callable[[], None]) -> Iterator[None]:
        """Call ``callback`` if the run is cancelled inside the block."""
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
    """End this process without waiting for anything, as kill -9 would, but print a message."""
    message = f"{SHOW_CURSOR if os.isatty(2) else ''}\n{LEFT}"
    with suppress(OSError):
        os.write(2, message.encode())
    os._exit(INTERRUPTED)
