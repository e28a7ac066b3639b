"""What ``hashlab box`` tells: every box, how large it is and why, who uses it, what is stale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hashlab.phases.boxes.contents import size
from hashlab.phases.boxes.registry import all_boxes, recipe_manifest, registered_boxes
from hashlab.phases.world import World
from hashlab.protocols import BoxManifest


def box_document(world: World) -> dict[str, Any]:
    """The document ``box --json`` prints (shape: docs/reference/json.md). Changes nothing."""
    wanted = recipe_manifest(world)
    users = world.provider.boxes.users()
    boxes = [_box(world, box, wanted, users) for box in all_boxes(world)]
    return {
        "lab": world.lab.name,
        "provider": world.provider.name,
        "recipe": wanted.recipe,
        "promised_size": world.provider.boxes.promised_size,
        "boxes": boxes,
        "notes": _notes(world, wanted, users),
    }


def _box(
    world: World, box: BoxManifest, wanted: BoxManifest, users: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    data = box.data
    return {
        "name": box.name,
        "version": box.version,
        "recipe": box.recipe,
        "current": (box.name, box.recipe) == (wanted.name, wanted.recipe),
        "usable": world.provider.boxes.present(box),
        "created": data.get("created"),
        "folder": data.get("folder"),
        "os": data.get("os"),
        "docker": data.get("docker"),
        "kernel": data.get("kernel") or None,
        "size": size(box) or None,
        "parts": dict(data.get("parts", {})),
        "packages": dict(data.get("packages", {})),
        "images": {name: data.get("images", {}).get(name) for name in box.images},
        "machines": list(users.get(box.recipe, ())),
    }


def _notes(world: World, wanted: BoxManifest, users: Mapping[str, Sequence[str]]) -> list[str]:
    own = registered_boxes(world)
    notes = []
    if not own:
        notes.append(f"lab {world.lab.name} has no box. To build it: hashlab init-box")
    elif wanted.recipe not in {box.recipe for box in own}:
        notes.append(f"the box of lab {world.lab.name} is stale. To renew it: hashlab init-box")
    known = {box.recipe for box in all_boxes(world)}
    for recipe, machines in users.items():
        if recipe not in known:
            notes.append(f"{', '.join(machines)}: made from box {recipe}, which is gone")
    return notes
