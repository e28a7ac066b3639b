"""Phase ``containers``: every service's container runs its build, in dependency order, healthy."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from functools import partial

from hashlab.config.model import Lab, Service
from hashlab.phases.builds import Build, service_build
from hashlab.phases.containerspec import container_name
from hashlab.phases.exchange import (
    STOP_SECONDS,
    Action,
    Job,
    carry_out,
    decide,
    stop_and_remove,
)
from hashlab.phases.files import upload
from hashlab.phases.network import overlay
from hashlab.phases.readiness import completes, is_ready, wait_ready
from hashlab.phases.reload import process_of
from hashlab.phases.world import World
from hashlab.pipeline import CancelToken, Node, Track, parallel, run_graph
from hashlab.protocols import LAB_LABEL, ContainerState


def wanted_builds(world: World) -> dict[str, Build]:
    """What every service of the lab should be running."""
    inputs = world.facts.image_inputs
    snapshot = world.snapshot()
    return {
        service.name: service_build(world.lab, service, inputs[service.image], snapshot)
        for service in world.lab.services
    }


def observe_containers(world: World) -> dict[str, list[ContainerState]]:
    """All containers of the lab by the machine each lies on; machines are asked at once."""
    links = list(world.facts.links.values())
    found = parallel(
        links, lambda link: link.engine.containers({LAB_LABEL: world.lab.id}), CancelToken()
    )
    return {link.machine: containers for link, containers in zip(links, found, strict=True)}


def start_containers(world: World, track: Track, _: str) -> None:
    """Promise: each service runs its build and met its health check; others were not touched."""
    wanted = wanted_builds(world)
    there = observe_containers(world)
    removed = remove_orphans(world, there)
    run_graph(_nodes(world, wanted, there, track), track.cancel)
    changed = world.facts.changed
    if changed or removed:
        track.detail(f"{len(changed)} started" + (f", {len(removed)} removed" if removed else ""))
    else:
        track.skip(f"{len(world.lab.services)} unchanged")


def _nodes(
    world: World,
    wanted: Mapping[str, Build],
    there: Mapping[str, list[ContainerState]],
    track: Track,
) -> dict[tuple[str, str], Node]:
    """Two nodes per service, for Compose lets others wait for its start or for its health; and the
    upload of each machine's files, which only that machine's services wait for.
    """
    names = {service.name for service in world.lab.services}
    turns = {machine: threading.Lock() for machine in world.machine_names()}
    nodes: dict[tuple[str, str], Node] = {}
    for service in world.lab.services:
        after = frozenset(
            ("start" if dependency.condition == "service_started" else "ready", dependency.service)
            for dependency in service.depends_on
            if dependency.service in names
        )
        turn = turns[service.machine]
        start = partial(_start, world, service, wanted[service.name], there, track, turn=turn)
        ready = partial(_await_ready, world, service, track)
        nodes["start", service.name] = Node(start, after | {("upload", service.machine)})
        # Nobody is asked for its health before those it depends on are well: asking costs them.
        asked_after = {("ready", d.service) for d in service.depends_on if d.service in names}
        nodes["ready", service.name] = Node(
            ready, frozenset({("start", service.name), *asked_after})
        )
    for machine in world.machine_names():
        nodes["upload", machine] = Node(partial(_upload, world, machine, track))
    return nodes


def remove_orphans(world: World, there: Mapping[str, list[ContainerState]]) -> list[str]:
    """Remove containers of services that are no longer wanted on their machine."""
    removed = []
    for machine, containers in there.items():
        services = world.services_on(machine)
        wanted = {name for service in services for name in replica_names(world.lab, service)}
        for container in containers:
            if container.name not in wanted:
                world.about_to_change(restart=True)
                stop_and_remove(world.link(machine).engine, container, STOP_SECONDS)
                removed.append(container.name)
    return removed


def _upload(world: World, machine: str, track: Track) -> None:
    with track.child("upload", machine=machine) as step:
        upload(world, step, machine)


def _start(
    world: World,
    service: Service,
    build: Build,
    there: Mapping[str, list[ContainerState]],
    track: Track,
    *,
    turn: threading.Lock,
) -> None:
    """Bring all replicas of one service to its build."""
    by_name = {container.name: container for container in there.get(service.machine, [])}
    actions = _actions(world, service, build, by_name)
    todo = [name for name, action in actions.items() if action.kind != "keep"]
    with track.child("container", machine=service.machine, service=service.name) as step:
        if not todo:
            step.skip("unchanged")
            return
        job = Job(world, service, build, step, turn)
        reasons = [carry_out(job, actions[name], by_name.get(name) or name) for name in todo]
        with world.lock:
            world.facts.changed[service.name] = reasons[0]
        step.detail(reasons[0])


def _actions(
    world: World, service: Service, build: Build, there: Mapping[str, ContainerState]
) -> dict[str, Action]:
    """What must happen to each replica of a service; ``there``: its machine's containers."""
    files = world.facts.files[service.machine]
    return {
        name: decide(
            build,
            service,
            container,
            world.facts.network,
            network_name=overlay(world.lab),
            restored=world.facts.restored,
            process=process_of(container, files) if container else None,
        )
        for name in replica_names(world.lab, service)
        for container in [there.get(name)]
    }


def replica_names(lab: Lab, service: Service) -> list[str]:
    """Names of a service's containers."""
    return [container_name(lab, service, number) for number in range(1, service.replicas + 1)]


def _await_ready(world: World, service: Service, track: Track) -> None:
    """Wait for all replicas; a service that was not touched and is well makes no row."""
    names = replica_names(world.lab, service)
    engine = world.link(service.machine).engine
    ending = completes(world.lab, service)
    if service.name not in world.facts.changed:
        states = [engine.container(name) for name in names]
        if all(state is not None and is_ready(state, service, ending) for state in states):
            return
    with track.child("healthy", machine=service.machine, service=service.name) as step:
        parallel(names, lambda name: wait_ready(world, service, name, step), step.cancel)
        step.detail("completed" if ending else "healthy" if service.healthcheck else "running")
