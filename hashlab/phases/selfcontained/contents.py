"""Decides which files of the laptop go into a service's image, and into which of its layers. Pure
but for reading files.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from hashlab.config.model import BindMount, Lab, Service
from hashlab.inputs.patterns import compiled
from hashlab.phases.builds import below, copied_files, is_hidden
from hashlab.phases.selfcontained.root import Root
from hashlab.phases.upload.laptop import LINK, LaptopFiles, bind_name, is_folder

# A file of this size is rather a library than the code that people edit.
LARGE = 1 << 20
LARGE_FILES, REST = "large files", "files"


@dataclass(frozen=True)
class Entry:
    """A file, folder or link of the laptop (``source``), as ``laptop`` describes it, and its path
    in the image.
    """

    path: str
    content: str
    source: Path


@dataclass(frozen=True)
class Contents:
    """The files of an image on top of its base. ``emptied``: folders whose content in the base is
    hidden, as a mount hides it; ``notes``: what the service mounts and is not inside.
    """

    entries: tuple[Entry, ...] = ()
    emptied: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()


def contents(lab: Lab, service: Service, laptop: LaptopFiles, root: Root) -> Contents:
    """Return the files of a service's image; ``root``: that of its base. Raises LabError."""
    entries: dict[str, Entry] = {}
    emptied: set[str] = set()
    for bind in sorted(service.binds, key=lambda bind: len(bind.target)):
        if not goes_inside(lab, bind):
            continue
        top = root.resolve(bind.target)
        entries |= _bound(lab, service, bind, laptop, top)
        if bind.source.is_dir():
            emptied.add(top)
    for rule, path, content in copied_files(service, laptop):
        folder, name = posixpath.split(rule.place(path))
        place = posixpath.join(root.resolve(folder), name)
        entries[place] = Entry(place, content, path)
    return Contents(tuple(entries.values()), frozenset(emptied), tuple(_notes(lab, service)))


def goes_inside(lab: Lab, bind: BindMount) -> bool:
    """Return whether what a mount shows is a part of the service's image."""
    return bind.upload and not lab.boundary.declares(bind.source)


def _bound(
    lab: Lab, service: Service, bind: BindMount, laptop: LaptopFiles, top: str
) -> Iterator[tuple[str, Entry]]:
    for name, content in laptop.bind(bind).items():
        relative = name.removeprefix(bind_name(lab, bind.source)).removeprefix("/")
        if not is_hidden(service, bind.target, below(bind.target, relative)):
            path = below(top, relative)
            yield path, Entry(path, content, bind.source / relative)


def _notes(lab: Lab, service: Service) -> Iterator[str]:
    name = service.family
    for bind in service.binds:
        if not bind.upload:
            yield f"{name}: {bind.target} is not in its image: containers write it on their machine"
        elif lab.boundary.declares(bind.source):
            yield f"{name}: {bind.target} is not in its image: it is a declared secret or config"
    for mount in service.machine_mounts:
        yield f"{name}: {mount.target} is not in its image: {mount.source} is the machine's own"


def layered(lab: Lab, entries: Iterable[Entry]) -> list[tuple[str, list[Entry]]]:
    """Return the layers, the lowest first: what each consists of, and its files. What changes with
    every edit is in the last one. Without patterns in hashlab.toml, large files are a layer.
    """
    kinds = [*lab.own_images.layers, REST] if lab.own_images.layers else [LARGE_FILES, REST]
    layers: dict[str, list[Entry]] = {kind: [] for kind in kinds}
    for entry in entries:
        layers[_kind(lab, entry)].append(entry)
    return [(kind, found) for kind, found in layers.items() if found]


def _kind(lab: Lab, entry: Entry) -> str:
    if is_folder(entry.content):
        return REST
    if not lab.own_images.layers:
        linked = entry.content.startswith(LINK)
        return LARGE_FILES if not linked and entry.source.stat().st_size >= LARGE else REST
    if not entry.source.is_relative_to(lab.folder):
        return REST
    name = entry.source.relative_to(lab.folder).as_posix()
    matching = (p for p in lab.own_images.layers if compiled((p,)).ignores(name))
    return next(matching, REST)
