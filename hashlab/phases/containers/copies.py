"""Copies files of watch rules into a container's own file system, where no mount shows them."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from hashlab.errors import LabError
from hashlab.phases.builds import Build, copied_files
from hashlab.phases.upload.machine import Inside, MachineFiles
from hashlab.phases.upload.transfer import add_entry
from hashlab.phases.world import World
from hashlab.protocols import ContainerState, Engine

ROOT = "0"


@dataclass(frozen=True)
class Copies:
    """The difference between a running container and the files that it should have: paths in it
    whose content differs, and paths that were copied once and are gone on the laptop.
    """

    send: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.send or self.remove)

    def __str__(self) -> str:
        counts = {"copied": len(self.send), "deleted": len(self.remove)}
        return ", ".join(f"{count} {word}" for word, count in counts.items() if count)


def difference(
    build: Build, container: ContainerState, inside: Inside, files: MachineFiles
) -> Copies:
    """Compare the copied files of a running container with those that it should have. Pure."""
    content, root = build.content, f"/proc/{container.pid}/root"
    known = files.processes.get(container.id)
    return Copies(
        send=tuple(p for p in build.copies if inside.seen.get(root + p) != content[p]),
        remove=tuple(p for p in (known.copied if known else ()) if p not in build.copies),
    )


def copy(
    world: World, engine: Engine, container: str, build: Build, paths: Collection[str]
) -> None:
    """Copy files of the laptop to these paths. Raises LabError, FilesChanged."""
    if paths:
        engine.put(container, _packed(world, build, paths))


def remove(engine: Engine, container: str, paths: Collection[str]) -> None:
    """Remove these paths from a running container. Raises LabError."""
    if not paths:
        return
    done = engine.execute(container, ["rm", "-f", "--", *paths], user=ROOT)
    if done.code != 0:
        raise LabError("cannot delete files in the container", output=done.stderr)


def _packed(world: World, build: Build, paths: Collection[str]) -> bytes:
    described = _described(world, build)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for path in sorted(paths):
            add_entry(archive, path.lstrip("/"), described[path], build.copies[path])
    return buffer.getvalue()


def _described(world: World, build: Build) -> Mapping[str, str]:
    """Return what the laptop has for each copied path, with its mode."""
    files = copied_files(world.lab.service(build.service), world.laptop_files())
    return {rule.place(path): content for rule, path, content in files}
