"""Phase ``images`` of ``init-box``: builds the application's images on the laptop."""

from __future__ import annotations

from hashlab.phases.boxes.registry import wanted_box
from hashlab.phases.images import build_images
from hashlab.phases.world import World
from hashlab.pipeline import Track


def build_box_images(world: World, track: Track, _: str) -> None:
    """Promise: every image of the Compose file is on the laptop's engine, up to date."""
    wanted = wanted_box(world)
    if wanted.registered:
        track.skip("unchanged")
        return
    built = build_images(world, list(wanted.manifest.images), track)
    if built:
        track.detail(f"{len(built)} built")
    else:
        track.skip("all there")
