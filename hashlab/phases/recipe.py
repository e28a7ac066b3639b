"""Is the box, or a running machine, older than what hashlab.toml and compose.yaml describe?"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from hashlab.phases.boxes.registry import recipe_manifest, registered_boxes
from hashlab.phases.world import World
from hashlab.pipeline import Track


def stale_notes(recipe: str, registered: Collection[str], machines: Mapping[str, str]) -> list[str]:
    """What to tell. ``registered``: recipes of boxes; ``machines``: theirs by name. Pure."""
    notes = []
    if not registered:
        notes.append("no box is registered. To build it: hashlab init-box")
    elif recipe not in registered:
        notes.append("the box is stale: its recipe changed. To renew it: hashlab init-box")
    old = [name for name, made_from in machines.items() if made_from != recipe]
    if old:
        notes.append(f"{', '.join(old)}: on an older box. To renew: hashlab dev --replace")
    return notes


def check_recipe_of_machines(world: World, track: Track, _: str) -> None:
    """Promise: a refresh tells when the box or a machine is stale; it changes neither."""
    registered = {box.recipe for box in registered_boxes(world)}
    machines = {name: reach.recipe for name, reach in world.facts.reach.items()}
    notes = stale_notes(recipe_manifest(world).recipe, registered, machines)
    for note in notes:
        world.note(note)
    if notes:
        track.detail("stale")
    else:
        track.skip("box and machines are current")
