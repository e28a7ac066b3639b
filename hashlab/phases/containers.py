"""Phase ``containers``: every service's container runs its build, in dependency order, healthy."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Literal

from hashlab.config.model import Lab, Service
from hashlab.errors import LabError
from hashlab.phases.builds import Build, service_build
from hashlab.phases.containerspec import (
    BUILD_LABEL,
    SERVICE_LABEL,
    container_body,
    container_name,
)
from hashlab.phases.files import upload
from hashlab.phases.network import overlay
from hashlab.phases.readiness import completes, is_one_shot, is_ready, wait_ready
from hashlab.phases.world import World
from hashlab.pipeline import CancelToken, Node, Track, parallel, run_graph
from hashlab.protocols import LAB_LABEL, ContainerState, Engine

ATTACH_POLL_SECONDS = 0.1
STOP_SECONDS = 10
ALIVE = ("running", "restarting", "paused")
ATTACH_SECONDS = 60.0
# What an engine says while it is still forgetting an overlay network.
FORGETTING = ("not found", "attaching to network failed", "Could not attach to network")


@dataclass(frozen=True)
class Action:
    """What must happen to one container, and why (shown to the user)."""

    kind: Literal["keep", "create", "replace", "start", "attach"]
    reason: str = ""


def decide(
    build: Build,
    service: Service,
    there: ContainerState | None,
    network: str,
    *,
    network_name: str = "",
    restored: bool = False,
) -> Action:
    """Decide from what is wanted and what is there; ``network`` is the overlay's id; ``restored``:
    the machines woke in a snapshot, so what stopped was only cut off and keeps what it wrote. Pure.
    """
    if there is None:
        return Action("create", "started")
    if there.labels.get(BUILD_LABEL) != build.start_id:
        return Action("replace", "replaced: its build changed")
    completed = there.state == "exited" and there.exit_code == 0 and is_one_shot(service)
    if restored and there.state == "exited":
        return Action("attach", "completed") if completed else Action("start", "started again")
    if not {network, network_name} & there.networks:
        return Action("replace", "replaced: the network was made anew")
    if there.state == "running" or completed:
        return Action("keep", "completed" if completed else "")
    return Action("replace", f"replaced: it was {there.state}")


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
                _stop_and_remove(world.link(machine).engine, container, STOP_SECONDS)
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
    """Bring all replicas of one service to its build.

    On one machine containers are replaced in turn: when all leave the overlay network at once while
    others come, Docker 20.10 forgets the network and attaches nobody for a minute.
    """
    by_name = {container.name: container for container in there.get(service.machine, [])}
    actions = _actions(world, service, build, by_name)
    todo = [name for name, action in actions.items() if action.kind != "keep"]
    with track.child("container", machine=service.machine, service=service.name) as step:
        if not todo:
            step.skip("unchanged")
            return
        for name in todo:
            if actions[name].kind in ("start", "attach"):
                _wake(world, service, by_name[name], step, start=actions[name].kind == "start")
                continue
            with turn if name in by_name else nullcontext():
                _replace(world, service, build, by_name.get(name) or name, step)
        reason = actions[todo[0]].reason
        with world.lock:
            world.facts.changed[service.name] = reason
        step.detail(reason)


def _actions(
    world: World, service: Service, build: Build, there: Mapping[str, ContainerState]
) -> dict[str, Action]:
    """What must happen to each replica of a service; ``there``: its machine's containers."""
    return {
        name: decide(
            build,
            service,
            there.get(name),
            world.facts.network,
            network_name=overlay(world.lab),
            restored=world.facts.restored,
        )
        for name in replica_names(world.lab, service)
    }


def replica_names(lab: Lab, service: Service) -> list[str]:
    """Names of a service's containers."""
    return [container_name(lab, service, number) for number in range(1, service.replicas + 1)]


def _replace(
    world: World, service: Service, build: Build, old: ContainerState | str, step: Track
) -> None:
    """Start a new container in place of ``old``, or under that name when there is none."""
    world.about_to_change(restart=True)
    engine = world.link(service.machine).engine
    if isinstance(old, ContainerState):
        step.detail("stopping")
        _stop_and_remove(engine, old, _grace(service))
    step.cancel.check()
    step.detail("starting")
    name = old if isinstance(old, str) else old.name
    body = container_body(
        world.lab, service, build=build.start_id, patience=world.provider.patience
    )
    _start_attached(engine, engine.create(name, body), step, world.provider.patience)


def _wake(world: World, service: Service, old: ContainerState, step: Track, *, start: bool) -> None:
    """Give a container that stopped with its machine the network that is there now: it remembers
    another one by its id. Then start it, unless it had completed.
    """
    world.about_to_change()
    engine, network = world.link(service.machine).engine, world.facts.network
    if network not in old.networks:
        if old.networks:
            engine.disconnect(overlay(world.lab), old.id)
        engine.connect(overlay(world.lab), old.id, aliases=[service.name])
    if start:
        step.detail("starting")
        _start_attached(engine, old.id, step, world.provider.patience)


def _start_attached(engine: Engine, identifier: str, step: Track, patience: float) -> None:
    """Start a container. A machine knows an overlay network only while a container is on it; when
    the last one has just left, the engine is still forgetting the network and finds it a moment
    later.
    """
    deadline = time.monotonic() + ATTACH_SECONDS * patience
    while True:
        try:
            engine.start(identifier)
            return
        except LabError as error:
            passing = any(sign in error.what for sign in FORGETTING)
            if not passing or time.monotonic() > deadline:
                raise
        step.detail("waiting for the network")
        step.cancel.wait(ATTACH_POLL_SECONDS)


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


def _grace(service: Service) -> int:
    grace = service.stop_grace_period
    return STOP_SECONDS if grace is None else max(0, round(grace))


def _stop_and_remove(engine: Engine, container: ContainerState, grace: int) -> None:
    if container.state in ALIVE:
        engine.stop(container.id, timeout=grace)
    engine.remove(container.id)


def stop_container(lab: Lab, engine: Engine, container: ContainerState) -> None:
    """Stop a container of the lab, with the patience its service asks for; it stays."""
    services = {service.name: service for service in lab.services}
    service = services.get(container.labels.get(SERVICE_LABEL, ""))
    if container.state in ALIVE:
        engine.stop(container.id, timeout=_grace(service) if service else STOP_SECONDS)
