"""Makes one-off containers: a service's container with a command that a person types."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

from hashlab.config.model import Lab, Service
from hashlab.errors import LabError, UsageError
from hashlab.phases.connect import reconnect
from hashlab.phases.containers.actions import (
    ALIVE,
    check_external_volumes,
    joined_holder,
    owners_of,
)
from hashlab.phases.containers.body import SERVICE_LABEL, container_body, container_name
from hashlab.phases.containers.networking import endpoints
from hashlab.phases.world import World
from hashlab.pipeline import Track, parallel
from hashlab.protocols import ContainerState, Engine

# The name of its service. It has no SERVICE_LABEL, so no phase takes it for a replica.
ONE_OFF_LABEL = "hashlab.one-off"
# A container that was created is about to be started by the command that made it.
LASTING = (*ALIVE, "created")


@dataclass(frozen=True)
class OneOff:
    """The choices of a person. An empty one leaves the service's own. ``environment``: NAME=VALUE,
    or the NAME of a variable of the laptop; ``terminal``: the command gets one; ``remove``: the
    engine removes the container when the command ends.
    """

    command: Sequence[str] = ()
    entrypoint: str = ""
    environment: Sequence[str] = ()
    user: str = ""
    workdir: str = ""
    terminal: bool = False
    remove: bool = False


def is_one_off(container: ContainerState) -> bool:
    """True if a person made this container for one command. Pure."""
    return ONE_OFF_LABEL in container.labels


def remove_ended(engine: Engine, container: ContainerState) -> None:
    """Remove a one-off container whose command has ended; leave any other alone."""
    if container.state not in LASTING:
        engine.remove(container.id)


def make_one_off(
    world: World, track: Track, service: Service, wanted: OneOff, *, dependencies: bool
) -> str:
    """Create a one-off container on the machine of its service; return its name. It is not started.

    ``dependencies``: refuse if a service that this one needs does not run. Raises LabError,
    UsageError.
    """
    needed = [
        (other, dependency.condition)
        for dependency in service.depends_on
        for other in world.lab.services
        if dependencies and dependency.required and other.name == dependency.service
    ]
    machines = dict.fromkeys([service.machine, *(other.machine for other, _ in needed)])
    parallel(list(machines), lambda name: reconnect(world, track, name), track.cancel)
    lacking = [other.name for other, condition in needed if not _is_met(world, other, condition)]
    if lacking:
        raise LabError(
            f"{service.name} needs {', '.join(lacking)}, which does not run",
            where=world.lab.name,
            next_step=f"hashlab start {' '.join(lacking)}, or run it with --no-deps",
        )
    return _create(world, service, wanted)


def _is_met(world: World, needed: Service, condition: str) -> bool:
    """Return whether a replica of a needed service runs, or has completed if that is waited for."""
    state = world.link(needed.machine).engine.container(container_name(world.lab, needed, 1))
    if state is None:
        return False
    completed = condition == "service_completed_successfully" and state.state == "exited"
    return state.state == "running" or (completed and state.exit_code == 0)


def _create(world: World, service: Service, wanted: OneOff) -> str:
    engine = world.link(service.machine).engine
    if service.image not in engine.image_labels([service.image]):
        raise LabError(
            f"the image {service.image} is missing",
            where=service.machine,
            next_step="hashlab refresh",
        )
    check_external_volumes(world.lab, service, engine)
    owners = {name: owner.id for name, owner in owners_of(world, service).items() if owner}
    joined = joined_holder(world, service)
    holder = joined.id if joined else ""
    name = f"{world.lab.name}-{service.name}-run-{uuid4().hex[:12]}"
    try:
        engine.create(name, one_off_body(world, service, wanted, owners, holder))
        for network, endpoint in list(_places(world.lab, service).items())[1:]:
            engine.connect(network, name, endpoint)
    except LabError as error:
        engine.remove(name)
        # The machine lacks a file or a network that the last refresh did not know.
        error.next_step = error.next_step or "hashlab refresh"
        raise
    return name


def one_off_body(
    world: World, service: Service, wanted: OneOff, owners: Mapping[str, str], holder: str = ""
) -> dict[str, Any]:
    """Return the create request. Names, addresses, ports and the restart policy stay with the
    service's own containers.
    """
    body = container_body(
        world.lab,
        _changed(service, wanted, world.environ),
        holder=holder,
        owners=owners,
        time_factor=world.provider.time_factor,
    )
    labels = {key: value for key, value in body["Labels"].items() if key != SERVICE_LABEL}
    first = dict(list(_places(world.lab, service).items())[:1])
    return {
        **body,
        "Labels": {**labels, ONE_OFF_LABEL: service.name},
        **({} if holder else {"NetworkingConfig": {"EndpointsConfig": first}}),
        "HostConfig": {**body["HostConfig"], "AutoRemove": wanted.remove},
        "AttachStdin": True,
        "AttachStdout": True,
        "AttachStderr": True,
        # The command's input ends with the client that gave it.
        "StdinOnce": True,
    }


def _places(lab: Lab, service: Service) -> dict[str, dict[str, Any]]:
    """Return the service's endpoints without its names and fixed addresses, by network."""
    return {
        network: {key: value for key, value in endpoint.items() if key == "Links"}
        for network, endpoint in endpoints(lab, service).items()
    }


def _changed(service: Service, wanted: OneOff, laptop: Mapping[str, str]) -> Service:
    command: tuple[str, ...] | None = tuple(wanted.command)
    if not command and not wanted.entrypoint:
        command = service.command
    return replace(
        service,
        command=command,
        entrypoint=_split(wanted.entrypoint) if wanted.entrypoint else service.entrypoint,
        environment=tuple({**dict(service.environment), **_variables(wanted, laptop)}.items()),
        user=wanted.user or service.user,
        working_dir=wanted.workdir or service.working_dir,
        tty=wanted.terminal,
        stdin_open=True,
        ports=(),
        restart="no",
    )


def _split(entrypoint: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(entrypoint))
    except ValueError as error:
        raise UsageError(
            f"--entrypoint {entrypoint}: {error}", next_step="quote it as for a shell"
        ) from error


def _variables(wanted: OneOff, laptop: Mapping[str, str]) -> dict[str, str]:
    """Return the variables by name. One without a value that the laptop does not have is left out,
    as in Compose.
    """
    pairs = (each.partition("=") for each in wanted.environment)
    return {
        name: value if equals else laptop[name]
        for name, equals, value in pairs
        if equals or name in laptop
    }


def tidy(world: World, track: Track, machine: str, name: str, *, stop: bool) -> None:
    """Remove a one-off container that was never started, and with ``stop`` end one that runs: its
    client has gone. Raises LabError.
    """
    reconnect(world, track, machine)
    engine = world.link(machine).engine
    state = engine.container(name)
    if state is None:
        return
    if state.state == "created":
        engine.remove(state.id)
    elif stop and state.state in ALIVE:
        engine.stop(state.id, timeout=state.grace)
