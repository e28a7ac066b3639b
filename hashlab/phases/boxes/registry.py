"""The box that a lab asks for, and the registered boxes, read without calling Vagrant."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hashlab.errors import LaptopError
from hashlab.hashing import digest, short
from hashlab.phases.facts import WantedBox, filled
from hashlab.phases.images import image_inputs
from hashlab.phases.world import World
from hashlab.pipeline import Track
from hashlab.protocols import BoxManifest
from hashlab.state.files import make_tool_folder, read_json, write_json

MANIFEST = "hashlab.json"
OWNER = "hashlab"
# Vagrant's form of the slash of a box's name in a folder's name.
SLASH = "-VAGRANTSLASH-"


def box_name(world: World) -> str:
    """Return the name of the lab's box in Vagrant."""
    return f"{OWNER}/{world.lab.name}"


def box_version(recipe: str) -> str:
    """Return the version of a box: a number, as Vagrant requires, followed by the recipe's hash."""
    return f"1.0.0.r{recipe}"


def recipe_manifest(world: World) -> BoxManifest:
    """Return the description of the box that the lab asks for. Nothing is built."""
    known = world.facts.images.inputs
    inside = world.lab.images if world.boxes.holds_images else ()
    images = {image.name: known.get(image.name) or image_inputs(world, image) for image in inside}
    recipe = short(
        digest(
            {
                # Two labs never share an image store, so that each can remove its own.
                "name": box_name(world),
                "provider": world.provider.name,
                "system": dict(world.boxes.inputs()),
                "base": world.lab.box.base,
                "packages": list(world.lab.box.packages),
                "images": images,
            }
        )
    )
    return BoxManifest(box_name(world), box_version(recipe), recipe, world.provider.name, images)


def wanted_box(world: World) -> WantedBox:
    """Return the box that phase ``recipe`` of ``init-box`` found to be wanted."""
    return filled(world.facts.wanted_box, "recipe")


def boxes_folder(environ: Mapping[str, str]) -> Path:
    """Return the folder of Vagrant's registered boxes."""
    home = environ.get("VAGRANT_HOME") or str(Path(environ.get("HOME", "~")) / ".vagrant.d")
    return Path(home).expanduser() / "boxes"


def work_folder(world: World) -> Path:
    """Return the folder for files of a box while it is made."""
    folder = world.state.own / "box"
    make_tool_folder(folder)
    return folder


def registered_boxes(world: World) -> list[BoxManifest]:
    """Return the lab's registered boxes of this provider, newest first."""
    return [box for box in all_boxes(world) if box.name == box_name(world)]


def all_boxes(world: World, *, provider: str = "") -> list[BoxManifest]:
    """Return hashlab's registered boxes of all labs, newest first. ``provider``: the lab's own by
    default, "*" for all.
    """
    folder = boxes_folder(world.environ)
    kind = provider or world.provider.name
    found = [
        path
        # Vagrant 2.4 keeps a box that names its architecture one folder deeper.
        for pattern in (f"*/{kind}/{MANIFEST}", f"*/*/{kind}/{MANIFEST}")
        for path in folder.glob(f"{OWNER}{SLASH}*/{pattern}")
    ]
    found.sort(key=_modified, reverse=True)
    boxes = (read_manifest(read_json(path), path.parent) for path in found)
    return [box for box in boxes if box is not None]


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # another run has just removed the box
        return 0.0


def registered_box(world: World) -> BoxManifest | None:
    """Return the registered box of exactly this recipe, else the newest one, else None."""
    boxes = registered_boxes(world)
    wanted = recipe_manifest(world)
    for box in boxes:
        if box.recipe == wanted.recipe:
            return box
    return boxes[0] if boxes else None


def read_manifest(value: Any, folder: Path | None) -> BoxManifest | None:
    """Read a box's own description; None if it is not valid."""
    try:
        return BoxManifest(
            name=str(value["name"]),
            version=str(value["version"]),
            recipe=str(value["recipe"]),
            provider=str(value["provider"]),
            images=dict(value["images"]),
            data=dict(value.get("data", {})),
            registered_at=folder,
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def description(manifest: BoxManifest) -> dict[str, Any]:
    """Return the document that ``read_manifest`` reads."""
    return {
        "name": manifest.name,
        "version": manifest.version,
        "recipe": manifest.recipe,
        "provider": manifest.provider,
        "images": dict(manifest.images),
        "data": dict(manifest.data),
    }


def require_box(world: World, track: Track) -> BoxManifest:
    """Return the registered box, ready for use. Raises LaptopError that says how to get one."""
    box = registered_box(world)
    if box is None:
        raise LaptopError(f"lab {world.lab.name} has no box", next_step="hashlab init-box")
    if not made_ready(world, box, track):
        raise LaptopError(
            f"the image or store of box {box.name} {box.version} is gone from this laptop",
            next_step="hashlab init-box",
        )
    return box


def made_ready(world: World, box: BoxManifest, track: Track) -> bool:
    """Return whether everything that a registered box is based on exists. If the box itself
    contains it (after a plain `vagrant box add`), it is unpacked now.
    """
    if world.boxes.present(box):
        return True
    if not world.boxes.take_in(box, track=track):
        return False
    adopt(world, box)
    return True


def adopt(world: World, box: BoxManifest) -> None:
    """Record which folder of this laptop uses a box that came from another laptop."""
    if box.registered_at is not None and box.name == box_name(world):
        data = {**box.data, "folder": str(world.lab.folder.resolve())}
        write_json(box.registered_at / MANIFEST, {**description(box), "data": data})


def remove_box(world: World, box: BoxManifest, track: Track) -> list[str]:
    """Remove a registered box and everything it is based on; return the names of both. The latter
    goes first, because only the box's own folder may name it.
    """
    removed = world.boxes.remove(box)
    world.boxes.unregister(box.name, version=box.version, track=track)
    return [f"box {box.name} {box.version}", *removed]
