"""Phases ``prepare``, ``disks`` and ``boot``: machines that are there and up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hashlab.errors import LabError
from hashlab.phases.boxes.registry import recipe_manifest, registered_boxes, require_box
from hashlab.phases.keys import ensure_key
from hashlab.phases.layout import lay_out, subnet_of, vagrantfile
from hashlab.phases.ports import close_ports_of
from hashlab.phases.recipe import stale_notes
from hashlab.phases.world import World
from hashlab.pipeline import Track, parallel
from hashlab.protocols import ObservedMachine
from hashlab.state.files import names, read_text, remove, write_text


def prepare(world: World, track: Track, _: str) -> None:
    """Promise: everything `vagrant up` needs is there: key, Vagrantfile, disks of new machines."""
    box = require_box(world, track)
    _discard_half_restored(world)
    for name in world.provider.machines.discard_half_built(world.lab):
        world.note(f"machine {name} was half built by an earlier run and is made anew")
    observed = {machine.name: machine for machine in world.provider.machines.all(world.lab)}
    world.facts.observed = observed
    layout = lay_out(world, observed)
    public_key = ensure_key(world)
    new = [machine for machine in world.lab.machines if machine.name not in observed]
    remove(world.state.disks_ready)
    for machine in new:
        forget_machine(world, machine.name)
    if new:
        planned = [layout.planned[machine.name] for machine in new]
        world.provider.machines.prepare(world.lab, planned, box, subnet_of(layout), track=track)
    if observed:
        world.provider.machines.adopt(world.lab, world.state.vagrant, public_key)
    write_text(world.state.vagrantfile, vagrantfile(world, layout, box, public_key))
    _note_stale(world, observed)
    if not new:
        track.skip(f"{len(observed)} machines exist")


def _discard_half_restored(world: World) -> None:
    """Machines of which some may be of another instant than the others are no lab."""
    text = read_text(world.state.restoring)
    if text is None:
        return
    name = text.strip()
    snapshots = world.provider.snapshots
    if snapshots is not None and not snapshots.outlive_machines:
        raise LabError(
            f"a restore of {name} was cut off, and without the machines {name} is gone, too",
            where=world.lab.name,
            next_step=f"hashlab restore {name}; or, to give all up: hashlab destroy",
        )
    world.provider.machines.discard(world.lab)
    remove(world.state.restoring)
    world.note(
        f"a restore of {name} was cut off, so the machines are made anew. "
        f"For its data: hashlab restore {name}"
    )


def forget_machine(world: World, name: str) -> None:
    """Remove what Vagrant remembers of a machine that is gone: by it, it would make the next one
    from the same box. What ties it to Vagrant's own list of machines stays.
    """
    folder = world.state.vagrant / "machines" / name
    for provider in names(folder):
        for file in names(folder / provider):
            if file != "index_uuid":
                remove(folder / provider / file)


def _note_stale(world: World, observed: Mapping[str, ObservedMachine]) -> None:
    registered = {box.recipe for box in registered_boxes(world)}
    machines = {name: machine.recipe for name, machine in observed.items()}
    for note in stale_notes(recipe_manifest(world).recipe, registered, machines):
        world.note(note)


def make_disks(world: World, track: Track, _: str) -> None:
    """Promise: new machines' disks hold what the box holds. Vagrant is already starting; it waits
    for the file this writes before it creates a machine.
    """
    observed = world.facts.observed or {}
    new = [m for m in world.lab.machines if m.name not in observed]
    if new and world.facts.box:
        world.provider.machines.fill_disks(world.lab, new, world.facts.box, track=track)
    else:
        track.skip("no new machines")
    write_text(world.state.disks_ready, "")


def boot(world: World, track: Track, _: str) -> None:
    """Promise: Vagrant says that every machine is up."""
    observed = world.facts.observed or {}
    running = [m.name for m in observed.values() if m.state == "running"]
    missing = [name for name in world.machine_names() if name not in running]
    if not missing:
        track.skip(f"{len(running)} machines run")
        return
    _check_ports(world, observed)
    for name in missing:
        # It would look open for some seconds, though what it leads to is gone.
        close_ports_of(world, track, name)
    box = world.facts.box or require_box(world, track)
    for calls in world.provider.machines.boot_plan(missing, box):
        if len(calls) == 1:
            world.vagrant.up(calls[0], track=track)
        else:
            parallel(calls, lambda names: _up(world, track, names), track.cancel)
    track.detail(f"{', '.join(missing)} up")


def _check_ports(world: World, observed: Mapping[str, ObservedMachine]) -> None:
    """Raise LabError for a stopped machine one of whose ports another program has taken: it was
    made with them, and does not start without.
    """
    if not world.provider.keeps_ports:
        return
    for machine in observed.values():
        taken = [port for port in machine.forwarded.values() if not world.port_is_free(port)]
        if machine.state == "stopped" and taken:
            listed = ", ".join(str(port) for port in taken)
            raise LabError(
                f"it cannot start, because another program has its port {listed} of this laptop",
                where=machine.name,
                next_step="stop that program (ss -ltnp shows it), then hashlab dev; or, without "
                "the machine's data: hashlab destroy, hashlab dev",
            )


def _up(world: World, track: Track, names: Sequence[str]) -> None:
    """One of several calls at once: a row of its own."""
    with track.child("vagrant up", machine=", ".join(names)) as step:
        world.vagrant.up(names, track=step)
