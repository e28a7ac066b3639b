"""Phases ``rotate`` and ``old versions``: secrets and configs in the Swarm, by version."""

from __future__ import annotations

from hashlab.phases.deploy.target import Target
from hashlab.phases.deploy.wanted import FILE
from hashlab.phases.facts import filled
from hashlab.phases.world import World
from hashlab.pipeline import Track


def rotate(world: World, track: Track, _: str, *, target: Target) -> None:
    """Promise: the Swarm has each secret and config of the stack as it is now, under the name of
    this version. Services still have the old ones.
    """
    wanted = filled(world.facts.deploying, "plan").wanted
    swarm, stack = target.swarm(world, track.cancel), target.stack_of(world)
    existing = {(file.kind, file.name) for file in swarm.files(stack)}
    new = [each for each in wanted.versions if (each.kind, each.full) not in existing]
    for each in new:
        swarm.add_file(stack, each.full, each.kind, each.data, {FILE: each.name})
    if new:
        track.detail(", ".join(f"{each.kind} {each.name}" for each in new))
    else:
        track.skip(f"{len(wanted.versions)} are up to date")


def remove_old_versions(world: World, track: Track, _: str, *, target: Target) -> None:
    """Promise: the stack keeps the secrets and configs that its services have, and those that they
    would have after `docker service rollback`.
    """
    wanted = filled(world.facts.deploying, "plan").wanted
    swarm, stack = target.swarm(world, track.cancel), target.stack_of(world)
    needed = {name for service in swarm.services(stack) for name in service.files}
    needed |= {each.full for each in wanted.versions}
    old = [file for file in swarm.files(stack) if FILE in file.labels and file.name not in needed]
    if old:
        swarm.remove_files(old)
        track.detail(f"{len(old)} removed")
    else:
        track.skip("none")
