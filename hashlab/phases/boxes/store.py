"""Phase ``store``: puts the application's images into the box."""

from __future__ import annotations

from hashlab.phases.boxes.registry import wanted_box, work_folder
from hashlab.phases.images import write_archive
from hashlab.phases.world import World
from hashlab.pipeline import Track
from hashlab.state.files import remove


def put_images_inside(world: World, track: Track, _: str) -> None:
    """Promise: where a box can hold images, its machines start with all of them in their store."""
    wanted = wanted_box(world)
    if wanted.registered:
        track.skip("unchanged")
        return
    manifest = wanted.manifest
    if not manifest.images:
        track.skip("this provider's boxes hold none: machines are sent theirs")
        return
    archive = work_folder(world) / "images.tar"
    write_archive(world, list(manifest.images), archive, track)
    try:
        world.boxes.build_store(world.lab, manifest, archive, track=track)
    finally:
        remove(archive)
