"""Which box a lab asks for, and which ones are registered: read without calling Vagrant."""

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
# How Vagrant writes the slash of a box's name in a folder's name.
SLASH = "-VAGRANTSLASH-"


def box_name(world: World) -> str:
    """The name under which Vagrant knows the lab's box."""
    return f"{OWNER}/{world.lab.name}"


def box_version(recipe: str) -> str:
    """The version of a box. Vagrant wants one that begins with a number; what follows is the
    recipe's hash.
    """
    return f"1.0.0.r{recipe}"


def recipe_manifest(world: World) -> BoxManifest:
    """What the box should be, from everything that goes into it; nothing is built."""
    known = world.facts.images.inputs
    inside = world.lab.images if world.provider.boxes.holds_images else ()
    images = {image.name: known.get(image.name) or image_inputs(world, image) for image in inside}
    recipe = short(
        digest(
            {
                # Two labs never stand on one image store, so that each can remove its own.
                "name": box_name(world),
                "provider": world.provider.name,
                "system": dict(world.provider.boxes.inputs()),
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
    """Where Vagrant keeps registered boxes."""
    home = environ.get("VAGRANT_HOME") or str(Path(environ.get("HOME", "~")) / ".vagrant.d")
    return Path(home).expanduser() / "boxes"


def work_folder(world: World) -> Path:
    """Where files of a box lie while it is made."""
    folder = world.state.own / "box"
    make_tool_folder(folder)
    return folder


def registered_boxes(world: World) -> list[BoxManifest]:
    """The lab's registered boxes of this provider, newest first."""
    return [box for box in all_boxes(world) if box.name == box_name(world)]


def all_boxes(world: World, *, provider: str = "") -> list[BoxManifest]:
    """Every registered box of hashlab's of a provider, the lab's own unless another is given ("*":
    any), whatever its lab, newest first.
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
    """The registered box of exactly this recipe, else the newest one, else None."""
    boxes = registered_boxes(world)
    wanted = recipe_manifest(world)
    for box in boxes:
        if box.recipe == wanted.recipe:
            return box
    return boxes[0] if boxes else None


def read_manifest(value: Any, folder: Path | None) -> BoxManifest | None:
    """A box's own description; None when it is none."""
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
    """What ``read_manifest`` reads."""
    return {
        "name": manifest.name,
        "version": manifest.version,
        "recipe": manifest.recipe,
        "provider": manifest.provider,
        "images": dict(manifest.images),
        "data": dict(manifest.data),
    }


def require_box(world: World, track: Track) -> BoxManifest:
    """The registered box, ready for use, or one message that says how to get it."""
    box = registered_box(world)
    if box is None:
        raise LaptopError(f"there is no box for lab {world.lab.name}", next_step="hashlab init-box")
    if not made_ready(world, box, track):
        raise LaptopError(
            f"what the box {box.name} {box.version} stands on is gone from this laptop",
            next_step="hashlab init-box",
        )
    return box


def made_ready(world: World, box: BoxManifest, track: Track) -> bool:
    """Whether what a registered box stands on is there, or was in the box itself, as it is when
    somebody brought it by `vagrant box add`; then it is taken out of it now.
    """
    if world.provider.boxes.present(box):
        return True
    if not world.provider.boxes.take_in(box, track=track):
        return False
    adopt(world, box)
    return True


def adopt(world: World, box: BoxManifest) -> None:
    """Remember which folder of this laptop uses a box that came from elsewhere."""
    if box.registered_at is not None and box.name == box_name(world):
        data = {**box.data, "folder": str(world.lab.folder.resolve())}
        write_json(box.registered_at / MANIFEST, {**description(box), "data": data})


def remove_box(world: World, box: BoxManifest, track: Track) -> list[str]:
    """Remove a registered box and what it stands on; returns what was removed. What it stands on
    goes first: the box's own folder may be what names it.
    """
    removed = world.provider.boxes.remove(box)
    world.vagrant.box_remove(box.name, version=box.version, track=track)
    return [f"box {box.name} {box.version}", *removed]
