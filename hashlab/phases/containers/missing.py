"""Says why a command could not use a service's container: it is not there, or does not run."""

from __future__ import annotations

from hashlab.config.model import Service
from hashlab.errors import LabError
from hashlab.phases.containers.body import replica_names
from hashlab.phases.world import World

RUNNING = "running"


def check_container(world: World, machine: str, container: str, *, runs: bool) -> None:
    """Raise LabError with the next step if a service's container is not there, or, with ``runs``,
    does not run. The machine is connected.
    """
    state = world.link(machine).engine.container(container)
    if state is not None and (state.state == RUNNING or not runs):
        return
    service = _service_of(world, container)
    how = f"does not run: it is {state.state}" if state is not None else "is not there"
    command = f"hashlab start {service.name}"
    if service.name not in world.stopped():
        command = f"hashlab refresh; hashlab logs {service.name} shows what it printed"
    raise LabError(f"container {container} {how}", where=machine, next_step=command)


def _service_of(world: World, container: str) -> Service:
    return next(s for s in world.lab.services if container in replica_names(world.lab, s))
