"""Build ids: the hash of everything that went into a service (pure but for reading files).

A service's *start id* covers what its process read at its start: definition, image, files whose
change restarts it. It is given to the container as HASHLAB_BUILD. Files that only ``sync`` may
change under the running process; the *build id* adds them to the start id.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import astuple, dataclass, field
from pathlib import Path

from hashlab.config.model import Lab, Service, Watch
from hashlab.hashing import digest, short
from hashlab.phases.containers.body import container_body
from hashlab.phases.containers.networking import recipe_of
from hashlab.phases.upload.laptop import (
    LaptopFiles,
    bind_name,
    file_content,
    file_name,
    is_folder,
    mode_of,
    plain,
)


@dataclass(frozen=True)
class Build:
    """The build that a service should run.

    ``start_files`` and ``sync_files`` map paths in the container to content hashes (for a link: to
    its target), ``places`` to paths below the lab's folder on the machine. ``reloadable`` maps
    paths that a running process may take in to files of the laptop. ``mounts`` maps targets of
    mounts to paths below the lab's folder. ``fixed``: hash of everything that needs a restart to
    change. ``copies`` maps paths in the container's own file system to files of the laptop that are
    copied there.
    """

    service: str
    start_id: str
    start_files: Mapping[str, str]
    sync_files: Mapping[str, str]
    places: Mapping[str, str] = field(default_factory=dict)
    reloadable: Mapping[str, Path] = field(default_factory=dict)
    fixed: str = ""
    mounts: Mapping[str, str] = field(default_factory=dict)
    copies: Mapping[str, Path] = field(default_factory=dict)

    @property
    def content(self) -> Mapping[str, str]:
        """The content of every file by its path in the container."""
        return {**self.start_files, **self.sync_files}

    @property
    def reload_files(self) -> dict[str, str]:
        """The content by path of files that a running process may take in."""
        return {path: self.start_files[path] for path in self.reloadable}

    @property
    def id(self) -> str:
        """Return the build id: 12 hex digits."""
        return build_id(self.start_id, self.sync_files)


def build_id(start_id: str, sync_files: Mapping[str, str]) -> str:
    """Return the build id of a process with this start id that sees these synchronised files."""
    return short(digest([start_id, dict(sync_files)])) if sync_files else start_id


def service_build(lab: Lab, service: Service, image_inputs: str, laptop: LaptopFiles) -> Build:
    """Hash everything that goes into a service."""
    reload = lab.reload(service.name)
    start_files: dict[str, str] = {}
    sync_files: dict[str, str] = {}
    places: dict[str, str] = {}
    modes: dict[str, str] = {}
    reloadable: dict[str, Path] = {}
    for bind in service.binds:
        for name, content in laptop.bind(bind).items():
            relative = name.removeprefix(bind_name(lab, bind.source)).removeprefix("/")
            path, inside = bind.source / relative, below(bind.target, relative)
            if is_folder(content) or is_hidden(service, bind.target, inside):
                continue
            # A mount of a single file shows its inode: only a new container sees a new file.
            in_place = bool(relative) and _in_place(service, path)
            kind = sync_files if in_place else start_files
            kind[inside], places[inside] = plain(content), name
            if not in_place:
                modes[inside] = mode_of(content)
            taken = reload.paths if reload and relative and not in_place else ()
            if any(path.is_relative_to(place) for place in taken):
                reloadable[inside] = path
    copies: dict[str, Path] = {}
    for rule, path, content in copied_files(service, laptop):
        inside = rule.place(path)
        kind = sync_files if rule.in_place else start_files
        kind[inside], copies[inside] = plain(content), path
    for mount in service.files:
        start_files[mount.target] = plain(file_content(laptop.file(mount), mount.mode))
        places[mount.target] = file_name(mount)
    fixed: dict[str, object] = {
        "container": container_body(lab, service),
        "image": image_inputs,
        "networks": recipe_of(lab, service),
        **_restarting(service, laptop),
    }
    if service.post_start or service.pre_stop:
        fixed["hooks"] = [astuple(hook) for hook in (*service.post_start, *service.pre_stop)]
    if service.pre_start:
        fixed["steps"] = [astuple(step) for step in service.pre_start]
    others = {path: c for path, c in start_files.items() if path not in reloadable}
    return Build(
        service.name,
        short(digest({**fixed, "files": start_files, "modes": modes})),
        start_files,
        sync_files,
        places,
        reloadable,
        short(digest({**fixed, "files": others})),
        {
            **{bind.target: bind_name(lab, bind.source) for bind in service.binds},
            **{mount.target: file_name(mount) for mount in service.files},
        },
        copies,
    )


def copied_files(service: Service, laptop: LaptopFiles) -> Iterator[tuple[Watch, Path, str]]:
    """Yield rule, path and content of each file that is copied into the container."""
    for rule in service.copied:
        for path, content in laptop.watched(rule).items():
            if service.rule(path) is rule:
                yield rule, path, content


def _restarting(service: Service, laptop: LaptopFiles) -> dict[str, object]:
    """Return the files whose change only restarts the service, by rule."""
    rules = [rule for rule in service.watch if rule.action == "restart"]
    found = [
        {
            path.relative_to(rule.path).as_posix(): plain(c)
            for path, c in laptop.watched(rule).items()
        }
        for rule in rules
    ]
    return {"restart": found} if found else {}


def is_hidden(service: Service, target: str, inside: str) -> bool:
    """Return whether another mount of the service hides this path of the mount at ``target``."""
    others = [
        *(bind.target for bind in service.binds),
        *(mount.target for mount in service.machine_mounts),
        *(volume.target for volume in service.volumes),
        *(tmpfs.target for tmpfs in service.tmpfs),
        *(mount.target for mount in service.files),
    ]
    return any(is_below(inside, other) and len(other) > len(target) for other in others)


def is_below(path: str, folder: str) -> bool:
    """Return whether a path in a container is, or is below, another one."""
    return path == folder or path.startswith(f"{folder.rstrip('/')}/")


def below(target: str, relative: str) -> str:
    """Return the path in a container of a path relative to a mount's source."""
    return f"{target.rstrip('/')}/{relative}" if relative else target


def _in_place(service: Service, path: Path) -> bool:
    """Return whether the most specific watch entry changes a file under the running process; by
    default a changed file restarts.
    """
    rule = service.rule(path)
    return rule is not None and rule.in_place
