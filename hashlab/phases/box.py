"""Phases of ``init-box``: recipe, base system, images inside, packaging, registration."""

from __future__ import annotations

import json

from hashlab.errors import LabError, LaptopError
from hashlab.phases.boxes.contents import described
from hashlab.phases.boxes.packing import METADATA, local_metadata, pack
from hashlab.phases.boxes.registry import (
    made_ready,
    recipe_manifest,
    registered_boxes,
    remove_box,
    work_folder,
)
from hashlab.phases.images import build_images
from hashlab.phases.world import World
from hashlab.pipeline import Track
from hashlab.protocols import BoxManifest
from hashlab.state.files import open_binary, remove, remove_tree, write_text


def check_recipe(world: World, track: Track, _: str) -> None:
    """Promise: the facts hold the manifest of the wanted box; ``facts.box_current`` tells whether
    it is registered already, and then the later phases have nothing to do.
    """
    manifest = recipe_manifest(world)
    world.facts.box = manifest
    world.facts.image_inputs.update(manifest.images)
    registered = registered_boxes(world)
    there = next((box for box in registered if box.recipe == manifest.recipe), None)
    if there is not None and made_ready(world, there, track):
        world.facts.box_current = True
        track.skip(f"{manifest.name} {manifest.version} is registered")
        return
    why = "its recipe changed" if registered and there is None else "no box yet"
    track.detail(f"{why}: building {manifest.version}")


def wanted_box(world: World) -> BoxManifest:
    """The manifest found by ``check_recipe``."""
    if world.facts.box is None:
        raise LabError("the recipe was not read")
    return world.facts.box


def build_system(world: World, track: Track, _: str) -> None:
    """Promise: the minimal system of the box is built."""
    if world.facts.box_current:
        track.skip("unchanged")
        return
    world.provider.boxes.build_system(world.lab, wanted_box(world), track=track)


def build_box_images(world: World, track: Track, _: str) -> None:
    """Promise: every image of the Compose file is on the laptop's engine, up to date."""
    if world.facts.box_current:
        track.skip("unchanged")
        return
    built = build_images(world, list(wanted_box(world).images), track)
    if built:
        track.detail(f"{len(built)} built")
    else:
        track.skip("all there")


def put_images_inside(world: World, track: Track, _: str) -> None:
    """Promise: where a box can hold images, its machines start with all of them in their store."""
    if world.facts.box_current:
        track.skip("unchanged")
        return
    manifest = wanted_box(world)
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


def register(world: World, track: Track, _: str) -> None:
    """Promise: `vagrant box add` knows the box under its recipe's version."""
    if world.facts.box_current:
        track.skip("unchanged")
        return
    manifest = wanted_box(world)
    folder = work_folder(world)
    try:
        manifest = described(world, manifest, folder, track)
        files = world.provider.boxes.files(manifest, folder)
        # Nothing to save by compressing what Vagrant unpacks at once.
        box = pack(folder / "hashlab.box", manifest, files, track, compressed=False)
        metadata = folder / METADATA
        write_text(metadata, json.dumps(local_metadata(manifest, box), indent=2))
        world.vagrant.box_add(metadata, track=track)
    except OSError as error:
        raise LaptopError(f"cannot write the box: {error.strerror}", where=str(folder)) from error
    finally:
        remove_tree(folder)
    track.detail(f"{manifest.name} {manifest.version}")


def remove_boxes(world: World, track: Track) -> list[str]:
    """Remove every registered box of the lab, what it stands on, and the application's images."""
    removed: list[str] = []
    users = world.provider.boxes.users()
    for manifest in registered_boxes(world):
        if users.get(manifest.recipe):
            machines = ", ".join(users[manifest.recipe])
            world.note(f"box {manifest.version} stays: {machines} were made from it")
        else:
            removed += remove_box(world, manifest, track)
    engine = world.laptop_engine()
    for image in world.lab.images:
        if image.build is not None and engine.remove_image(image.name):
            removed.append(f"image {image.name}")
    stages = engine.stages(world.lab.id)
    for name in stages:
        engine.remove_image(name)
    if stages:
        removed.append(f"{len(stages)} images of build stages")
    return removed
