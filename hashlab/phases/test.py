"""Phase ``test``: runs the tests that need no lab."""

from __future__ import annotations

from hashlab.phases.steps import run_step
from hashlab.phases.world import World
from hashlab.pipeline import Track


def run_tests(world: World, track: Track, _: str) -> None:
    """Promise: the user's own tests of the sources pass."""
    run_step(world, track, world.lab.test, "test")
