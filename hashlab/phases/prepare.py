"""Phase ``prepare``: makes everything that booting needs."""

from __future__ import annotations

from collections.abc import Mapping

from hashlab.errors import LabError
from hashlab.phases.addresses import plan_machines, subnet_of
from hashlab.phases.boxes.registry import recipe_manifest, registered_boxes, require_box
from hashlab.phases.facts import Prepared
from hashlab.phases.keys import ensure_key
from hashlab.phases.recipe import stale_notes
from hashlab.phases.suspend import resume_machines
from hashlab.phases.world import World
from hashlab.pipeline import Track
from hashlab.protocols import ObservedMachine
from hashlab.state.files import read_text, remove


def prepare(world: World, track: Track, _: str) -> None:
    """Promise: everything that booting needs exists: key, plan of the machines, network."""
    box = require_box(world, track)
    _discard_half_restored(world)
    for name in resume_machines(world):
        world.note(f"{name} was suspended; it goes on")
    for name in world.booting.discard_half_built(world.lab):
        world.note(f"an earlier run left machine {name} half built; it is created again")
    observed = {machine.name: machine for machine in world.provider.machines.observe_all(world.lab)}
    world.facts.prepared = Prepared(box, observed)
    planned = plan_machines(world, observed)
    public_key = ensure_key(world)
    new = [machine for machine in world.lab.machines if machine.name not in observed]
    remove(world.state.disks_ready)
    for machine in new:
        world.booting.forget(machine.name)
    if new:
        _note_choice(world)
        world.booting.prepare(
            world.lab, [planned[m.name] for m in new], box, subnet_of(planned), track=track
        )
    if observed:
        world.booting.adopt(world.lab, public_key)
    world.booting.write_plan(world.lab, planned, box, public_key)
    _note_stale(world, observed)
    if not new:
        track.skip(f"{len(observed)} machines exist")


def _discard_half_restored(world: World) -> None:
    """Discard a half-restored lab: its machines may be from different points in time."""
    text = read_text(world.state.restoring)
    if text is None:
        return
    name = text.strip()
    snapshots = world.provider.snapshots
    if snapshots is not None and not snapshots.outlive_machines:
        raise LabError(
            f"a restore of {name} was interrupted; removing the machines would remove {name} too",
            where=world.lab.name,
            next_step=f"hashlab restore {name}; or, to discard everything: hashlab destroy",
        )
    world.booting.discard(world.lab)
    remove(world.state.restoring)
    world.note(
        f"a restore of {name} was interrupted, so the machines are created again. "
        f"For its data: hashlab restore {name}"
    )


def _note_choice(world: World) -> None:
    """Note which machines hashlab chose, and for which services."""
    if world.lab.own_machines:
        return
    services = world.lab.services
    chosen = {m: [s.name for s in services if s.machine == m] for m in world.machine_names()}
    listed = ", ".join(f"{name} ({', '.join(there)})" for name, there in chosen.items())
    world.note(
        f"hashlab chose the machines of lab {world.lab.name}: {listed}. To choose: hashlab init"
    )


def _note_stale(world: World, observed: Mapping[str, ObservedMachine]) -> None:
    registered = {box.recipe for box in registered_boxes(world)}
    machines = {name: machine.recipe for name, machine in observed.items()}
    for note in stale_notes(recipe_manifest(world).recipe, registered, machines):
        world.note(note)
