"""Decide which of the laptop's files may leave the lab folder: in a build context, an upload, an
artifact or a box.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from hashlab.state.labfolder import has_state
from hashlab.state.private import STATE


def in_state(path: Path) -> bool:
    """True if ``path`` is a lab's state folder (``.hashlab`` next to its files) or inside one,
    by its name or through links.

    Nothing in it ever leaves the laptop, except declared secrets and configs.
    """
    absolute = path.absolute()
    return any(
        _has_state(Path(name)) for name in {os.path.normpath(absolute), os.path.realpath(absolute)}
    )


def _has_state(path: Path) -> bool:
    return any(
        is_state(folder.name) and has_state(str(folder.parent)) for folder in (path, *path.parents)
    )


def is_state(name: str) -> bool:
    """True if a folder of this name may be a lab's state. File systems may ignore case."""
    return name.lower() == STATE


@dataclass(frozen=True)
class Boundary:
    """The rule which files may leave a lab folder.

    ``declared``: the files (absolute) that the Compose file names as secrets and configs. They
    leave the folder only as such.
    """

    declared: frozenset[Path] = frozenset()

    def below(self, root: Path) -> Callable[[str], bool]:
        """Return a test for names below ``root``: True if that file or folder may leave together
        with ``root``.

        Names are relative to ``root``, with "/" between their parts. False for a folder applies to
        everything in it. Any ``.hashlab`` stays on the laptop, at any depth. ``root`` itself may be
        a declared file, because the user's own file names it; if it is inside a lab's state, all of
        it stays.
        """
        if in_state(root):
            return lambda name: False
        kept = frozenset(self.kept_below(root))
        return lambda name: name not in kept and not any(map(is_state, name.split("/")))

    def kept_below(self, root: Path) -> tuple[str, ...]:
        """Return the declared files below ``root``, relative to it and sorted.

        Files inside a state folder are left out: all of it stays on the laptop anyway.
        """
        top = os.path.realpath(root).rstrip("/") + "/"
        names = (p.removeprefix(top) for p in self._places if p.startswith(top))
        return tuple(sorted(name for name in names if not any(map(is_state, name.split("/")))))

    def declares(self, file: Path) -> bool:
        """True if ``file`` is a declared file, by its name or through links."""
        return bool(_places([file]) & self._places)

    @cached_property
    def _places(self) -> frozenset[str]:
        return frozenset(_places(self.declared))


def _places(files: Iterable[Path]) -> set[str]:
    """Return the paths of files, and the targets of those that are links."""
    folders = {f"{os.path.realpath(file.parent)}/{file.name}" for file in files}
    return folders | {os.path.realpath(file) for file in files}
