"""Phase ``seed``: loads the lab's sample data."""

from __future__ import annotations

from hashlab.phases.steps import run_step
from hashlab.phases.world import World
from hashlab.pipeline import Track


def seed(world: World, track: Track, _: str) -> None:
    """Promise: the lab holds its sample data. The user's command does not load it twice."""
    run_step(world, track, world.lab.seed, "seed")


def seed_after_change(world: World, track: Track, _: str) -> None:
    """Promise: as ``seed``. Skips if no container was started since the lab was last verified."""
    if not world.may_have_lost_data():
        track.skip("no container was started")
        return
    if world.stopped():
        track.skip(f"stopped: {', '.join(sorted(world.stopped()))}")
        return
    seed(world, track, _)
