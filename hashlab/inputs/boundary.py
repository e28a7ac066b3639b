"""Decides which of the laptop's files may leave the lab folder: with a build context, an upload, an
artifact or a box.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from hashlab.state.labfolder import FILE
from hashlab.state.private import STATE


def in_state(path: Path) -> bool:
    """True if ``path`` is, or lies in, a lab's own state (``.hashlab`` beside a hashlab.toml), by
    its name or by the links on the way to it. Nothing from there ever leaves the laptop, but for
    declared secrets and configs.
    """
    absolute = path.absolute()
    return any(
        _has_state(Path(name)) for name in {os.path.normpath(absolute), os.path.realpath(absolute)}
    )


def _has_state(path: Path) -> bool:
    return any(
        is_state(folder.name) and (folder.parent / FILE).exists()
        for folder in (path, *path.parents)
    )


def is_state(name: str) -> bool:
    """True if a folder of this name may be a lab's state; file systems may ignore case."""
    return name.lower() == STATE


@dataclass(frozen=True)
class Boundary:
    """What may leave a lab folder. ``declared``: the files (absolute) that the Compose file names
    as secrets and configs; they leave the folder only as such.
    """

    declared: frozenset[Path] = frozenset()

    def below(self, root: Path) -> Callable[[str], bool]:
        """Return a test for names below ``root``, relative to it with "/" between their parts: True
        if that file or folder may leave with ``root``. "No" for a folder counts for all in it.

        Any ``.hashlab`` stays, at any depth. ``root`` itself was named by the user's own file, so
        it may be a declared file; if it lies in a lab's state, all of it stays.
        """
        if in_state(root):
            return lambda name: False
        kept = frozenset(self.kept_below(root))
        return lambda name: name not in kept and not any(map(is_state, name.split("/")))

    def kept_below(self, root: Path) -> tuple[str, ...]:
        """Return the declared files below ``root``, relative to it, sorted; not those in a state,
        all of which stays anyway.
        """
        top = os.path.realpath(root).rstrip("/") + "/"
        names = (p.removeprefix(top) for p in self._places if p.startswith(top))
        return tuple(sorted(name for name in names if not any(map(is_state, name.split("/")))))

    @cached_property
    def _places(self) -> frozenset[str]:
        return frozenset(_places(self.declared))


def _places(files: Iterable[Path]) -> set[str]:
    """Return where files lie, and what they lead to if they are links."""
    folders = {f"{os.path.realpath(file.parent)}/{file.name}" for file in files}
    return folders | {os.path.realpath(file) for file in files}
