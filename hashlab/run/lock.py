"""One run at a time on a lab: a file lock that the kernel drops when its holder dies."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hashlab.errors import LockedError
from hashlab.state.files import explained, read_json
from hashlab.state.private import open_file

# A cancelled run ends in order within this time.
ENDING_SECONDS = 30.0
POLL_SECONDS = 0.05


def _say_nothing(_: str) -> None:
    pass


@contextmanager
def held(
    path: Path, command: str, *, say: Callable[[str], None] = _say_nothing
) -> Iterator[Callable[[], None]]:
    """Hold the lab's lock; yield the function to call when the run is cancelled.

    Wait for a run that is ending; first ``say`` is called with a sentence about it. Raises
    LockedError, which names the run that holds the lock; LaptopError if the disk has no locks or
    the file cannot be made.
    """
    with explained(path):
        descriptor = open_file(str(path), os.O_RDWR | os.O_CREAT)
    try:
        with explained(path):
            _take(descriptor, path, say)
        holder = {"pid": os.getpid(), "command": command, "since": now()}
        _say_who(descriptor, holder)
        yield lambda: _say_who(descriptor, {**holder, "ending": True})
        # Emptied, not removed: a file removed under a waiting process would be two locks.
        os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def is_busy(path: Path) -> bool:
    """Return whether a run holds the lab's lock, as the file says. It does not try the lock, which
    would make a run that begins at this moment fail.
    """
    holder = read_json(path)
    try:
        os.kill(int(holder["pid"]), 0)
    except PermissionError:
        return True
    except (KeyError, OSError, OverflowError, TypeError, ValueError):
        return False
    return True


def locked(path: Path, holder: str) -> LockedError:
    """Return the error of a run that finds the lock at ``path`` held by ``holder``."""
    return LockedError(
        f"another run is at work on this lab: {holder}",
        where=str(path),
        next_step="wait for it, or end it",
    )


def holder_text(command: str, pid: int, since: str) -> str:
    """Describe the run that holds a lock."""
    return f"{command} (process {pid}) since {since}"


def _take(descriptor: int, path: Path, say: Callable[[str], None]) -> None:
    if not _taken(descriptor) and not _taken_after_end(descriptor, path, say):
        raise locked(path, _holder(path))


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _taken_after_end(descriptor: int, path: Path, say: Callable[[str], None]) -> bool:
    """Wait for the lock while the run that holds it is ending. Return False at once if it is not,
    if another run is sooner, or if the end takes too long.
    """
    if not _is_ending(read_json(path)):
        return False
    say(f"waiting for a run that is ending: {_holder(path)}")
    deadline = time.monotonic() + ENDING_SECONDS
    while time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
        if _taken(descriptor):
            return True
        holder = read_json(path)
        # It is empty for a moment between two holders.
        if holder is not None and not _is_ending(holder):
            return False
    return False


def _is_ending(holder: object) -> bool:
    return isinstance(holder, dict) and holder.get("ending") is True


def _say_who(descriptor: int, holder: dict[str, Any]) -> None:
    """Write the holder into the lock file, for people. On a full disk the lock works without it."""
    with suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(holder).encode(), 0)


def _holder(path: Path) -> str:
    holder = read_json(path)
    try:
        return holder_text(holder["command"], holder["pid"], holder["since"])
    except (KeyError, TypeError):
        return "it started this moment"


def now() -> str:
    """Return the current time in UTC as ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
