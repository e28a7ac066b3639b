"""Which folders are watched for a lab, and which changes in them count."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from glob import escape
from pathlib import Path

from hashlab.config.model import Lab
from hashlab.phases.laptopfiles import PRIVATE_FOLDERS
from hashlab.protocols import Folders

ANYTHING = "*"
GLOB = frozenset("*?[")


@dataclass(frozen=True)
class Wanted:
    """What a refresh reads. ``inputs``: files, folders and globs, as parts below ``root``;
    ``never``: what a run itself writes.
    """

    root: Path
    inputs: tuple[tuple[str, ...], ...]
    never: frozenset[Path] = frozenset()

    def private(self, path: Path) -> bool:
        """Whether a change there is none that a refresh would take up."""
        inside = path.relative_to(self.root).parts if path.is_relative_to(self.root) else ()
        return bool(PRIVATE_FOLDERS.intersection(inside)) or any(
            path.is_relative_to(output) for output in self.never
        )


@dataclass
class Places:
    """Folders that are there now: names that count, directly in a folder (``flat``) or anywhere
    below it (``deep``). ``identities`` tell a folder from another one of the same name.
    """

    wanted: Wanted
    flat: dict[Path, set[str]] = field(default_factory=dict)
    deep: dict[Path, set[str]] = field(default_factory=dict)
    identities: set[tuple[Path, int, int]] = field(default_factory=set)

    def folders(self) -> Folders:
        """What to watch."""

        def inside(path: Path) -> bool:
            return any(parent in self.deep for parent in path.parents)

        return Folders(
            deep=frozenset(path for path in self.deep if not inside(path)),
            flat=frozenset(p for p in self.flat if p not in self.deep and not inside(p)),
        )

    def counts(self, path: Path) -> bool:
        """Whether a change of this path may matter to a refresh. Pure."""
        if self.wanted.private(path):
            return False
        if _fits(path.name, self.flat.get(path.parent, ())):
            return True
        for folder in (path, *path.parents):
            if folder in self.deep:
                below = path.relative_to(folder).parts or (ANYTHING,)
                if any(_fits(name, self.deep[folder]) for name in below):
                    return True
        return False


def wanted_of(lab: Lab, *, also: Iterable[Path] = ()) -> Wanted:
    """What a refresh of this lab reads; ``also``: further files. Pure."""
    outputs = frozenset(artifact.output for artifact in lab.artifacts)
    paths = [path for path in _paths(lab, also) if not outputs.intersection([path, *path.parents])]
    patterns = _patterns(lab)
    root = Path(os.path.commonpath([lab.folder, *paths, *patterns]))
    literal = [tuple(map(escape, path.relative_to(root).parts)) for path in paths]
    globs = [pattern.relative_to(root).parts for pattern in patterns]
    return Wanted(root, tuple(dict.fromkeys([*literal, *globs])), outputs)


def wanted_files(files: Sequence[Path]) -> Wanted:
    """Only these files, at least one. Pure."""
    root = Path(os.path.commonpath([path.parent for path in files]))
    return Wanted(root, tuple(tuple(map(escape, p.relative_to(root).parts)) for p in files))


def _paths(lab: Lab, also: Iterable[Path] = ()) -> list[Path]:
    builds = [image.build for image in lab.images if image.build is not None]
    paths = [
        *lab.sources,
        *also,
        *(build.context for build in builds),
        *(build.dockerfile for build in builds),
        *(bind.source for service in lab.services for bind in service.binds),
        *(mount.source for service in lab.services for mount in service.files),
    ]
    return list(map(_plain, paths))


def _patterns(lab: Lab) -> list[Path]:
    return [_plain(lab.folder / i) for artifact in lab.artifacts for i in artifact.inputs]


def _plain(path: Path) -> Path:
    """Without "..", as the watcher tells paths; links are kept."""
    return Path(os.path.normpath(path))


def names_of(lab: Lab) -> list[str]:
    """What is watched, for people: relative to the lab, without what is not there."""
    private = wanted_of(lab).private
    paths = [path for path in _paths(lab) if path.exists() and not private(path)]
    paths = list(dict.fromkeys([*paths, *_patterns(lab)]))
    return [
        os.path.relpath(path, lab.folder)
        for path in paths
        if not any(other in path.parents for other in paths)
    ]


def find_places(wanted: Wanted) -> Places:
    """Look where these inputs are, or would be, at this moment."""
    places = Places(wanted)
    for parts in wanted.inputs:
        _descend(places, wanted.root, parts)
    for folder in (*places.flat, *places.deep):
        # One that went away this moment is found missing at the next look.
        with suppress(FileNotFoundError):
            stat = folder.stat()
            places.identities.add((folder, stat.st_dev, stat.st_ino))
    return places


def _descend(places: Places, path: Path, parts: tuple[str, ...]) -> None:
    """Watch each folder on the way for the next name, and the end of the way with all below."""
    if places.wanted.private(path):
        return
    if not path.is_dir():
        _follow(places, path)
        return
    if not parts or parts[0] == "**":
        known = path in places.deep
        names = places.deep.setdefault(path, set())
        names.add(parts[-1] if parts and parts[-1] != "**" else ANYTHING)
        for link in () if known else _links_below(path):
            _follow(places, link)
        return
    name, *rest = parts
    places.flat.setdefault(path, set()).add(name)
    for child in _children(path, name):
        _descend(places, child, tuple(rest))


def _children(folder: Path, name: str) -> list[Path]:
    if not GLOB.intersection(name):
        return [folder / name]
    return [child for child in sorted(folder.iterdir()) if fnmatchcase(child.name, name)]


def _links_below(folder: Path) -> Iterator[Path]:
    """Links to files: their content changes where they lead to."""
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in PRIVATE_FOLDERS]
        for name in names:
            path = Path(parent, name)
            if path.is_symlink():
                yield path


def _follow(places: Places, path: Path) -> None:
    """Watch the file that a link leads to, by its own name."""
    if path.is_symlink():
        target = path.resolve()
        if target.parent.is_dir():
            places.flat.setdefault(target.parent, set()).add(target.name)


def _fits(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
