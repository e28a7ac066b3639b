"""Phase ``disks``: fills new machines' disks with what the box holds."""

from __future__ import annotations

from hashlab.phases.facts import filled
from hashlab.phases.world import World
from hashlab.pipeline import Track
from hashlab.state.files import write_text


def make_disks(world: World, track: Track, _: str) -> None:
    """Promise: new machines' disks hold what the box holds. Vagrant, which is already starting,
    waits for the file that this phase writes before it creates a machine.
    """
    prepared = filled(world.facts.prepared, "prepare")
    new = [m for m in world.lab.machines if m.name not in prepared.observed]
    if new:
        world.booting.fill_disks(world.lab, new, prepared.box, track=track)
    else:
        track.skip("no new machines")
    write_text(world.state.disks_ready, "")
