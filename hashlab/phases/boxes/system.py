"""Phase ``system``: builds the minimal system of the box."""

from __future__ import annotations

from hashlab.phases.boxes.registry import wanted_box
from hashlab.phases.world import World
from hashlab.pipeline import Track


def build_system(world: World, track: Track, _: str) -> None:
    """Promise: the minimal system of the box is built."""
    wanted = wanted_box(world)
    if wanted.registered:
        track.skip("unchanged")
        return
    world.boxes.build_system(world.lab, wanted.manifest, track=track)
