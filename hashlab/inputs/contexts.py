"""Build contexts: one listing of the files for the builder. The hash of an image's inputs and the
archive for the engine are both made from it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Literal

from hashlab.errors import ConfigError, LabError, Problem
from hashlab.hashing import Digests, Unsteady, open_regular, settled
from hashlab.inputs.boundary import Boundary
from hashlab.inputs.patterns import BadPattern, Patterns, ignore_lines, is_editor_file, patterns_of

IGNORE_FILE = ".dockerignore"
# Most levels of nested folders. Python's own recursion limit is not far above.
DEEPEST = 200


@dataclass(frozen=True)
class Entry:
    """A file, folder or link of a context.

    ``name`` is relative to the context, ``mode`` its permission bits, ``content`` a file's SHA-256
    or a link's target.
    """

    name: str
    kind: Literal["file", "folder", "link"]
    mode: int
    content: str = ""


@dataclass(frozen=True)
class BuildContext:
    """The input of an image build.

    ``recipe`` is the SHA-256 of ``dockerfile``, which may be outside the context, or of ``inline``,
    its text, if it has no file. ``kept``: names of declared secrets and configs that are left out.
    """

    root: Path
    dockerfile: Path | None
    recipe: str
    entries: tuple[Entry, ...]
    kept: tuple[str, ...] = ()
    inline: str = ""

    def document(self, leaves_out: Callable[[Path], bool] = lambda _: False) -> dict[str, object]:
        """Return everything that decides the result of the build, as a plain value.

        A file that ``leaves_out`` is in the context, but its change is no reason to build.
        """
        entries = [
            [e.name, e.kind, e.mode, e.content]
            for e in self.entries
            if e.kind == "folder" or not leaves_out(self.root / e.name)
        ]
        return {"dockerfile": self.recipe, "entries": entries}


def read_context(
    root: Path,
    dockerfile: Path | None,
    *,
    boundary: Boundary,
    digests: Digests,
    inline: str = "",
) -> BuildContext:
    """List a build context as Docker reads it: .dockerignore applies, links stay links.

    Also left out: files that the boundary keeps, editors' temporary files, and anything other than
    a file, folder or link. Raises ConfigError for a .dockerignore that Docker refuses, LabError for
    anything unreadable, FilesChanged.
    """

    def read() -> BuildContext:
        patterns = read_patterns(root, dockerfile)
        walk = _Walk(root, patterns, boundary.below(root), digests)
        entries = tuple(walk.below("", ()))
        kept = boundary.kept_below(root)
        recipe = digests.file(dockerfile) if dockerfile else sha256(inline.encode()).hexdigest()
        return BuildContext(root, dockerfile, recipe, entries, kept, inline)

    return settled(read)


def read_patterns(root: Path, dockerfile: Path | None) -> Patterns:
    """Return the patterns of a context's ignore file: DOCKERFILE.dockerignore, else .dockerignore.

    Raises ConfigError, OSError.
    """
    own = dockerfile and dockerfile.with_name(f"{dockerfile.name}{IGNORE_FILE}")
    path = own if own and own.is_file() else root / IGNORE_FILE
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
        """Yield the entries of a folder, each folder before its content. ``above``: for each
        pattern, whether it matches the folder.
        """
        if folder.count("/") > DEEPEST:
            raise LabError(
                f"folders are nested more than {DEEPEST} levels deep",
                where=str(self.root / folder),
                next_step="exclude them in a .dockerignore",
            )
        with os.scandir(self.root / folder) as listing:
            names = sorted(entry.name for entry in listing if not is_editor_file(entry.name))
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
            entered = not ignored or self.patterns.may_except_below(name)
            inside = list(self.below(name, matched)) if entered else []
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
