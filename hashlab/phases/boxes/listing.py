"""Makes the document of `hashlab box`: every box, its size and its users."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hashlab.documents import unix_time
from hashlab.documents.boxes import Box, Boxes
from hashlab.phases.boxes.contents import size
from hashlab.phases.boxes.registry import all_boxes, recipe_manifest, registered_boxes
from hashlab.phases.world import World
from hashlab.protocols import BoxManifest


def box_document(world: World) -> Boxes:
    """Return the boxes of this laptop. Changes nothing."""
    wanted = recipe_manifest(world)
    users = world.boxes.users()
    return Boxes(
        lab=world.lab.name,
        provider=world.provider.name,
        recipe=wanted.recipe,
        promised_bytes=world.boxes.promised_size,
        boxes=tuple(_box(world, box, wanted, users) for box in all_boxes(world)),
        notes=tuple(_notes(world, wanted, users)),
    )


def _box(
    world: World, box: BoxManifest, wanted: BoxManifest, users: Mapping[str, Sequence[str]]
) -> Box:
    data = box.data
    return Box(
        name=box.name,
        version=box.version,
        recipe=box.recipe,
        current=(box.name, box.recipe) == (wanted.name, wanted.recipe),
        usable=world.boxes.present(box),
        created=unix_time(data.get("created")),
        folder=data.get("folder"),
        os=data.get("os"),
        docker=data.get("docker"),
        kernel=data.get("kernel") or None,
        bytes=size(box) or None,
        parts=data.get("parts", {}),
        packages=data.get("packages", {}),
        images={name: data.get("images", {}).get(name) for name in box.images},
        machines=tuple(users.get(box.recipe, ())),
    )


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
            notes.append(f"{', '.join(machines)}: made from box {recipe}, which was removed")
    return notes
