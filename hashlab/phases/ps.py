"""Lists the containers of the services, as their engines describe them."""

from __future__ import annotations

from collections.abc import Iterator

from hashlab.config.model import Service
from hashlab.documents import unix_time
from hashlab.documents.ps import Container
from hashlab.phases.connect import reconnect
from hashlab.phases.containers.body import replica_names
from hashlab.phases.containers.oneoff import ONE_OFF_LABEL, is_one_off
from hashlab.phases.containers.phase import observe_containers
from hashlab.phases.world import World
from hashlab.pipeline import Track, parallel
from hashlab.protocols import ContainerState


def list_containers(world: World, track: Track, *, one_off: bool) -> list[Container]:
    """Return the containers of all services, in the order of the Compose file; with ``one_off``
    also those that `hashlab run` made. Changes nothing.

    Raises LabError if a machine that runs does not answer. Machines that do not run have none.
    """
    observed = world.provider.machines.observe_all(world.lab)
    running = [machine.name for machine in observed if machine.state == "running"]
    parallel(running, lambda name: reconnect(world, track, name), track.cancel)
    existing = {
        (machine, container.name): container
        for machine, present in observe_containers(world).items()
        for container in present.containers
    }
    made = {place: c.labels[ONE_OFF_LABEL] for place, c in existing.items() if is_one_off(c)}
    found = []
    for service in world.lab.services:
        ports = tuple(_ports(world, service))
        for name in replica_names(world.lab, service):
            if (service.machine, name) in existing:
                container = existing[service.machine, name]
                found.append(_container(service, container, ports))
        for place, name in made.items():
            if one_off and name == service.name:
                found.append(_container(service, existing[place], ()))
    return found


def _container(service: Service, container: ContainerState, ports: tuple[str, ...]) -> Container:
    over = container.state == "exited"
    since = unix_time(container.finished_at if over else container.started_at)
    return Container(
        name=container.name,
        service=service.name,
        machine=service.machine,
        image=service.image,
        state=container.state,
        health=container.health,
        exit_code=container.exit_code,
        # Docker's year 1 stands for "never".
        since=since if since and since > 0 else None,
        ports=ports,
    )


def _ports(world: World, service: Service) -> Iterator[str]:
    urls = world.urls()
    machine = world.machine(service.machine)
    laptop = {port.guest: urls[port.id].partition("://")[2] for port in machine.forwarded_ports}
    known = world.facts.machines.endpoints.get(machine.name)
    address = known.address if known else machine.address
    for port in service.ports:
        kind = "" if port.protocol == "tcp" else f"/{port.protocol}"
        if port.published is None:
            yield f"{port.target}{kind}"
        elif port.published in laptop and not kind:
            yield f"{laptop[port.published]} → {port.target}"
        else:
            yield f"{address}:{port.published} → {port.target}{kind}"
