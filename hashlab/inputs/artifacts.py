"""Inputs of artifacts: the files that globs and folders name, read as the laptop's own build reads
them, including those behind links to folders.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from hashlab.hashing import Digests, mode_digest, settled
from hashlab.inputs.boundary import in_state, is_state
from hashlab.inputs.patterns import is_editor_file

GLOB = frozenset("*?[")
LINK = "link "
# Most parts of a pattern. No path has more.
DEEPEST = 500


def read_inputs(folder: Path, patterns: Iterable[str], digests: Digests) -> dict[str, str]:
    """Return the content of each input by its name relative to ``folder``.

    The content is a SHA-256 (``+x`` appended for an executable file), or the target of a link to a
    folder. Raises LabError, FilesChanged.
    """

    def hashed(path: Path) -> str:
        return mode_digest(path, digests.file)

    def read() -> dict[str, str]:
        contents: dict[str, str] = {}
        for pattern in patterns:
            for match in expand(folder, pattern):
                for path, is_link in _files(match):
                    content = f"{LINK}{path.readlink()}" if is_link else hashed(path)
                    contents[path.relative_to(folder).as_posix()] = content
        return contents

    return settled(read)


def expand(folder: Path, pattern: str) -> Iterator[Path]:
    """Yield the paths below ``folder`` that match a glob. ``**`` also descends into links to
    folders.

    A pattern without ``*``, ``?`` and ``[`` names one path. Raises OSError.
    """
    parts = PurePosixPath(pattern).parts
    return _expand(folder, parts) if len(parts) <= DEEPEST else iter(())


def _expand(path: Path, parts: Sequence[str]) -> Iterator[Path]:
    if not parts:
        if os.path.lexists(path):
            yield path
        return
    name, rest = parts[0], parts[1:]
    if name == "**":
        for folder in _folders(path) if rest else [path]:
            yield from _expand(folder, rest)
    elif GLOB.intersection(name):
        for child in _entries(path):
            if fnmatchcase(child.name, name):
                yield from _expand(path / child.name, rest)
    elif not rest or (path / name).is_dir():
        yield from _expand(path / name, rest)


def _files(path: Path) -> Iterator[tuple[Path, bool]]:
    """Yield the file, or the files below the folder; links to folders are yielded with True."""
    if path.is_file():
        yield path, False
        return
    for folder in _folders(path):
        for entry in _entries(folder):
            is_link = entry.is_symlink() and _is_folder(entry)
            if is_link or _is_file(entry):
                yield folder / entry.name, is_link


def _folders(top: Path) -> Iterator[Path]:
    """Yield a folder and all folders below it, sorted. A link's target is entered only once, so
    that loops of links end.
    """
    entered: set[tuple[int, int]] = set()
    waiting = [top] if top.is_dir() else []
    while waiting:
        folder = waiting.pop()
        status = folder.stat()
        identity = status.st_dev, status.st_ino
        if folder.is_symlink() and (identity in entered or _closed(folder)):
            continue
        entered.add(identity)
        yield folder
        below = [folder / entry.name for entry in _entries(folder) if _is_folder(entry)]
        waiting += reversed(below)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """True for a folder and for a link to one; False for a link in a loop."""
    return Path(entry.path).is_dir() if entry.is_symlink() else entry.is_dir()


def _is_file(entry: os.DirEntry[str]) -> bool:
    return Path(entry.path).is_file() if entry.is_symlink() else entry.is_file()


def _closed(link: Path) -> bool:
    """True for a link into a lab's state folder or into version control. No build reads those."""
    real = Path(os.path.realpath(link))
    return in_state(real) or ".git" in real.parts


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """Return the entries of a folder, sorted, without a lab's state and editors' temporary
    files.
    """
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        kept = [e for e in entries if not (is_state(e.name) or is_editor_file(e.name))]
    return sorted(kept, key=lambda entry: entry.name)
