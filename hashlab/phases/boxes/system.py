"""Phase ``system``: builds the minimal system of the box."""

from __future__ import annotations

from hashlab.phases.boxes.registry import wanted_box
from hashlab.phases.world import World
from hashlab.pipeline import Track


def build_system(world: World, track: Track, _: str) -> None:
    """Promise: the minimal system of the box is built."""
    if world.facts.box_current:
        track.skip("unchanged")
        return
    world.provider.boxes.build_system(world.lab, wanted_box(world), track=track)
