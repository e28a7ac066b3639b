"""Leaves a service alone while a debugger is attached: a new process would end its session."""

from __future__ import annotations

from collections.abc import Iterable

from hashlab.config.model import Service
from hashlab.phases.containers.actions import Action
from hashlab.phases.debugging import port_state
from hashlab.phases.world import World
from hashlab.protocols import ContainerState

# A debugger of a JVM is the only one, so nothing can be loaded into the process beside it.
ENDING = ("replace", "restart", "reload")


def is_debugged(
    world: World, service: Service, containers: Iterable[ContainerState | None]
) -> bool:
    """Return whether a debugger is attached to one of a service's containers at this moment.
    Raises LabError.
    """
    if service.debugger is None:
        return False
    link, port = world.link(service.machine), service.debugger.port
    pids = [container.pid for container in containers if container and container.pid]
    return any(port_state(link, pid, port) == "attached" for pid in pids)


def ends(actions: Iterable[Action]) -> bool:
    """Return whether one of these actions would end a debugger's session. Pure."""
    return any(action.kind in ENDING for action in actions)


def leave(world: World, service: Service) -> None:
    """Note that a service stays as it is."""
    world.facts.containers.debugged.add(service.name)
    world.note(
        f"{service.name} was left as it is, because a debugger is attached. "
        f"Detach it, or: hashlab restart {service.name}"
    )
