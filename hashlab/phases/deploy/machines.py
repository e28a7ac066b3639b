"""Phase ``nodes``: the lab's machines are ready to be the Swarm of a stack."""

from __future__ import annotations

from hashlab.errors import LabError
from hashlab.phases.containers.phase import observe_containers
from hashlab.phases.deploy.target import Target
from hashlab.phases.programs import HAS_IPVS
from hashlab.phases.world import World
from hashlab.pipeline import Track, parallel


def ready_nodes(world: World, track: Track, _: str, *, target: Target) -> None:
    """Promise: no container of the lab is in the way of a stack on its machines, and each node of
    their Swarm bears the name of its machine as a label.
    """
    found = observe_containers(world)
    busy = sorted(name for name, present in found.items() if present.containers)
    if busy:
        raise LabError(
            f"{', '.join(busy)}: the lab's own containers run there, and have the stack's ports",
            next_step=f"hashlab down, then {target.again}",
        )
    swarm = target.swarm(world, track.cancel)
    names = set(world.machine_names())
    new = [
        node
        for node in swarm.nodes()
        if node.hostname in names and node.labels.get("machine") != node.hostname
    ]
    for node in new:
        swarm.label(node, {"machine": node.hostname})
    if new:
        track.detail(f"{len(new)} labelled")
    else:
        track.skip(f"{len(names)} labelled")


def without_ipvs(world: World, track: Track) -> list[str]:
    """Return the machines whose kernel has no virtual addresses for services."""
    names = world.machine_names()
    argv = ["sh", "-c", HAS_IPVS, "sh"]
    answers = parallel(names, lambda name: world.link(name).shell.run(argv).code, track.cancel)
    return [name for name, code in zip(names, answers, strict=True) if code]
