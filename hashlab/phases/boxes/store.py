"""Phase ``store``: puts the application's images into the box."""

from __future__ import annotations

from hashlab.errors import LaptopError
from hashlab.phases.boxes.registry import wanted_box, work_folder
from hashlab.phases.world import World
from hashlab.pipeline import Track
from hashlab.state.files import open_binary, remove


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
    try:
        written = 0
        with open_binary(archive, write=True) as stream:
            for chunk in world.laptop_engine().save_images(list(manifest.images)):
                track.cancel.check()
                written += stream.write(chunk)
                track.progress(written / 1e6, None, "MB")
        world.provider.boxes.build_store(world.lab, manifest, archive, track=track)
    except OSError as error:
        raise LaptopError(f"cannot write {archive}: {error.strerror}") from error
    finally:
        remove(archive)
