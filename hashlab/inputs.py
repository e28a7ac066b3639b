"""Inputs of artifacts: the files that globs and folders name, also behind links to folders, as the
laptop's own build reads them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from hashlab.boundary import in_state, is_state
from hashlab.hashing import Digests, mode_digest, settled
from hashlab.patterns import is_editor_file

GLOB = frozenset("*?[")
LINK = "link "
# Parts of a pattern; no path has more.
DEEPEST = 500


def read_inputs(folder: Path, patterns: Iterable[str], digests: Digests) -> dict[str, str]:
    """Map the name of each input, relative to ``folder``, to its content: SHA-256 (``+x`` for an
    executable file), or the target of a link to a folder. Raises LabError, FilesChanged.
    """

    def read() -> dict[str, str]:
        found: dict[str, str] = {}
        for pattern in patterns:
            for match in expand(folder, pattern):
                for path in _files(match):
                    content = (
                        f"{LINK}{path.readlink()}"
                        if path.is_dir()
                        else mode_digest(path, digests.file)
                    )
                    found[path.relative_to(folder).as_posix()] = content
        return found

    return settled(read)


def expand(folder: Path, pattern: str) -> Iterator[Path]:
    """Yield what a glob matches below ``folder``; ``**`` leads through links to folders, too. A
    pattern without ``*``, ``?`` and ``[`` is the one path it names. Raises OSError.
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
        for child in _names(path):
            if fnmatchcase(child, name):
                yield from _expand(path / child, rest)
    elif not rest or (path / name).is_dir():
        yield from _expand(path / name, rest)


def _files(path: Path) -> Iterator[Path]:
    """Yield the file, or the files below the folder, and the links to folders on the way."""
    if path.is_file():
        yield path
        return
    for folder in _folders(path):
        for name in _names(folder):
            child = folder / name
            if child.is_file() or (child.is_symlink() and child.is_dir()):
                yield child


def _folders(top: Path) -> Iterator[Path]:
    """Yield a folder and all below it, sorted. What a link leads to is entered only once, so that
    neither a loop nor links across each other are followed for ever.
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
        below = [folder / name for name in _names(folder)]
        waiting += reversed([path for path in below if path.is_dir()])


def _closed(link: Path) -> bool:
    """True for a link into a lab's state or into version control: no build reads those."""
    real = Path(os.path.realpath(link))
    return in_state(real) or ".git" in real.parts


def _names(folder: Path) -> list[str]:
    """Return what lies in a folder, sorted, but for a lab's state and files of editors."""
    if not folder.is_dir():
        return []
    names = (path.name for path in folder.iterdir())
    return sorted(name for name in names if not (is_state(name) or is_editor_file(name)))
