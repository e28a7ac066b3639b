"""Phase ``test``: runs the tests that need no lab."""

from __future__ import annotations

import shlex

from hashlab.phases.steps import run_step
from hashlab.phases.world import World
from hashlab.pipeline import Track


def run_tests(world: World, track: Track, _: str) -> None:
    """Promise: the user's own tests of the sources pass."""
    step = world.lab.test
    typed = shlex.join(step.command) if step else ""
    run_step(world, track, step, "test", next_step=f"run it by hand in the lab folder: {typed}")
