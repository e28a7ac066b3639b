"""Read the text of one of the user's files, or report why it cannot be read."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from hashlab.config.report import Report, Wrong
from hashlab.inputs.boundary import in_state
from hashlab.state.private import STATE

MAX_BYTES = 1024 * 1024


def exists(path: Path) -> bool:
    """Return whether ``path`` exists. False for a path that no file system can have."""
    return _test(Path.exists, path)


def is_file(path: Path) -> bool:
    """Return whether ``path`` is a file. False for a path that no file system can have."""
    return _test(Path.is_file, path)


def is_folder(path: Path) -> bool:
    """Return whether ``path`` is a folder. False for a path that no file system can have."""
    return _test(Path.is_dir, path)


def is_readable(path: Path) -> bool:
    """Return whether the user may read ``path``; for a folder, also enter it."""
    return os.access(path, os.R_OK | os.X_OK if is_folder(path) else os.R_OK)


def _test(test: Callable[[Path], bool], path: Path) -> bool:
    try:
        return test(path)
    except (OSError, ValueError):  # a name that is too long, a folder that may not be read
        return False


def refuse_state(path: Path, written: str, line: int) -> None:
    """Raise Wrong for a path inside the state folder of a lab."""
    if in_state(path):
        hint = "Name another folder; declare a secret from there under 'secrets'."
        raise Wrong(line, f"'{written}' is part of {STATE}, which never leaves the laptop", hint)


def read_text(path: Path, report: Report) -> str | None:
    """Return the text of ``path``. If it cannot be read, report it and return None."""
    report.add_source(path)
    try:
        return _decode(_read_bytes(path))
    except Wrong as wrong:
        report.add_wrong(wrong)
    return None


def is_blank(text: str) -> bool:
    """Return whether ``text`` contains only white space and comments."""
    return all(not line or line.startswith("#") for line in map(str.strip, text.splitlines()))


def _read_bytes(path: Path) -> bytes:
    try:
        if not path.is_file():
            what = (
                "is a folder, not a file" if path.is_dir() else f"does not exist in {path.parent}"
            )
            raise Wrong(0, what, "Write this file: see docs/reference/config.md.")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise Wrong(0, f"cannot be read: {error.strerror}", "Check its permissions.") from error
    if len(data) > MAX_BYTES:
        raise Wrong(0, "is larger than 1 MiB", "This is not the file hashlab expects here.")
    return data


def _decode(data: bytes) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise Wrong(line, "is not UTF-8", "Save the file in the encoding UTF-8.") from error
    return text.replace("\r\n", "\n")
