"""Phase ``plan``: compares the lab with the stack in the Swarm. It changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hashlab.documents.deployment import DeployedFile, DeployedService, Deployment
from hashlab.errors import LabError, UsageError
from hashlab.phases.deploy.contents import read_versions
from hashlab.phases.deploy.machines import without_ipvs
from hashlab.phases.deploy.target import Target
from hashlab.phases.deploy.wanted import (
    LAB,
    WantedStack,
    file_changes,
    service_changes,
    unlabelled,
    wanted_stack,
)
from hashlab.phases.facts import Deploying
from hashlab.phases.selfcontained.load import made_images
from hashlab.phases.selfcontained.store import Store
from hashlab.phases.world import World
from hashlab.pipeline import Track
from hashlab.protocols import SwarmNode, SwarmService

CHANGES = ("new", "changed", "removed")


def plan(world: World, track: Track, _: str, *, target: Target, planned: bool) -> None:
    """Promise: it is known what becomes of each service, secret and config, and the Swarm can take
    the stack. ``planned``: nothing follows.
    """
    swarm, name = target.swarm(world, track.cancel), target.stack_of(world)
    nodes, existing = swarm.nodes(), swarm.services(name)
    _check_owner(existing, name, world.lab.name, target.docker(world, f"stack rm {name}"))
    wanted = _wanted(world, track, target)
    if not (target.machines and planned):
        _check_nodes(wanted, nodes, lambda words: target.docker(world, words))
    files = file_changes(wanted, swarm.files(name))
    services = service_changes(wanted, existing, files)
    document = Deployment(
        lab=world.lab.name,
        stack=name,
        place=target.place,
        planned=planned,
        services=tuple(services),
        files=tuple(files),
        notes=tuple(wanted.notes),
    )
    world.facts.deploying = Deploying(wanted, document)
    # That of a deployment is shown once it is true.
    world.facts.document = document if planned else None
    summary = _summary(services, files)
    if summary:
        track.detail(summary)
    else:
        track.skip("nothing differs")


def _wanted(world: World, track: Track, target: Target) -> WantedStack:
    images = {
        image.service: target.images.reference(image)
        for image in made_images(Store(world.state.oci))
    }
    lacking = without_ipvs(world, track) if target.machines else []
    dnsrr = target.dnsrr or bool(lacking)
    if lacking:
        world.note(
            f"the kernel of {', '.join(lacking)} has no IPVS: published ports are those of one "
            "machine, and a service with one stops before its new version starts"
        )
    versions = read_versions(world, target)
    return wanted_stack(world.lab, images, versions, dnsrr=dnsrr, pinned=target.machines)


def _check_owner(existing: Sequence[SwarmService], stack: str, lab: str, removal: str) -> None:
    """Refuse a stack of this name that another lab, or another tool, deployed."""
    others = sorted({s.labels.get(LAB, "") for s in existing} - {lab})
    if others:
        owner = f"lab {others[-1]}" if others[-1] else "another tool"
        raise UsageError(
            f"the Swarm has a stack {stack} that {owner} deployed",
            next_step=f"--stack NAME for another name, or remove it: {removal}",
        )


def _check_nodes(
    wanted: WantedStack, nodes: Sequence[SwarmNode], docker: Callable[[str], str]
) -> None:
    missing = unlabelled(wanted, nodes)
    if missing:
        raise LabError(
            f"no usable node of the Swarm takes the place of {', '.join(missing)}",
            output="\n".join(
                f"{node.hostname}: {'usable' if node.usable else 'not usable'}" for node in nodes
            ),
            next_step=docker(f"node update --label-add machine={missing[0]} NODE"),
        )


def _summary(services: Sequence[DeployedService], files: Sequence[DeployedFile]) -> str:
    """Return what changes, in few words."""
    found = []
    for what, changes in (
        ("services", [each.change for each in services]),
        ("secrets", [each.change for each in files if each.kind == "secret"]),
        ("configs", [each.change for each in files if each.kind == "config"]),
    ):
        found += [f"{changes.count(c)} {what} {c}" for c in CHANGES if c in changes]
    return ", ".join(found)
