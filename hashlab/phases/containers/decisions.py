"""Decides what must happen to each replica of a service, from what was found on its machine."""

from __future__ import annotations

from collections.abc import Mapping

from hashlab.config.model import Service
from hashlab.phases.builds import Build
from hashlab.phases.containers.actions import (
    AS_ASKED,
    SYNCHRONISED,
    Action,
    after_dependency,
    decide,
    joined_holder,
    owners_of,
)
from hashlab.phases.containers.body import replica_names
from hashlab.phases.containers.copies import difference
from hashlab.phases.containers.networking import parted
from hashlab.phases.containers.sandbox import (
    Fault,
    fault,
    has_sandbox,
    left_behind,
    sandbox_body,
)
from hashlab.phases.containers.sandboxes import known_sandboxes
from hashlab.phases.world import World
from hashlab.protocols import ContainerState


def actions_for(
    world: World,
    service: Service,
    build: Build,
    existing: Mapping[str, ContainerState],
    networks: Mapping[str, str],
) -> dict[str, Action]:
    """Decide what must happen to each replica of a service. ``existing``: its machine's containers,
    ``networks``: the ids of its networks, both by name.
    """
    uploads = world.facts.uploads
    files, inside = uploads.files[service.machine], uploads.inside[service.machine]
    detached = {n: inside.detached.get(c.pid, "") for n, c in existing.items()}
    names = replica_names(world.lab, service)
    owners = owners_of(world, service)
    separate = {n: parted(service, existing[n], owners) for n in names if n in existing}
    faults = _faults(world, service, existing, networks)
    actions = {
        name: decide(
            build,
            existing.get(name),
            files=files,
            detached=detached.get(name, ""),
            parted=separate.get(name, ""),
            fault=faults.get(name),
        )
        for name in names
    }
    replaced = world.facts.containers.replaced
    for name, action in actions.items():
        if action.kind == "keep" and existing[name].pid:
            actions[name] = after_dependency(action, service, build, replaced)
            if actions[name] is action and service.name in world.facts.containers.restarting:
                actions[name] = Action("restart", AS_ASKED)
            if actions[name] is action and difference(build, existing[name], inside, files):
                actions[name] = Action("copy", SYNCHRONISED)
    return actions


def _faults(
    world: World,
    service: Service,
    existing: Mapping[str, ContainerState],
    networks: Mapping[str, str],
) -> dict[str, Fault | None]:
    """Return for each replica that exists why it is not in its service's network, if it is not."""
    names = [name for name in replica_names(world.lab, service) if name in existing]
    if service.joined:
        holder = joined_holder(world, service)
        return {name: left_behind(existing[name], holder) for name in names}
    if not has_sandbox(service):
        return {}
    sandboxes = known_sandboxes(world, service.machine)
    return {
        name: fault(
            sandbox_body(world.lab, service, name), existing[name], sandboxes.get(name), networks
        )
        for name in names
    }
