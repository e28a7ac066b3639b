"""Phase ``base``: the images that machines and the application's own images are made from."""

from __future__ import annotations

import re
import shutil

from hashlab.errors import LabError, LaptopError
from hashlab.phases.boxes.registry import wanted_box, work_folder
from hashlab.phases.world import World
from hashlab.pipeline import Track
from hashlab.state.files import remove

BASE_SECONDS = 900.0
# Debian is the only base image that can be made without a registry.
FROM_DEBIAN = re.compile(r"^\s*FROM\s+(?:--\S+\s+)*(debian:[\w.-]+)", re.IGNORECASE | re.MULTILINE)


def make_bases(world: World, track: Track, _: str) -> None:
    """Promise: the box's base image is on the laptop's engine, and every Debian that the images of
    the Compose file are built from: pulled, or made from Debian packages where no registry answers.
    """
    bases = base_images(world)
    registered = wanted_box(world).registered
    existing = set(bases) if registered else set(world.laptop_engine().image_labels(bases))
    brought = [_bring(world, base, track) for base in bases if base not in existing]
    if brought:
        track.detail(", ".join(brought))
    else:
        track.skip(f"{', '.join(bases)} {'is' if len(bases) == 1 else 'are'} there")


def base_images(world: World) -> list[str]:
    """Return the names of these images, the box's first."""
    bases = {world.lab.box.base: None}
    for image in world.lab.images:
        if image.build is not None:
            file = image.build.dockerfile
            text = file.read_text("utf-8", "replace") if file else image.build.dockerfile_inline
            bases |= dict.fromkeys(FROM_DEBIAN.findall(text))
    return list(bases)


def _bring(world: World, base: str, track: Track) -> str:
    """Pull or make one base image; return what was done."""
    try:
        world.laptop_engine().pull(base, track=track)
    except LabError as error:
        track.output(str(error))
        _debootstrap(world, base, track)
        return f"{base} made with mmdebstrap"
    return f"{base} pulled"


def _debootstrap(world: World, base: str, track: Track) -> None:
    """Make ``debian:SUITE[-slim]`` with mmdebstrap."""
    repository, _, tag = base.rpartition(":")
    suite = tag.removesuffix("-slim")
    if repository != "debian" or shutil.which("mmdebstrap", path=world.environ.get("PATH")) is None:
        raise LaptopError(
            f"cannot pull the base image {base}",
            next_step="check the network or `docker pull` it; on Debian or Ubuntu "
            "`apt-get install mmdebstrap` lets hashlab make debian:* images itself",
        )
    track.detail(f"making {base} with mmdebstrap")
    archive = work_folder(world) / "base.tar"
    excludes = ("doc", "man", "info", "locale")
    options = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in excludes]
    try:
        done = world.runner.run(
            ["mmdebstrap", "--variant=minbase", *options, suite, str(archive)],
            timeout=BASE_SECONDS,
            cancel=track.cancel,
            on_line=track.output,
        )
        if done.code != 0:
            raise LabError("mmdebstrap failed", where=base, output=done.stderr)
        with archive.open("rb") as stream:
            world.laptop_engine().import_image(base, stream)
    finally:
        remove(archive)
