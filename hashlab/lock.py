"""One run at a time on a lab: a file lock that the kernel drops when its holder dies."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from hashlab.errors import LockedError


@contextmanager
def held(path: Path, command: str) -> Iterator[None]:
    """Hold the lab's lock. Raises LockedError that says who holds it since when."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _take(descriptor, path)
        os.ftruncate(descriptor, 0)
        holder = {"pid": os.getpid(), "command": command, "since": _now()}
        os.write(descriptor, json.dumps(holder).encode())
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


def _holder(path: Path) -> str:
    try:
        holder = json.loads(path.read_text(encoding="utf-8"))
        return f"{holder['command']} (process {holder['pid']}) since {holder['since']}"
    except (ValueError, KeyError, TypeError, OSError):
        return "it started this moment"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
