"""Phase ``prune``: removes the boxes that no lab uses, and everything they are based on."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from hashlab.config.model import lab_id
from hashlab.phases.boxes.contents import size
from hashlab.phases.boxes.registry import all_boxes, recipe_manifest, remove_box
from hashlab.phases.world import World
from hashlab.pipeline import Track
from hashlab.protocols import BoxManifest
from hashlab.state.labfolder import is_lab


def superfluous(
    boxes: Sequence[BoxManifest],
    *,
    wanted: BoxManifest,
    recipes_in_use: Collection[str],
    folders: Collection[str],
) -> list[BoxManifest]:
    """Return the boxes that no machine was made from, that are not the wanted one, and not the
    newest of a lab that still exists. ``boxes``: newest first; ``folders``: of existing labs. Pure.
    """
    kept_labs: set[tuple[str, str]] = set()
    removable = []
    for box in boxes:
        lab = (box.name, str(box.data.get("folder", "")))
        newest = lab not in kept_labs and lab[1] in folders
        kept_labs.add(lab)
        current = (box.name, box.recipe) == (wanted.name, wanted.recipe)
        if not (newest or current or box.recipe in recipes_in_use):
            removable.append(box)
    return removable


def prune(world: World, track: Track, _: str, *, plan: bool) -> None:
    """Promise: of this provider's boxes only those remain that a lab uses; ``plan`` only lists
    those that would go.
    """
    boxes = all_boxes(world)
    folders = {str(box.data.get("folder", "")) for box in boxes}
    removable = superfluous(
        boxes,
        wanted=recipe_manifest(world),
        recipes_in_use=[r for r, machines in world.boxes.users().items() if machines],
        folders={folder for folder in folders if folder and is_lab(folder)},
    )
    stages = _prune_stages(world, plan=plan)
    if not removable:
        if stages:
            track.detail(stages)
        else:
            track.skip(f"all {len(boxes)} boxes are in use" if boxes else "no boxes")
        return
    for box in removable:
        with track.child("box") as step:
            name = f"{box.name} {box.version}, {size(box) / 1e6:.0f} MB"
            if plan:
                step.skip(f"would be removed: {name}")
                continue
            remove_box(world, box, step)
            step.detail(f"removed: {name}")
    freed = sum(size(box) for box in removable) / 1e6
    # A part that two boxes share is freed with the second one.
    summary = f"{len(removable)} of {len(boxes)} boxes, up to {freed:.0f} MB"
    summary = f"would remove {summary}" if plan else f"removed {summary}"
    track.detail(f"{summary}; {stages}" if stages else summary)


def _prune_stages(world: World, *, plan: bool) -> str:
    """Remove what builds of labs that are gone have left; say what, "" for nothing. A lab is there
    while its folder is, as far as a registered box of any provider knows it.
    """
    existing = {world.lab.id}
    for box in all_boxes(world, provider="*"):
        folder = Path(str(box.data.get("folder", "")))
        if is_lab(str(folder)):
            existing.add(lab_id(box.name.rpartition("/")[2], folder))
    engine = world.laptop_engine()
    gone = [name for name in engine.stages() if _owner(name) not in existing]
    if not gone:
        return ""
    for name in [] if plan else gone:
        engine.remove_image(name)
    done = "would remove" if plan else "removed"
    return f"{done} {len(gone)} images of build stages of labs that are gone"


def _owner(stage: str) -> str:
    """Return the id of the lab whose build left an image."""
    return stage.partition("/")[2].partition(":")[0]
