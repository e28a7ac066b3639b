"""Content hashes of values, files and folders: what decides whether anything has to be done."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

SHORT = 12
CHUNK = 1 << 20


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


def tree(root: Path, names: Iterable[str]) -> dict[str, str]:
    """Map each of ``names`` (relative to ``root``) to its content's SHA-256, sorted by name; an
    executable file's ends with ``+x``.
    """
    return {name: _with_mode(root / name) for name in sorted(set(names))}


def _with_mode(path: Path) -> str:
    return file_digest(path) + ("+x" if path.stat().st_mode & 0o100 else "")


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
