"""Phase ``disks``: fills new machines' disks with what the box holds."""

from __future__ import annotations

from hashlab.phases.world import World
from hashlab.pipeline import Track
from hashlab.state.files import write_text


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
