"""Records what each running `hashlab forward` forwards, so that `hashlab open` finds it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from hashlab.documents import json_text
from hashlab.documents.forward import ForwardedTarget, Forwards
from hashlab.state.files import explained, is_file, is_locked, names, read_json, remove
from hashlab.state.private import open_file


@contextmanager
def recorded(folder: Path, document: Forwards) -> Iterator[None]:
    """Keep a locked file with the document in ``folder`` during the block. The kernel drops the
    lock of a process that was killed. Raises LaptopError.
    """
    path = folder / f"{os.getpid()}.json"
    with explained(path):
        descriptor = open_file(str(path), os.O_RDWR | os.O_CREAT)
    try:
        with explained(path):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json_text(document).encode(), 0)
        yield
    finally:
        remove(path)
        os.close(descriptor)


def running_forwards(folder: Path) -> list[ForwardedTarget]:
    """Return the ports that are forwarded now, those of the oldest process first. Removes the files
    of processes that were killed.
    """
    found: list[ForwardedTarget] = []
    numbers = (name.removesuffix(".json") for name in names(folder))
    for number in sorted((each for each in numbers if each.isdecimal()), key=int):
        path = folder / f"{number}.json"
        if is_file(path):
            found += _read(path) if _is_locked(path) else _nothing(path)
    return found


def _is_locked(path: Path) -> bool:
    with explained(path):
        descriptor = open_file(str(path), os.O_RDWR)
    try:
        return is_locked(descriptor)
    finally:
        os.close(descriptor)


def _nothing(path: Path) -> Sequence[ForwardedTarget]:
    remove(path)
    return ()


def _read(path: Path) -> list[ForwardedTarget]:
    saved: Any = read_json(path)
    # It is empty for a moment at the start of its process.
    with suppress(TypeError, KeyError):
        return [ForwardedTarget(**each) for each in saved["ports"]]
    return []
