"""Build ids: the hash of everything that went into a service (pure but for reading files).

A service's *start id* covers what its process read at its start: definition, image, files whose
change restarts it. It is given to the container as HASHLAB_BUILD. Files that only ``sync`` may
change under the running process; the *build id* adds them to the start id.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hashlab.config.model import BindMount, Lab, Service
from hashlab.hashing import digest, short
from hashlab.phases.containerspec import container_body
from hashlab.phases.laptopfiles import LaptopFiles, upload_root


@dataclass(frozen=True)
class Build:
    """What a service should be running.

    ``start_files`` and ``sync_files`` map paths inside the container to content hashes,
    ``places`` to names on the machine, ``reloadable`` those that a running process may take in to
    files of the laptop. ``fixed``: hash of all that it cannot take in.
    """

    service: str
    start_id: str
    start_files: Mapping[str, str]
    sync_files: Mapping[str, str]
    places: Mapping[str, str] = field(default_factory=dict)
    reloadable: Mapping[str, Path] = field(default_factory=dict)
    fixed: str = ""

    @property
    def reload_files(self) -> dict[str, str]:
        """Content by path of what a running process may take in."""
        return {path: self.start_files[path] for path in self.reloadable}

    @property
    def id(self) -> str:
        """The build id: 12 hex digits."""
        return build_id(self.start_id, self.sync_files)


def build_id(start_id: str, sync_files: Mapping[str, str]) -> str:
    """The build id of a process started as ``start_id`` that sees these synchronised files."""
    return short(digest([start_id, dict(sync_files)])) if sync_files else start_id


def service_build(lab: Lab, service: Service, image_inputs: str, laptop: LaptopFiles) -> Build:
    """Hash everything that goes into a service."""
    root = upload_root(lab)
    reload = lab.reload(service.name)
    start_files: dict[str, str] = {}
    sync_files: dict[str, str] = {}
    places: dict[str, str] = {}
    reloadable: dict[str, Path] = {}
    for bind in service.binds:
        for name, content in laptop.bind(bind).items():
            path, inside = root / name, _inside(bind, root / name)
            # A mounted single file is its inode: only a new container sees the file in its place.
            in_place = path != bind.source and _action(service, path) == "sync"
            kind = sync_files if in_place else start_files
            kind[inside], places[inside] = content, name
            if reload and path != bind.source and not in_place and _within(path, reload.paths):
                reloadable[inside] = path
    fixed = {
        "container": container_body(lab, service),
        "image": image_inputs,
        "secrets": {mount.target: [laptop.file(mount), mount.mode] for mount in service.files},
    }
    others = {path: c for path, c in start_files.items() if path not in reloadable}
    return Build(
        service.name,
        short(digest({**fixed, "files": start_files})),
        start_files,
        sync_files,
        places,
        reloadable,
        short(digest({**fixed, "files": others})),
    )


def _within(path: Path, places: Iterable[Path]) -> bool:
    return any(path.is_relative_to(place) for place in places)


def _inside(bind: BindMount, path: Path) -> str:
    relative = path.relative_to(bind.source).as_posix()
    return bind.target if relative == "." else f"{bind.target.rstrip('/')}/{relative}"


def _action(service: Service, path: Path) -> str:
    """The most specific watch entry decides; without one a changed file restarts the service."""
    rule = service.rule(path)
    return rule.action if rule else "sync+restart"
