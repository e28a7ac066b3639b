"""One run at a time on a lab: a file lock that the kernel drops when its holder dies."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from hashlab.errors import LockedError
from hashlab.state.files import explained, read_json
from hashlab.state.private import open_file


@contextmanager
def held(path: Path, command: str) -> Iterator[None]:
    """Hold the lab's lock. Raises LockedError that says who holds it since when, LaptopError where
    the disk has no locks or does not let the file be made.
    """
    with explained(path):
        descriptor = open_file(str(path), os.O_RDWR | os.O_CREAT)
    try:
        with explained(path):
            _take(descriptor, path)
        _say_who(descriptor, command)
        yield
        # Emptied, not removed: a file removed under a waiting process would be two locks.
        os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def _take(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise LockedError(
            f"another run is at work on this lab: {_holder(path)}",
            where=str(path),
            next_step="wait for it, or end it",
        ) from None


def _say_who(descriptor: int, command: str) -> None:
    """Write who holds it, for people: on a full disk the lock counts without it."""
    holder = {"pid": os.getpid(), "command": command, "since": _now()}
    with suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.write(descriptor, json.dumps(holder).encode())


def _holder(path: Path) -> str:
    holder = read_json(path)
    try:
        return f"{holder['command']} (process {holder['pid']}) since {holder['since']}"
    except (KeyError, TypeError):
        return "it started this moment"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
