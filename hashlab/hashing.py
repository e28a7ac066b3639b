"""Content hashes of values, files and folders: what decides whether anything has to be done."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

SHORT = 12
# A file's times move in steps of the kernel's clock, some milliseconds: two changes within one step
# look alike, so what was changed just now is not remembered.
CLOCK_STEP_NANOSECONDS = 100_000_000


def digest(value: object) -> str:
    """SHA-256 (64 hex digits) of a plain value: texts, numbers, lists, mappings with text keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def short(full: str) -> str:
    """The first 12 hex digits, as people see them."""
    return full[:SHORT]


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content. Raises OSError."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


class Digests:
    """SHA-256 of files, remembered while a file stays the same one by inode, size and both times.

    A run that finds nothing changed then reads no content. May be used by several threads.
    """

    def __init__(self) -> None:
        self._known: dict[Path, tuple[tuple[int, ...], str]] = {}

    def file(self, path: Path) -> str:
        """SHA-256 (64 hex digits) of a file's content. Raises OSError."""
        before = _identity(path)
        known = self._known.get(path)
        if known is not None and known[0] == before:
            return known[1]
        now = time.time_ns()
        found = file_digest(path)
        changed_at = before[-1]
        if _identity(path) == before and now - changed_at > CLOCK_STEP_NANOSECONDS:
            self._known[path] = before, found
        return found


def _identity(path: Path) -> tuple[int, ...]:
    stat = path.stat()
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


def tree(
    root: Path, names: Iterable[str], read: Callable[[Path], str] = file_digest
) -> dict[str, str]:
    """Map each of ``names`` (relative to ``root``) to its content's SHA-256, sorted by name; an
    executable file's ends with ``+x``.
    """
    return {name: mode_digest(root / name, read) for name in sorted(set(names))}


def mode_digest(path: Path, read: Callable[[Path], str] = file_digest) -> str:
    """SHA-256 of a file's content, with ``+x`` behind it for an executable file."""
    return read(path) + ("+x" if path.stat().st_mode & 0o100 else "")


def files_below(path: Path) -> Iterator[Path]:
    """Every file below a folder, or the file itself; sorted, links followed for files only."""
    if path.is_file():
        yield path
        return
    for folder, subfolders, names in os.walk(path):
        subfolders.sort()
        for name in sorted(names):
            candidate = Path(folder) / name
            if candidate.is_file():
                yield candidate
