"""Phase ``pull``: the laptop's engine gets the newest images that services only name."""

from __future__ import annotations

from collections.abc import Sequence

from hashlab.errors import LabError
from hashlab.phases.images import pulled_contents, save_contents
from hashlab.phases.world import World
from hashlab.pipeline import Track


def pull_images(world: World, track: Track, _: str, *, services: Sequence[str]) -> None:
    """Promise: the laptop's engine has the newest image of each of these services that is not built
    here. The next refresh brings those that changed to the machines. Raises LabError after all were
    tried, with those that could not be pulled.
    """
    built = {image.name for image in world.lab.images if image.build is not None}
    named = {name for each in world.lab.services if each.name in services for name in each.images}
    names = sorted(named - built)
    failed = [error for name in names if (error := _pull(world, track, name))]
    if failed:
        raise LabError(
            "\n".join(error.what for error in failed),
            output="\n".join(filter(None, (error.output for error in failed))),
            next_step="check the name, the network and `docker login`; images that are here stay",
        )
    if names:
        track.detail(f"{len(names)} pulled; hashlab refresh brings what changed")
    else:
        track.skip("all images are built here: hashlab build")


def _pull(world: World, track: Track, name: str) -> LabError | None:
    """Pull one image, and save what a refresh has to bring; return why that failed.

    An image that was here and did not change is not saved: its containers stay as they are.
    """
    engine = world.laptop_engine()
    try:
        with track.child("image", service=name) as step:
            before = engine.image_contents([name]).get(name)
            engine.pull(name, track=step)
            after = engine.image_contents([name])[name]
            step.detail("unchanged" if before == after else "pulled")
            if before != after or name in pulled_contents(world):
                save_contents(world, {name: after})
    except LabError as error:
        return error
    return None
