"""Phase ``sandboxes``: the replicas of a machine that has just booted have their networks.

That takes the engine most of a container's start, and needs neither image nor artifact, so it is
done while those are still being built. Later runs find the sandboxes there, and phase
``containers`` makes, replaces or starts the few that are not as they should be.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Any

from hashlab.config.model import Service
from hashlab.errors import LabError
from hashlab.phases.containers.body import replica_names
from hashlab.phases.containers.networking import endpoints
from hashlab.phases.containers.sandbox import (
    IMAGE,
    has_sandbox,
    image_archive,
    sandbox_action,
    sandbox_body,
    sandbox_name,
    tell_apart,
)
from hashlab.phases.world import World
from hashlab.pipeline import Track, parallel
from hashlab.protocols import LAB_LABEL, ContainerState, Engine

NO_IMAGE = "No such image"
POLL_SECONDS = 0.1
FORGETTING_SECONDS = 60.0
# Errors of an engine that is still removing an overlay network.
FORGETTING = ("not found", "attaching to network failed", "Could not attach to network")


def make_sandboxes(world: World, track: Track, machine: str) -> None:
    """Promise: on a machine that was started since the last run, every replica that is new there
    has its sandbox.
    """
    link = world.link(machine)
    if link.kept:
        track.skip("made already")
        return
    present = tell_apart(link.engine.containers({LAB_LABEL: world.lab.id}))
    existing = {*present.sandboxes, *(container.name for container in present.containers)}
    new = [
        (service, name)
        for service in world.services_on(machine)
        if has_sandbox(service) and service.name not in world.stopped()
        if _has_networks(world, service)
        for name in replica_names(world.lab, service)
        if name not in existing
    ]
    if not new:
        track.skip("made already")
        return
    world.about_to_change()
    parallel(new, lambda each: _create(world, track, each[0], each[1]), track.cancel)
    track.detail(f"{len(new)} made")


def _has_networks(world: World, service: Service) -> bool:
    """True if no network of a service is made again later in this run."""
    facts = world.facts.network
    return all(
        name in facts.ids and name not in facts.retired for name in endpoints(world.lab, service)
    )


def known_sandboxes(world: World, machine: str) -> dict[str, ContainerState]:
    """Return the sandboxes of a machine by their containers' names, those of this run included."""
    made = world.facts.containers.sandboxes
    return {**world.facts.containers.found[machine].sandboxes, **made}


def ensure_sandbox(
    world: World,
    track: Track,
    service: Service,
    container: str,
    networks: Mapping[str, str],
    *,
    renew: bool = False,
) -> ContainerState:
    """Return the sandbox of a container with this name, as its service defines it, and running. Its
    container must not run if that takes another sandbox. ``networks``: ids by name; ``renew``: make
    another one in any case.
    """
    engine = world.link(service.machine).engine
    existing = known_sandboxes(world, service.machine).get(container)
    wanted = sandbox_body(world.lab, service, container)
    action = sandbox_action(wanted, existing, networks)
    if existing is not None and action == "keep" and not renew:
        return existing
    if existing is not None and action == "wake" and not renew:
        _attach(engine, existing, endpoints(world.lab, service, container), networks)
        return _start(world, track, service, container, existing.id)
    if existing is not None:
        engine.remove(existing.id)
    return _create(world, track, service, container)


def _create(world: World, track: Track, service: Service, container: str) -> ContainerState:
    """Create and start the sandbox of a container."""
    engine, name = world.link(service.machine).engine, sandbox_name(container)
    body = sandbox_body(world.lab, service, container)
    identifier = _with_image(world, engine, lambda: engine.create(name, body))
    for network, endpoint in list(endpoints(world.lab, service, container).items())[1:]:
        engine.connect(network, identifier, endpoint)
    return _start(world, track, service, container, identifier)


def _with_image(world: World, engine: Engine, create: Callable[[], str]) -> str:
    """Call ``create``; where the engine lacks the sandboxes' image, put it there first."""
    try:
        return create()
    except LabError as error:
        if NO_IMAGE not in error.what:
            raise
    # Several sandboxes are made at once, and each import makes another image.
    with world.lock:
        if IMAGE not in engine.image_labels([IMAGE]):
            engine.import_image(IMAGE, BytesIO(image_archive()))
    return create()


def _attach(
    engine: Engine,
    sandbox: ContainerState,
    places: Mapping[str, Mapping[str, Any]],
    networks: Mapping[str, str],
) -> None:
    """Attach a sandbox that stopped with its machine to the present networks (it knows the old ones
    by id).
    """
    for name, endpoint in places.items():
        place = sandbox.networks.get(name)
        if place is None or place.id != networks[name]:
            if place is not None:
                engine.disconnect(name, sandbox.id)
            engine.connect(name, sandbox.id, endpoint)


def _start(
    world: World, track: Track, service: Service, container: str, identifier: str
) -> ContainerState:
    """Start a sandbox, and try again while its engine does not find the network. A machine knows an
    overlay network only while a container is on it: when the last one has just left, the engine
    still removes the network, and finds it a moment later.
    """
    engine = world.link(service.machine).engine
    deadline = time.monotonic() + FORGETTING_SECONDS * world.provider.time_factor
    while True:
        try:
            engine.start(identifier)
            break
        except LabError as error:
            passing = any(sign in error.what for sign in FORGETTING)
            if not passing or time.monotonic() > deadline:
                raise
        track.detail("waiting for the network")
        track.cancel.wait(POLL_SECONDS)
    found = engine.container(identifier)
    if found is None:
        raise LabError(f"the sandbox of {container} was removed", where=service.machine)
    with world.lock:
        world.facts.containers.sandboxes[container] = found
    return found
