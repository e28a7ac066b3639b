"""Content hashes of values, files and folders. They decide which work a run can skip."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
import time
from collections.abc import Callable, Iterator
from io import BufferedReader
from pathlib import Path
from typing import TypeVar

from hashlab.errors import FilesChanged, LabError

T = TypeVar("T")

SHORT = 12
# The kernel's clock moves a file's times in steps of some milliseconds, so two changes within one
# step look alike. A file that changed this recently is not cached.
CLOCK_STEP_NANOSECONDS = 100_000_000


# Files that change, appear or vanish while they are read are read again this many times. The pauses
# double and add up to 2.5 s: longer than a `git checkout` leaves a folder half written.
TRIES = 8
PAUSE_SECONDS = 0.02
GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ESTALE})


class Unsteady(OSError):
    """A file was replaced by another one while it was read."""

    def __init__(self, path: Path) -> None:
        super().__init__(errno.ESTALE, "it changes while it is read", str(path))


def settled(read: Callable[[], T]) -> T:
    """Return what ``read`` returns; call it again while files change or vanish.

    Raises FilesChanged if the files do not settle, LabError for a file or folder that may not be
    read. Both name the file.
    """
    for attempt in range(TRIES):
        try:
            return read()
        except OSError as error:
            if error.errno not in GONE:
                raise unreadable(error) from error
            changed = error
        time.sleep(PAUSE_SECONDS * 2**attempt)
    raise FilesChanged(
        f"cannot read {changed.filename}: {changed.strerror}",
        next_step="run it again when no program writes to it any more, or leave it out: by ignore "
        "of develop.watch, .dockerignore, or narrower inputs",
    )


def unreadable(error: OSError) -> LabError:
    """Return the error for a file or folder of the laptop that cannot be read."""
    return LabError(
        f"cannot read {error.filename}: {error.strerror}",
        next_step="make it readable for you, or leave it out of what the lab uses",
    )


def digest(value: object) -> str:
    """Return the SHA-256 (64 hex digits) of a plain value: strings, numbers, lists, mappings with
    string keys.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def short(full: str) -> str:
    """Return the first 12 hex digits of a hash, the form that people see."""
    return full[:SHORT]


def file_digest(path: Path) -> str:
    """Return the SHA-256 (64 hex digits) of a file's content. Raises OSError."""
    with open_regular(path) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def open_regular(path: Path, *, follow: bool = True) -> BufferedReader:
    """Open a regular file for reading. Raises OSError for anything else, so that a pipe or device
    never blocks the caller.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    descriptor = os.open(path, flags)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    kind = errno.EISDIR if stat.S_ISDIR(mode) else errno.EINVAL
    raise OSError(kind, "it is not a regular file", str(path))


class Digests:
    """SHA-256 of files. A hash is cached while the file's inode, size and both times stay the same.

    A run that changes nothing therefore reads no content. Safe to use from several threads.
    """

    def __init__(self) -> None:
        self._known: dict[Path, tuple[tuple[int, ...], str]] = {}

    def file(self, path: Path) -> str:
        """Return the SHA-256 (64 hex digits) of a file's content.

        Raises OSError; Unsteady if the file was replaced while it was read.
        """
        before = _identity(path)
        known = self._known.get(path)
        if known is not None and known[0] == before:
            return known[1]
        now = time.time_ns()
        content = file_digest(path)
        if _identity(path) != before:
            raise Unsteady(path)
        changed_at = before[-1]
        if now - changed_at > CLOCK_STEP_NANOSECONDS:
            self._known[path] = before, content
        return content


def _identity(path: Path) -> tuple[int, ...]:
    stat = path.stat()
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


def mode_digest(path: Path, read: Callable[[Path], str] = file_digest) -> str:
    """Return the SHA-256 of a file's content, with ``+x`` appended for an executable file."""
    return read(path) + ("+x" if path.stat().st_mode & 0o100 else "")


def _raise(error: OSError) -> None:
    raise error


def files_below(path: Path) -> Iterator[Path]:
    """Yield every file below a folder, sorted, or the file itself. Links to files are followed,
    links to folders are not.
    """
    if path.is_file():
        yield path
    if not path.is_dir():
        return
    for folder, subfolders, names in os.walk(path, onerror=_raise):
        subfolders.sort()
        for name in sorted(names):
            candidate = Path(folder) / name
            if candidate.is_file():
                yield candidate
