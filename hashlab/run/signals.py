"""Turns the signals that end a process into KeyboardInterrupt, so that runs end in order."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def terminating() -> Iterator[None]:
    """Treat SIGTERM and SIGHUP like Ctrl-C, so that the run ends in order. Only the main thread can
    do that; for another thread, it has done so already.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
