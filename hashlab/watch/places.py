"""Decides which folders are watched for a lab, and which changes in them count."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from glob import escape
from pathlib import Path

from hashlab.config.fronts.making import CONTEXT
from hashlab.config.model import Build, Lab
from hashlab.config.sources import exists, is_folder
from hashlab.errors import ConfigError
from hashlab.inputs.contexts import IGNORE_FILE, read_patterns
from hashlab.inputs.patterns import Patterns, is_editor_file
from hashlab.phases.upload.laptop import PRIVATE_FOLDERS
from hashlab.protocols import Folders

ANYTHING = "*"
GLOB = frozenset("*?[")
# A test for ignored paths of an input.
Ignores = Callable[[Path], bool]


def nothing(_: Path) -> bool:
    """Leave out nothing."""
    return False


@dataclass(frozen=True)
class Input:
    """A file, folder or glob that a refresh reads, as parts below a root, and the ignored paths in
    it.

    ``through_links``: files behind links to folders are read, too.
    """

    parts: tuple[str, ...]
    ignores: Ignores = nothing
    through_links: bool = False


@dataclass(frozen=True)
class Wanted:
    """The inputs of a refresh below ``root``; ``never``: files that a run itself writes."""

    root: Path
    inputs: tuple[Input, ...]
    never: frozenset[Path] = frozenset()

    def private(self, path: Path) -> bool:
        """True if a refresh ignores changes to this path."""
        inside = path.relative_to(self.root).parts if path.is_relative_to(self.root) else ()
        return (
            bool(PRIVATE_FOLDERS.intersection(inside))
            or any(map(is_editor_file, inside))
            or any(path.is_relative_to(output) for output in self.never)
        )


@dataclass
class Places:
    """Existing folders, with the names in them that count and the ignored ones: directly in a
    folder (``flat``) or anywhere below it (``deep``).

    ``identities`` distinguish a folder from a later one of the same name.
    """

    wanted: Wanted
    flat: dict[Path, set[tuple[str, Ignores]]] = field(default_factory=dict)
    deep: dict[Path, set[tuple[str, Ignores]]] = field(default_factory=dict)
    identities: set[tuple[Path, int, int]] = field(default_factory=set)

    def folders(self) -> Folders:
        """Return the folders to watch."""

        def inside(path: Path) -> bool:
            return any(parent in self.deep for parent in path.parents)

        return Folders(
            deep=frozenset(path for path in self.deep if not inside(path)),
            flat=frozenset(p for p in self.flat if p not in self.deep and not inside(p)),
        )

    def counts(self, path: Path) -> bool:
        """Return True if a change of this path may matter to a refresh. Pure."""
        if self.wanted.private(path):
            return False
        if _fits(path, (path.name,), self.flat.get(path.parent, ())):
            return True
        return any(
            _fits(path, path.relative_to(folder).parts or (ANYTHING,), self.deep[folder])
            for folder in (path, *path.parents)
            if folder in self.deep
        )


def wanted_of(lab: Lab, *, also: Iterable[Path] = ()) -> Wanted:
    """Return the inputs of a refresh of this lab; ``also``: further files. Pure."""
    outputs = frozenset(artifact.output for artifact in lab.artifacts)
    made = [(p, i) for p, i in _inputs(lab, also) if not outputs.intersection([p, *p.parents])]
    patterns = _patterns(lab)
    root = Path(os.path.commonpath([lab.folder, *(path for path, _ in made), *patterns]))
    literal = [Input(tuple(map(escape, p.relative_to(root).parts)), i) for p, i in made]
    globs = [Input(pattern.relative_to(root).parts, through_links=True) for pattern in patterns]
    return Wanted(root, tuple(dict.fromkeys([*literal, *globs])), outputs)


def wanted_files(files: Sequence[Path]) -> Wanted:
    """Return only these files, at least one, as inputs. Pure."""
    root = Path(os.path.commonpath([path.parent for path in files]))
    return Wanted(root, tuple(Input(tuple(map(escape, p.relative_to(root).parts))) for p in files))


def _inputs(lab: Lab, also: Iterable[Path] = ()) -> list[tuple[Path, Ignores]]:
    """Return the inputs of a refresh except those of artifacts, each with its ignored paths."""
    # The image of fronts is hashlab's own, and may be far from the lab folder.
    built = (image.build for image in lab.images if image.build is not None)
    builds = dict.fromkeys(build for build in built if build.context != CONTEXT)
    sources = dict.fromkeys(
        bind.source for service in lab.services for bind in service.binds if bind.upload
    )
    named = [mount.source for service in lab.services for mount in service.files]
    mounts = [source for source in named if isinstance(source, Path)]
    files = [*lab.sources, *also, *filter(None, (b.dockerfile for b in builds)), *mounts]
    contexts = [(build.context, _left_out_of_context(lab, build)) for build in builds]
    others = (other for build in builds for _, other in build.additional_contexts)
    contexts += [(other, nothing) for other in others if isinstance(other, Path)]
    binds = [(source, _left_out_of_bind(lab, source)) for source in sources]
    whole = [(file, nothing) for file in files]
    rules = [rule for service in lab.services for rule in service.watch if rule.action != "rebuild"]
    watched = [(rule.path, rule.ignores) for rule in rules]
    return [(_plain(path), ignores) for path, ignores in (*whole, *contexts, *binds, *watched)]


def _left_out_of_bind(lab: Lab, source: Path) -> Ignores:
    uploaded = lab.uploads(source)

    def ignores(path: Path) -> bool:
        name = os.path.relpath(path, source)
        return name not in (".", "..") and not name.startswith("../") and not uploaded(name)

    return ignores


def _left_out_of_context(lab: Lab, build: Build) -> Ignores:
    """Return a test for files that Docker is not sent, or that all services built from this context
    ignore.
    """
    services = [service for service in lab.services if service.build == build]
    try:
        patterns = read_patterns(build.context, build.dockerfile)
    except (ConfigError, OSError):
        patterns = Patterns(())  # the refresh reports the error

    def ignores(path: Path) -> bool:
        name = os.path.relpath(path, build.context)
        if name == "." or name.startswith("..") or path.name.endswith(IGNORE_FILE):
            return False
        unwanted = bool(services) and all(s.ignores(path, rebuild=True) for s in services)
        return unwanted or patterns.ignores(name)

    return ignores


def _patterns(lab: Lab) -> list[Path]:
    return [_plain(lab.folder / i) for artifact in lab.artifacts for i in artifact.inputs]


def _plain(path: Path) -> Path:
    """Return the path without "..", as the watcher reports paths; links are kept."""
    return Path(os.path.normpath(path))


def names_of(lab: Lab) -> list[str]:
    """Return the names of watched places for people: relative to the lab, without missing ones."""
    private = wanted_of(lab).private
    paths = [path for path, _ in _inputs(lab) if exists(path) and not private(path)]
    paths = list(dict.fromkeys([*paths, *_patterns(lab)]))
    return [
        os.path.relpath(path, lab.folder)
        for path in paths
        if not any(other in path.parents for other in paths)
    ]


def find_places(wanted: Wanted) -> Places:
    """Find the existing places of these inputs, or the folders in which they would appear."""
    places = Places(wanted)
    for each in wanted.inputs:
        _descend(places, wanted.root, each)
    for folder in (*places.flat, *places.deep):
        # A folder that was just removed is found missing at the next check.
        with suppress(OSError):
            stat = folder.stat()
            places.identities.add((folder, stat.st_dev, stat.st_ino))
    return places


def _descend(places: Places, path: Path, wanted: Input) -> None:
    """Watch each folder on the way for the next name, and everything below the end of the way."""
    if places.wanted.private(path):
        return
    parts, ignores = wanted.parts, wanted.ignores
    if not is_folder(path):
        _follow(places, path)
        return
    if not parts or parts[0] == "**":
        counting = (parts[-1] if parts and parts[-1] != "**" else ANYTHING, ignores)
        if counting not in places.deep.setdefault(path, set()):
            places.deep[path].add(counting)
            for link in _links_below(path):
                _follow(places, link)
                if wanted.through_links and is_folder(link):
                    _descend(places, Path(os.path.realpath(link)), wanted)
        return
    name, *rest = parts
    places.flat.setdefault(path, set()).add((name, ignores))
    for child in _children(path, name):
        _descend(places, child, replace(wanted, parts=tuple(rest)))


def _children(folder: Path, name: str) -> list[Path]:
    if not GLOB.intersection(name):
        return [folder / name]
    with suppress(OSError):  # just removed, or not readable: the refresh reports it
        return [child for child in sorted(folder.iterdir()) if fnmatchcase(child.name, name)]
    return []


def _links_below(folder: Path) -> Iterator[Path]:
    """Yield links, because their targets change elsewhere."""
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in PRIVATE_FOLDERS]
        for name in (*names, *folders):
            path = Path(parent, name)
            if path.is_symlink():
                yield path


def _follow(places: Places, path: Path) -> None:
    """Watch the file that a link leads to, by its own name."""
    with suppress(OSError):  # a link that may not be read: the refresh reports it
        if path.is_symlink():
            target = Path(os.path.realpath(path))
            if target.parent.is_dir():
                places.flat.setdefault(target.parent, set()).add((escape(target.name), nothing))


def _fits(path: Path, names: Sequence[str], patterns: Iterable[tuple[str, Ignores]]) -> bool:
    """True if a pattern fits one of the names of a path, and its input does not leave it out."""
    return any(
        fnmatchcase(name, pattern) and not ignores(path)
        for pattern, ignores in patterns
        for name in names
    )
