"""Phases of ``destroy``: remove machines, leftovers and local state, then check."""

from __future__ import annotations

from contextlib import suppress

from hashlab.errors import LabError, LaptopError
from hashlab.phases.boxes.registry import registered_boxes, remove_box
from hashlab.phases.connect import silent
from hashlab.phases.keys import ensure_key
from hashlab.phases.observe import forget_observed
from hashlab.phases.ports import close_ports
from hashlab.phases.snapshots.manifests import saved_of
from hashlab.phases.stop import run_pre_stop
from hashlab.phases.world import World
from hashlab.pipeline import Track
from hashlab.state.files import (
    UNFINISHED,
    StateFolder,
    is_file,
    names,
    remove,
    remove_tree,
)


def destroy_machines(world: World, track: Track, _: str) -> None:
    """Promise: no machine of the lab is left, however half-built it was."""
    observed = world.provider.machines.observe_all(world.lab)
    if observed:
        _run_last_hooks(world, track)
        # A machine that cannot take the key is removed too, at the latest with the leftovers; so is
        # every machine while the disk is full.
        with suppress(LabError, LaptopError):
            world.booting.adopt(world.lab, ensure_key(world))
    close_ports(world, track)
    left = world.booting.destroy(world.lab, made=bool(observed), track=track)
    if left:
        world.note(left)
    if observed:
        track.detail(", ".join(machine.name for machine in observed))
    else:
        track.skip("no machines")


def _run_last_hooks(world: World, track: Track) -> None:
    """Run the ``pre_stop`` hooks on machines that answer. They go in any case, so a failure is
    only noted.
    """
    wanted = {service.machine for service in world.lab.services if service.pre_stop}
    if not wanted:
        return
    silent_now = silent(world)
    for machine in sorted(wanted):
        try:
            if machine in silent_now or machine not in world.facts.machines.links:
                raise LabError("it does not answer", where=machine)
            run_pre_stop(world, track, machine)
        except LabError as error:
            world.note(f"pre_stop hooks on {machine} did not all run: {error.what}")


def discard_leftovers(world: World, track: Track, _: str) -> None:
    """Promise: volumes, networks and everything else that is left are removed."""
    removed = world.booting.discard(world.lab)
    if removed:
        track.detail(f"{len(removed)} removed")
    else:
        track.skip("nothing left")


def forget(world: World, track: Track, _: str) -> None:
    """Promise: nothing on the laptop refers to removed machines. Run records stay."""
    _forget(world, track, keep_observed=False)


def forget_but_observed(world: World, track: Track, _: str) -> None:
    """Promise: nothing on the laptop refers to removed machines. Run records and logs stay."""
    _forget(world, track, keep_observed=True)


def _forget(world: World, track: Track, *, keep_observed: bool) -> None:
    state = world.state
    forget_observed(world, keep=keep_observed)
    for path in (state.vagrant, state.ssh, state.kept, state.images):
        remove_tree(path)
    providers = [name for name in names(state.root) if name != state.provider]
    others = [name for name in providers if is_file(StateFolder(state.root, name).vagrantfile)]
    # This lab's machines on another provider were made with the same secrets.
    if not others:
        remove_tree(state.secrets)
        remove(state.places)
    for path in (
        state.machines,
        state.vagrantfile,
        state.unverified,
        state.stopped,
        state.suspended,
        state.disks_ready,
        state.seen,
    ):
        remove(path)
    remove(state.restoring)
    # Unfinished files of a killed run.
    for folder in (state.root, state.own, state.runs, state.snapshots):
        for name in names(folder):
            if name.endswith(UNFINISHED):
                remove(folder / name)
    _note_snapshots(world)
    track.detail("key, secrets and cached endpoints")


def _note_snapshots(world: World) -> None:
    """Note the snapshots that stay on the disk, and those that went with their machines."""
    if world.provider.snapshots is None:
        return
    names = world.provider.snapshots.kept(world.lab)
    if names:
        world.note(
            f"snapshots stay: {', '.join(names)}. They still hold the lab's data and its secrets. "
            "To remove one: hashlab snapshots prune NAME"
        )
    gone = [name for name in saved_of(world) if name not in names]
    if gone:
        world.note(
            f"snapshots that went with their machines: {', '.join(gone)}. "
            "To forget one: hashlab snapshots prune NAME"
        )


def destroy_box(world: World, track: Track, _: str) -> None:
    """Promise: the lab's boxes, their images and image stores are gone."""
    removed = _remove_boxes(world, track)
    if removed:
        track.detail(", ".join(removed))
    else:
        track.skip("no box")


def _remove_boxes(world: World, track: Track) -> list[str]:
    """Remove the lab's registered boxes, what they are based on, and the built images."""
    removed: list[str] = []
    users = world.boxes.users()
    for manifest in registered_boxes(world):
        if users.get(manifest.recipe):
            machines = ", ".join(users[manifest.recipe])
            world.note(f"box {manifest.version} stays: {machines} were made from it")
        else:
            removed += remove_box(world, manifest, track)
    engine = world.laptop_engine()
    for image in world.lab.images:
        if image.build is not None and engine.remove_image(image.name):
            removed.append(f"image {image.name}")
    stages = engine.stages(world.lab.id)
    for name in stages:
        engine.remove_image(name)
    if stages:
        removed.append(f"{len(stages)} images of build stages")
    return removed


def look(world: World, track: Track, _: str) -> None:
    """Promise: nothing of the lab is left. The row says which things were looked for."""
    left = world.booting.leftovers(world.lab)
    if left:
        raise LabError(
            "still there: " + ", ".join(left),
            where=world.lab.name,
            next_step="run hashlab destroy again",
        )
    track.detail(f"none left: {world.booting.leftover_kinds()}")
