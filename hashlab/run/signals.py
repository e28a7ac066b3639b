"""Turns the signals that end a process into KeyboardInterrupt, so that runs end in order."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def terminating() -> Iterator[None]:
    """Treat SIGTERM and SIGHUP like Ctrl-C, so that the run ends in order."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
