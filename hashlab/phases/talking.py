"""Reads from the kernels of the machines which services have connections to which."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address

from hashlab.config.model import Service
from hashlab.documents.picture import Picture, Pictured, Talk
from hashlab.errors import LabError
from hashlab.phases.containers.body import SERVICE_LABEL
from hashlab.phases.opening import addresses_of
from hashlab.phases.programs import CONNECTIONS
from hashlab.phases.world import World
from hashlab.pipeline import Track, parallel

# An IPv4 address of a socket of IPv6 begins with this.
MAPPED = "0000000000000000FFFF0000"
# A connection is shown for so many seconds after it was last seen.
SHOWN_SECONDS = 120.0
# Client, server, and the server's TCP port.
Pair = tuple[str, str, int]


def picture(world: World, talks: Iterable[Talk], urls: Mapping[str, str]) -> Picture:
    """Return the picture of the lab. ``urls``: those of its status."""
    known = {service.name for service in world.lab.services}
    return Picture(
        services=tuple(
            Pictured(
                name=service.name,
                machine=service.machine,
                needs=tuple(name for name in _needs(service) if name in known),
                urls=addresses_of(world, service, urls),
            )
            for service in world.lab.services
        ),
        talks=tuple(sorted(talks, key=lambda talk: (talk.client, talk.server, talk.port))),
    )


def _needs(service: Service) -> dict[str, None]:
    """Return the services that a service depends on or is linked to, in the order of the file."""
    linked = (link.service for link in service.links if not link.external)
    return dict.fromkeys([*(each.service for each in service.depends_on), *linked])


def observe_talks(
    world: World, track: Track, before: Iterable[Talk], *, now: float
) -> tuple[Talk, ...]:
    """Return the connections between services, after ``status_document`` has observed the
    containers, and those of ``before`` that are not too old. ``now``: Unix time. Raises LabError.
    """
    present = world.facts.containers.found
    pids, owners = _processes(world)
    asked = [(machine, pids[machine]) for machine in present if pids.get(machine)]
    answers = parallel(asked, lambda each: _ask(world, *each), track.cancel)
    found = {
        pair
        for (machine, _), answer in zip(asked, answers, strict=True)
        for pair in pairs(answer, pids[machine], owners)
    }
    kept = {
        (talk.client, talk.server, talk.port): talk
        for talk in before
        if talk.seen > now - SHOWN_SECONDS
    }
    return tuple((kept | {pair: Talk(*pair, seen=now) for pair in found}).values())


def _processes(world: World) -> tuple[dict[str, dict[int, str]], dict[str, str]]:
    """Return the processes of running containers, by machine and id, and the services that have an
    address, each with the service's name.
    """
    pids: dict[str, dict[int, str]] = {}
    owners: dict[str, str] = {}
    for machine, present in world.facts.containers.found.items():
        for container in present.containers:
            service = container.labels.get(SERVICE_LABEL, "")
            if not service or not container.pid or machine not in world.facts.machines.links:
                continue
            pids.setdefault(machine, {})[container.pid] = service
            owners.update((at.address, service) for at in container.networks.values() if at.address)
    return pids, owners


def _ask(world: World, machine: str, pids: Mapping[int, str]) -> str:
    words = ["sudo", "sh", "-c", CONNECTIONS, "sh", *map(str, pids)]
    done = world.link(machine).shell.run(words)
    if done.code != 0:
        raise LabError(
            "cannot read the connections of containers", where=machine, output=done.stderr
        )
    return done.stdout


def pairs(answer: str, pids: Mapping[int, str], owners: Mapping[str, str]) -> set[Pair]:
    """Read the output of programs/connections.sh. ``pids``: the services of its processes;
    ``owners``: services by address. Pure.
    """
    found = set()
    for line in answer.splitlines():
        pid, direction, place, port = line.split()
        own, other = pids[int(pid)], owners.get(address_of(place))
        if other is not None and other != own:
            ends = (own, other) if direction == "out" else (other, own)
            found.add((*ends, int(port, 16)))
    return found


def address_of(place: str) -> str:
    """Return the IPv4 address that the kernel lists as ``place``; "" for one of IPv6. Pure."""
    if len(place) > 8 and not place.startswith(MAPPED):
        return ""
    return str(IPv4Address(bytes.fromhex(place[-8:])[::-1]))
