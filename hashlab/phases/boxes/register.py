"""Phase ``register``: packs the box and gives it to Vagrant."""

from __future__ import annotations

import json

from hashlab.errors import LaptopError
from hashlab.phases.boxes.contents import described
from hashlab.phases.boxes.packing import METADATA, local_metadata, pack
from hashlab.phases.boxes.registry import wanted_box, work_folder
from hashlab.phases.world import World
from hashlab.pipeline import Track
from hashlab.state.files import remove_tree, write_text


def register(world: World, track: Track, _: str) -> None:
    """Promise: `vagrant box add` knows the box under its recipe's version."""
    wanted = wanted_box(world)
    if wanted.registered:
        track.skip("unchanged")
        return
    manifest = wanted.manifest
    folder = work_folder(world)
    try:
        manifest = described(world, manifest, folder, track)
        files = world.boxes.files(manifest, folder)
        # Nothing to save by compressing what Vagrant unpacks at once.
        box = pack(folder / "hashlab.box", manifest, files, track, compressed=False)
        metadata = folder / METADATA
        write_text(metadata, json.dumps(local_metadata(manifest, box), indent=2))
        world.boxes.register(metadata, track=track)
    except OSError as error:
        raise LaptopError(f"cannot write the box: {error.strerror}", where=str(folder)) from error
    finally:
        remove_tree(folder)
    track.detail(f"{manifest.name} {manifest.version}")
