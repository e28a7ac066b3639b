"""Keeps the data of a stale machine that ``dev --replace`` removes, for the machine after it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from hashlab.errors import LabError, LaptopError
from hashlab.phases.boxes.registry import recipe_manifest, registered_boxes
from hashlab.phases.connect import reconnect
from hashlab.phases.containers.actions import stop_container
from hashlab.phases.containers.fronts import drain
from hashlab.phases.containers.sandbox import tell_apart
from hashlab.phases.ports import close_ports_of
from hashlab.phases.world import World
from hashlab.pipeline import Track, parallel
from hashlab.protocols import LAB_LABEL, ContainerState, Link
from hashlab.state.files import (
    StateFolder,
    is_file,
    open_binary,
    read_json,
    remove,
    replacing,
    write_json,
)
from hashlab.state.private import kind

ARCHIVE = ["--numeric-owner", "--xattrs", "--xattrs-include=*", "--sparse"]


@dataclass(frozen=True)
class Kept:
    """The kept data of a machine. ``host_key``: the machine's, which distinguishes it from the
    machine that replaces it; ``volumes``: the named volumes in the archive.
    """

    host_key: str
    volumes: tuple[str, ...]


def stale_machines(world: World) -> list[str]:
    """Return the machines of another box than the lab now asks for. That box must be registered."""
    wanted = recipe_manifest(world).recipe
    existing = world.provider.machines.observe_all(world.lab)
    stale = [machine.name for machine in existing if machine.recipe != wanted]
    if stale and wanted not in {box.recipe for box in registered_boxes(world)}:
        raise LaptopError(
            "the box is stale too: new machines would be as old",
            next_step="hashlab init-box, then hashlab dev --replace",
        )
    return stale


def archive_path(state: StateFolder, machine: str) -> Path:
    """Return the path of a machine's kept data, a tar archive."""
    return state.kept / f"{machine}.tar"


def note_path(state: StateFolder, machine: str) -> Path:
    """Return the path of the note that says whose data the archive holds; it is written last."""
    return state.kept / f"{machine}.json"


def load_kept(state: StateFolder, machine: str) -> Kept | None:
    """Return the note on a machine's kept data; None if no data was kept. Raises LaptopError if the
    note is damaged: without it the data would be lost.
    """
    note = note_path(state, machine)
    if not (is_file(archive_path(state, machine)) and kind(str(note))):
        return None
    value = read_json(note)
    try:
        return Kept(str(value["host_key"]), tuple(map(str, value["volumes"])))
    except (KeyError, TypeError) as error:
        data = archive_path(state, machine)
        raise LaptopError(
            f"the note on the kept data of {machine} cannot be read",
            where=str(note),
            next_step=f"the data is in {data}; to discard it, remove both files",
        ) from error


def keep_data(world: World, track: Track, _: str, *, machine: str) -> None:
    """Promise: the machine's containers are stopped, and all data of its named volumes is on the
    laptop. Data that an earlier run kept and that was not restored yet is not overwritten.
    """
    reconnect(world, track, machine)
    link, state = world.link(machine), world.state
    kept = load_kept(state, machine)
    if kept is not None and kept.host_key != world.facts.machines.endpoints[machine].host_key:
        track.skip(f"kept by an earlier run in {archive_path(state, machine)}")
        return
    world.about_to_change(restart=True)
    _stop_containers(world, link, track)
    volumes = _volumes_with_data(world, link)
    if not volumes:
        track.skip("the machine has no named volumes")
        return
    try:
        size = _save(world, link, volumes, track)
    except OSError as error:
        raise LaptopError(
            f"cannot keep the data of {machine}: {error.strerror or error}",
            where=str(state.kept),
            next_step="the machine is as it was, its containers stopped: hashlab dev starts them",
        ) from error
    track.detail(f"{len(volumes)} volumes, {size / 1e6:.0f} MB, in {archive_path(state, machine)}")


def _volumes_with_data(world: World, link: Link) -> tuple[str, ...]:
    """Return the volumes of a machine whose data is in the engine's own folder: not those that
    driver_opts put elsewhere.
    """
    own = link.engine.volumes({LAB_LABEL: world.lab.id})
    external = {volume.name for volume in world.lab.volumes if volume.external}
    elsewhere = {volume.name for volume in world.lab.volumes if volume.driver_opts}
    found = {*own, *filter(link.engine.has_volume, sorted(external))} - elsewhere
    return tuple(sorted(found))


def _drain_containers(
    world: World, machine: str, containers: Sequence[ContainerState], track: Track
) -> None:
    """Take the replicas of a machine out of their fronts, which may be on other machines."""
    fronts = {service.machine for service in world.lab.services if service.front_of} - {machine}
    for other in sorted(fronts):
        # A front that cannot be reached does not serve either.
        with suppress(LabError):
            reconnect(world, track, other)
    for container in containers:
        drain(world, container, track)


def _stop_containers(world: World, link: Link, track: Track) -> None:
    """Stop all containers of a machine: data that is being written cannot be copied."""
    present = tell_apart(link.engine.containers({LAB_LABEL: world.lab.id}))
    _drain_containers(world, link.machine, present.containers, track)
    track.detail("stopping the containers")
    parallel(
        present.containers, lambda each: stop_container(link.engine, each, world.lab), track.cancel
    )


def _save(world: World, link: Link, volumes: tuple[str, ...], track: Track) -> int:
    state, machine = world.state, link.machine
    remove(note_path(state, machine))
    folders = [f"{volume}/_data" for volume in volumes]
    command = ["sudo", "tar", "--create", *ARCHIVE, "--directory", _volumes_folder(link)]
    with replacing(archive_path(state, machine), lasting=True) as stream:
        size = link.shell.save([*command, "--", *folders], stream, track=track)
    kept = Kept(world.facts.machines.endpoints[machine].host_key, volumes)
    write_json(note_path(state, machine), asdict(kept), lasting=True)
    return size


def _volumes_folder(link: Link) -> str:
    return f"{link.engine.info()['DockerRootDir']}/volumes"


def remove_machine(world: World, track: Track, _: str, *, machine: str) -> None:
    """Promise: the machine is gone, with its disk; nothing on the laptop refers to it."""
    link = world.facts.machines.links.pop(machine)
    # Otherwise the other members of the Swarm would count it as lost, and wait for it.
    with suppress(LabError):
        link.engine.swarm_leave()
    link.engine.close()
    link.shell.close()
    world.facts.machines.endpoints.pop(machine)
    close_ports_of(world, track, machine)
    world.booting.discard_machine(world.lab, machine)
    track.detail("removed")


def restore_data(world: World, track: Track, machine: str) -> None:
    """Promise: the kept data of a replaced machine is on the new machine before any container
    starts there, and no longer on the laptop.
    """
    kept = load_kept(world.state, machine)
    if kept is None:
        track.skip("no kept data")
        return
    same = kept.host_key == world.facts.machines.endpoints[machine].host_key
    if not same:
        world.about_to_change(restart=True)
        size = _put_back(world, kept, machine, track)
        track.sent(size)
    remove(note_path(world.state, machine))
    remove(archive_path(world.state, machine))
    if same:
        track.detail("still there, not replaced")
    else:
        track.detail(f"restored {len(kept.volumes)} volumes, {size / 1e6:.0f} MB")


def _put_back(world: World, kept: Kept, machine: str, track: Track) -> int:
    link = world.link(machine)
    for volume in kept.volumes:
        link.engine.create_volume(volume, {LAB_LABEL: world.lab.id})
    command = ["sudo", "tar", "--extract", *ARCHIVE, "--directory", _volumes_folder(link)]
    with open_binary(archive_path(world.state, machine)) as stream:
        return link.shell.feed(command, stream, track=track)
