"""Plans an intercept: which ports of a service come to the laptop, and which the laptop reaches."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from hashlab.config.model import Lab, Service
from hashlab.errors import LabError, UsageError
from hashlab.phases.containers.body import container_name, replica_names
from hashlab.phases.containers.networking import names
from hashlab.phases.forward import valid_port
from hashlab.phases.programs import LISTENERS
from hashlab.phases.upload.machine import observe_files
from hashlab.phases.world import World
from hashlab.pipeline import CancelToken, parallel
from hashlab.protocols import Link

USAGE = "hashlab intercept SERVICE --port PORT[=LAPTOPPORT]"
RECORDS = "/run/hashlab/intercepts"
_WORD = re.compile(r"([0-9]+)(?:=([0-9]+))?")
# Addresses of the laptop that stand for services: only Linux has all of 127.0.0.0/8.
_FIRST_ADDRESS = 16


@dataclass(frozen=True)
class Inbound:
    """A port of the service, and the laptop's port on which the process listens."""

    port: int
    laptop: int


@dataclass(frozen=True)
class Outbound:
    """A port of another service, by one of its names, and its address on the laptop."""

    name: str
    port: int
    address: str


def record_folder(lab: Lab, service: Service) -> str:
    """Return the folder of a machine that says who intercepts a service."""
    return f"{RECORDS}/{lab.name}/{service.name}"


def inbound(words: Sequence[str]) -> list[Inbound]:
    """Read PORT[=LAPTOPPORT]. Raises UsageError."""
    ports = []
    for word in words:
        match = _WORD.fullmatch(word)
        if match is None:
            raise UsageError(f"{word!r} is not a port", next_step=USAGE)
        port = valid_port(match[1])
        ports.append(Inbound(port, valid_port(match[2]) if match[2] else port))
    return ports


@dataclass(frozen=True)
class Place:
    """The containers of a service on one machine whose place a process takes. ``replicas``: the
    same, if the service has others there that go on; empty otherwise.
    """

    service: Service
    containers: tuple[str, ...]
    replicas: tuple[str, ...] = ()


def whole(lab: Lab, service: Service) -> Place:
    """Return the place of all containers of a service on its machine."""
    return Place(service, tuple(replica_names(lab, service)))


def one_replica(lab: Lab, services: Sequence[Service], number: int) -> Place:
    """Return the place of one container of a service. ``services``: the service on each of its
    machines; ``number``: counted from 1 over all of them. Raises UsageError.
    """
    each = [(service, name) for service in services for name in replica_names(lab, service)]
    if not 1 <= number <= len(each):
        raise UsageError(
            f"service {services[0].family} has no replica {number}",
            next_step=f"its replicas are numbered from 1 to {len(each)}",
        )
    service, name = each[number - 1]
    return Place(service, (name,), (name,) if service.replicas > 1 else ())


def check_service(service: Service) -> None:
    """Raise UsageError for a service that has no network of its own."""
    if not service.networks:
        raise UsageError(
            f"service {service.name} has no network of its own, so nothing can take its place",
            next_step="intercept a service without network_mode",
        )


def listening_ports(world: World) -> dict[str, list[int]]:
    """Return the TCP ports on which each running service listens for others, by service. Raises
    LabError.
    """
    links = list(world.facts.machines.links.values())
    found = parallel(links, lambda link: _ports_on(world, link), CancelToken())
    return {name: ports for each in found for name, ports in each.items()}


def _ports_on(world: World, link: Link) -> dict[str, list[int]]:
    pids: dict[str, str] = {}
    for service in world.services_on(link.machine):
        container = link.engine.container(container_name(world.lab, service, 1))
        if container is not None and container.pid:
            pids[str(container.pid)] = service.name
    if not pids:
        return {}
    done = link.shell.run(["sudo", "sh", "-c", LISTENERS, "sh", *pids])
    if done.code != 0:
        raise LabError("cannot read who listens", where=link.machine, output=done.stderr)
    found: dict[str, set[int]] = {name: set() for name in pids.values()}
    for line in done.stdout.splitlines():
        pid, port = line.split()
        found[pids[pid]].add(int(port, 16))
    return {name: sorted(ports) for name, ports in found.items()}


def took_files_in(world: World, place: Place) -> bool:
    """Return whether a process of a service took in changed files since its start. Started again,
    its container would show a build that it no longer runs. Raises LabError.
    """
    machine = place.service.machine
    link = world.link(machine)
    processes = observe_files(link.shell, world.lab, machine, wanted=()).processes
    found = (link.engine.container(name) for name in place.containers)
    return any(c and c.id in processes and processes[c.id].reloaded for c in found)


def declared_ports(service: Service) -> list[int]:
    """Return the TCP ports that the Compose file names for a service. Pure."""
    exposed = [word.removesuffix("/tcp") for word in service.expose]
    published = [port.target for port in service.ports if port.protocol == "tcp"]
    return sorted({*published, *(int(word) for word in exposed if word.isdecimal())})


def own_ports(services: Sequence[Service], listening: Mapping[str, Sequence[int]]) -> list[Inbound]:
    """Return the ports that a service listened on, or else those of the Compose file.
    ``services``: the service on each of its machines. Raises UsageError if there are none.
    """
    found = {port for service in services for port in listening.get(service.name, ())}
    ports = sorted(found) or declared_ports(services[0])
    if not ports:
        raise UsageError(f"service {services[0].family} listens on no port", next_step=USAGE)
    return [Inbound(port, port) for port in ports]


def neighbours(
    lab: Lab, service: Service, listening: Mapping[str, Sequence[int]], *, block: int
) -> list[Outbound]:
    """Return the ports of the services that share a network with this one, under each of their
    names. ``block``: the third number of their addresses, 127.65.BLOCK.N. Pure.
    """
    own = {attachment.network for attachment in service.networks}
    found: dict[str, set[int]] = {}
    for other in lab.services:
        if other.family != service.family and _shares(other, own):
            ports = {*listening.get(other.name, ()), *declared_ports(other)}
            for name in _called(service, other):
                found.setdefault(name, set()).update(ports)
    # Each name has its own address: two of one service may lead to different containers.
    return [
        Outbound(name, port, f"127.65.{block + number // 200}.{1 + number % 200}")
        for number, (name, ports) in enumerate(found.items(), _FIRST_ADDRESS)
        for port in sorted(ports)
    ]


def reached_names(lab: Lab, service: Service) -> frozenset[str]:
    """Return all names that lead to containers of the networks of a service. Pure."""
    own = {attachment.network for attachment in service.networks}
    found = [other for other in lab.services if _shares(other, own)]
    called = {name.lower() for other in found for name in _called(service, other)}
    return frozenset(called.union(*(replica_names(lab, other) for other in found)))


def _shares(other: Service, own: Iterable[str]) -> bool:
    return any(attachment.network in own for attachment in other.networks)


def called(service: Service) -> list[str]:
    """Return the names under which a service is found on its networks. Pure."""
    more = [alias for attachment in service.networks for alias in attachment.aliases]
    return list(dict.fromkeys([*names(service), service.family, *more]))


def _called(service: Service, other: Service) -> list[str]:
    """Return the names under which a service finds another one."""
    linked = [link.alias for link in service.links if link.service == other.name]
    return list(dict.fromkeys([*called(other), *linked]))
