"""Build contexts: one listing of what goes to the builder, from which both the hash of an image's
inputs and the archive that is sent are made.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hashlab.errors import ConfigError, LabError, Problem
from hashlab.hashing import Digests, Unsteady, open_regular, settled
from hashlab.inputs.boundary import Boundary
from hashlab.inputs.patterns import BadPattern, Patterns, ignore_lines, is_editor_file, patterns_of

IGNORE_FILE = ".dockerignore"
# Folders in each other; Python's own limit of calls in each other is near.
DEEPEST = 200


@dataclass(frozen=True)
class Entry:
    """A file, folder or link of a context. ``name`` is relative to it, ``mode`` its permission
    bits, ``content`` a file's SHA-256 or a link's target.
    """

    name: str
    kind: Literal["file", "folder", "link"]
    mode: int
    content: str = ""


@dataclass(frozen=True)
class BuildContext:
    """What Docker gets to build an image. ``recipe`` is the SHA-256 of ``dockerfile``, which may
    lie anywhere; ``kept``: names of declared secrets and configs that stay out.
    """

    root: Path
    dockerfile: Path
    recipe: str
    entries: tuple[Entry, ...]
    kept: tuple[str, ...] = ()

    @property
    def document(self) -> dict[str, object]:
        """All that decides what is built, as a plain value."""
        entries = [[e.name, e.kind, e.mode, e.content] for e in self.entries]
        return {"dockerfile": self.recipe, "entries": entries}


def read_context(
    root: Path, dockerfile: Path, *, boundary: Boundary, digests: Digests
) -> BuildContext:
    """List a build context as Docker reads it: .dockerignore decides, links stay links.

    Left out besides: what the boundary keeps, files of editors, and whatever is neither file,
    folder nor link. Raises ConfigError for a .dockerignore that Docker refuses, LabError for what
    cannot be read, FilesChanged.
    """

    def read() -> BuildContext:
        patterns = read_patterns(root, dockerfile)
        walk = _Walk(root, patterns, boundary.below(root), digests)
        entries = tuple(walk.below("", ()))
        kept = boundary.kept_below(root)
        return BuildContext(root, dockerfile, digests.file(dockerfile), entries, kept)

    return settled(read)


def read_patterns(root: Path, dockerfile: Path) -> Patterns:
    """Return the patterns of a context's ignore file: DOCKERFILE.dockerignore, else .dockerignore.
    Raises ConfigError, OSError.
    """
    own = dockerfile.with_name(f"{dockerfile.name}{IGNORE_FILE}")
    path = own if own.is_file() else root / IGNORE_FILE
    if not path.is_file():
        return Patterns(())
    with open_regular(path) as stream:
        content = stream.read()
    try:
        return patterns_of(ignore_lines(content.decode("utf-8")))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        problem = Problem(str(path), line, "is not UTF-8", "Save the file in the encoding UTF-8.")
    except BadPattern as bad:
        problem = Problem(str(path), bad.place, str(bad), "Docker refuses it, too: correct it.")
    raise ConfigError([problem], sources=[path])


@dataclass(frozen=True)
class _Walk:
    """Lists one context."""

    root: Path
    patterns: Patterns
    allows: Callable[[str], bool]
    digests: Digests

    def below(self, folder: str, above: tuple[bool, ...]) -> Iterator[Entry]:
        """Yield what lies in a folder, each folder before its content. ``above``: which patterns
        match the folder.
        """
        if folder.count("/") > DEEPEST:
            raise LabError(
                f"more than {DEEPEST} folders lie in each other",
                where=str(self.root / folder),
                next_step="leave them out by a .dockerignore",
            )
        with os.scandir(self.root / folder) as found:
            names = sorted(entry.name for entry in found if not is_editor_file(entry.name))
        for own_name in names:
            name = f"{folder}/{own_name}" if folder else own_name
            if self.allows(name):
                yield from self._at(name, self.patterns.matched(name, above))

    def _at(self, name: str, matched: tuple[bool, ...]) -> Iterator[Entry]:
        ignored = self.patterns.decides(matched)
        path = self.root / name
        status = path.lstat()
        mode = stat.S_IMODE(status.st_mode)
        if stat.S_ISDIR(status.st_mode):
            looked_into = not ignored or self.patterns.may_except_below(name)
            inside = list(self.below(name, matched)) if looked_into else []
            if inside or not ignored:
                yield Entry(name, "folder", mode)
            yield from inside
        elif stat.S_ISLNK(status.st_mode) and not ignored:
            yield Entry(name, "link", 0o777, str(path.readlink()))
        elif stat.S_ISREG(status.st_mode) and not ignored:
            content = self.digests.file(path)
            if path.lstat().st_ino != status.st_ino:
                raise Unsteady(path)
            yield Entry(name, "file", mode, content)
