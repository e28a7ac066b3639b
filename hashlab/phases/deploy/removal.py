"""Phase ``remove``: takes a stack out of the Swarm."""

from __future__ import annotations

import time

from hashlab.errors import LabError, UsageError
from hashlab.phases.deploy.target import Target
from hashlab.phases.deploy.wanted import LAB
from hashlab.phases.world import World
from hashlab.pipeline import Track

REMOVE_SECONDS = 120.0
POLL_SECONDS = 0.5


def remove_stack(world: World, track: Track, _: str, *, target: Target) -> None:
    """Promise: the Swarm has no service, secret, config or network of the stack, and no container
    of it runs. Volumes stay on their nodes.
    """
    swarm, stack = target.swarm(world, track.cancel), target.stack_of(world)
    swarm.nodes()
    services = swarm.services(stack)
    if any(service.labels.get(LAB) != world.lab.name for service in services):
        raise UsageError(
            f"lab {world.lab.name} did not deploy the stack {stack}",
            next_step=f"{target.docker(world, f'stack rm {stack}')}, if it should go",
        )
    if swarm.remove(stack):
        track.skip(f"no stack {stack} is there")
        return
    limit = REMOVE_SECONDS * world.provider.time_factor
    deadline = time.monotonic() + limit
    while not swarm.remove(stack):
        if time.monotonic() > deadline:
            left = ", ".join(sorted({f"{t.state} task" for t in swarm.tasks(stack)}))
            raise LabError(
                f"stack {stack} is not gone after {limit:g} s",
                output=left,
                next_step=target.docker(world, f"stack ps {stack}"),
            )
        track.detail("waiting for its containers to end")
        track.cancel.wait(POLL_SECONDS)
    track.detail(f"{stack}: {len(services)} services; volumes stay")
