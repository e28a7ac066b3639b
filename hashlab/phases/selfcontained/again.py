"""Phase ``build again``: builds everything a second time, and names what differs."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from hashlab.config.model import Build, Image
from hashlab.errors import LabError
from hashlab.phases.images import build_image
from hashlab.phases.selfcontained.bases import Base, take_base
from hashlab.phases.selfcontained.normal import differences
from hashlab.phases.selfcontained.store import Store
from hashlab.phases.world import World
from hashlab.pipeline import Track
from hashlab.state.files import open_binary

SECOND = "hashlab-second-build"
SHOWN = 5


def build_again(world: World, track: Track, _: str) -> None:
    """Promise: a second build of each image, from nothing, gives the same layers. Raises LabError
    that names each layer that differs, its step, and the first files in it.
    """
    used = {service.image for service in world.source_lab.services}
    built = [(i, i.build) for i in world.lab.images if i.build and i.name in used]
    wrong: list[str] = []
    for image, build in built:
        with track.child("second build", service=image.name) as step:
            found = list(_compared(world, image, build, step))
            step.detail(f"{len(found)} layers differ" if found else "the same layers")
            wrong += found
    if wrong:
        raise LabError(
            "\n".join(wrong),
            where="a second build of the same files differs",
            next_step="docs/how-to/images.md says how to make a Dockerfile reproducible",
        )
    track.detail(f"{len(built)} images are the same")


def _compared(world: World, image: Image, build: Build, track: Track) -> Iterator[str]:
    store, engine = Store(world.state.oci), world.laptop_engine()
    first = take_base(world, store, image.name, track)
    try:
        build_image(world, image, build, track, second=SECOND)
        second = take_base(world, store, SECOND, track)
        if len(first.layers) != len(second.layers):
            yield f"{image.name}: {len(first.layers)} and {len(second.layers)} layers"
            return
        yield from _differing(store, image.name, first, second)
    finally:
        for name in (SECOND, *engine.stages(SECOND)):
            engine.remove_image(name, force=True)


def _differing(store: Store, name: str, first: Base, second: Base) -> Iterator[str]:
    for number, (one, other) in enumerate(zip(first.layers, second.layers, strict=True), 1):
        if one.blob == other.blob:
            continue
        with (
            open_binary(store.path(one.blob.digest)) as before,
            open_binary(store.path(other.blob.digest)) as after,
        ):
            paths = list(islice(differences(before, after), SHOWN + 1))
        more = ", and more" if len(paths) > SHOWN else ""
        files = ", ".join(paths[:SHOWN]) or "the order of its files"
        yield f"{name}, layer {number} ({one.origin or 'unknown step'}): {files}{more}"
