"""Phase ``prune`` of images: removes what the newest images do not need."""

from __future__ import annotations

from hashlab.phases.selfcontained.store import Store
from hashlab.phases.world import World
from hashlab.pipeline import Track


def prune_images(world: World, track: Track, _: str) -> None:
    """Promise: the store holds only the newest image of each service."""
    count, freed = Store(world.state.oci).prune()
    if count:
        track.detail(f"removed {count} layers and descriptions, {freed / 1e6:.1f} MB")
    else:
        track.skip("nothing is left over")
