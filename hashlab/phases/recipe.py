"""Phase ``recipe``: compares boxes and machines with what the lab's two files describe."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from hashlab.phases.boxes.registry import made_ready, recipe_manifest, registered_boxes
from hashlab.phases.facts import WantedBox
from hashlab.phases.world import World
from hashlab.pipeline import Track


def stale_notes(recipe: str, registered: Collection[str], machines: Mapping[str, str]) -> list[str]:
    """Return a note for each stale box and machine. ``registered``: the recipes of registered
    boxes; ``machines``: each machine's recipe by name. Pure.
    """
    notes = []
    if not registered:
        notes.append("no box is registered; hashlab dev builds it")
    elif recipe not in registered:
        notes.append("the box is stale: its recipe changed. To renew it: hashlab init-box")
    old = [name for name, made_from in machines.items() if made_from != recipe]
    if old:
        notes.append(f"{', '.join(old)}: on an older box. To renew: hashlab dev --replace")
    return notes


def unprepared_notes(recipe: str, machines: Mapping[str, str]) -> list[str]:
    """Return a note about the hosts that another version of hashlab prepared. Pure."""
    old = [name for name, made_from in machines.items() if made_from != recipe]
    if not old:
        return []
    return [f"{', '.join(old)}: prepared by another version of hashlab. To renew: hashlab init-box"]


def check_recipe_of_machines(world: World, track: Track, _: str) -> None:
    """Promise: a stale box or machine is noted. Changes nothing."""
    machines = {name: endpoint.recipe for name, endpoint in world.facts.machines.endpoints.items()}
    if world.provider.hosts is not None:
        notes = unprepared_notes(world.provider.hosts.recipe, machines)
    else:
        registered = {box.recipe for box in registered_boxes(world)}
        notes = stale_notes(recipe_manifest(world).recipe, registered, machines)
    for note in notes:
        world.note(note)
    if notes:
        track.detail("stale")
    else:
        made = world.provider.hosts is None
        track.skip("box and machines are current" if made else "prepared by this version")


def check_recipe(world: World, track: Track, _: str) -> None:
    """Promise: the facts hold the wanted box. If it is registered already, the later phases have
    nothing to do.
    """
    manifest = recipe_manifest(world)
    world.facts.images.inputs.update(manifest.images)
    registered = registered_boxes(world)
    same = next((box for box in registered if box.recipe == manifest.recipe), None)
    ready = same is not None and made_ready(world, same, track)
    world.facts.wanted_box = WantedBox(manifest, registered=ready)
    if ready:
        track.skip(f"{manifest.name} {manifest.version} is registered")
        return
    why = "its recipe changed" if registered and same is None else "no box yet"
    track.detail(f"{why}: building {manifest.version}")
