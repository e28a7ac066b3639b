"""Copies files between the laptop and a container, as `docker cp` does."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import IO

from hashlab.errors import LabError, UsageError
from hashlab.phases.connect import reconnect
from hashlab.phases.containers.missing import check_container
from hashlab.phases.programs import COPY_FROM, COPY_TO
from hashlab.phases.world import World
from hashlab.pipeline import Track

# At the end of a path: the content of a folder, not the folder.
CONTENT = "/."


def copy_from(
    world: World, track: Track, *, machine: str, container: str, path: str, target: Path
) -> None:
    """Copy a file or folder of a container to the laptop: into ``target`` if that is a folder, else
    to this name. Raises LabError, UsageError.
    """
    reconnect(world, track, machine)
    command = ["sh", "-c", COPY_FROM, "sh", container, path]
    with TemporaryFile() as file, TemporaryDirectory() as folder:
        try:
            world.link(machine).shell.save(command, file, track=track)
        except LabError as error:
            check_container(world, machine, container, runs=False)
            raise LabError(
                f"cannot copy {path}",
                where=f"{container} on {machine}",
                output=error.output or error.what,
                next_step="check the path",
            ) from error
        file.seek(0)
        _extract(file, Path(folder), path)
        if path.endswith(CONTENT):
            _put(Path(folder), target)
            return
        for entry in Path(folder).iterdir():
            _put(entry, target / entry.name if target.is_dir() else target)


def copy_to(
    world: World, track: Track, *, machine: str, container: str, path: str, source: str
) -> None:
    """Copy a file or folder of the laptop to a container: into ``path`` if that is a folder there,
    else to this name. Raises LabError, UsageError.
    """
    name = "." if source.endswith(CONTENT) else Path(source).resolve().name
    reconnect(world, track, machine)
    with TemporaryFile() as file:
        try:
            with tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as archive:
                archive.add(source, arcname=name)
        except OSError as error:
            raise UsageError(f"{source}: {error.strerror}", next_step="check the path") from error
        file.seek(0)
        command = ["sh", "-c", COPY_TO, "sh", container, path, name]
        try:
            world.link(machine).shell.feed(command, file, track=track)
        except LabError:
            check_container(world, machine, container, runs=False)
            raise


def _extract(file: IO[bytes], folder: Path, path: str) -> None:
    """Unpack what a container sent. A link in it that leads elsewhere is refused."""
    try:
        with tarfile.open(fileobj=file) as archive:
            archive.extractall(folder, filter="data")
    except tarfile.TarError as error:
        raise LabError(f"{path} cannot be copied: {error}", next_step="copy parts of it") from error


def _put(entry: Path, target: Path) -> None:
    try:
        if entry.is_dir() and not entry.is_symlink():
            shutil.copytree(entry, target, symlinks=True, dirs_exist_ok=True)
        else:
            shutil.copy2(entry, target, follow_symlinks=False)
    except OSError as error:
        what = f"{target} cannot be written: {error.strerror or error}"
        raise UsageError(what, next_step="name another path") from error
