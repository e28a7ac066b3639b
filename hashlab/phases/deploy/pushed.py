"""Phase ``pushed``: checks that the registry has the images before a Swarm is asked to run them."""

from __future__ import annotations

from hashlab.errors import LabError
from hashlab.phases.deploy.target import Target
from hashlab.phases.selfcontained.load import made_images
from hashlab.phases.selfcontained.store import Store
from hashlab.phases.world import World
from hashlab.pipeline import Track, parallel


def check_pushed(world: World, track: Track, _: str, *, target: Target) -> None:
    """Promise: the registry has every image by its digest. Nothing is sent."""
    images = made_images(Store(world.state.oci))
    to = target.images
    registry = world.open_registry(to.host)
    try:
        found = parallel(
            images,
            lambda image: registry.manifest(to.repository(image), image.digest) == image.digest,
            track.cancel,
        )
    finally:
        registry.close()
    missing = [image.service for image, there in zip(images, found, strict=True) if not there]
    if missing:
        raise LabError(
            f"{to.shown} lacks the images of {', '.join(missing)} as they are now",
            next_step=f"hashlab push {to.shown}",
        )
    track.detail(f"{to.shown} has all {len(images)} images")
