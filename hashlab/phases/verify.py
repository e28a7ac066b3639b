"""Phase ``verify``: runs the application's own smoke test."""

from __future__ import annotations

from hashlab.phases.steps import run_step
from hashlab.phases.world import World
from hashlab.pipeline import Track
from hashlab.state.files import is_file, remove


def verify(world: World, track: Track, _: str) -> None:
    """Promise: the application's own smoke test passed."""
    run_step(world, track, world.lab.verify, "verify")
    remove(world.state.unverified)


def verify_after_change(world: World, track: Track, _: str) -> None:
    """Promise: as ``verify``, unless nothing changed since it passed."""
    if not is_file(world.state.unverified):
        track.skip("nothing changed")
        return
    if world.stopped():
        track.skip(f"stopped: {', '.join(sorted(world.stopped()))}")
        return
    verify(world, track, _)
