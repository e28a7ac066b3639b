"""Phase ``names``: on every machine, each service's name leads to where the service is.

A name leads somewhere only on the networks of its service. So a container of each machine and
network is asked for the names of that network.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hashlab.errors import LabError
from hashlab.phases.containers.body import SERVICE_LABEL
from hashlab.phases.containers.networking import names
from hashlab.phases.containers.phase import observe_containers
from hashlab.phases.containers.sandbox import Present
from hashlab.phases.programs import ASK_NAMES
from hashlab.phases.world import World
from hashlab.pipeline import Track, parallel
from hashlab.protocols import ContainerState, Link

# Engines look for a lost member once a minute, and exchange names twice a minute: the manager's
# names were back 61 s after its engine was restarted.
WAIT_SECONDS = 120.0
POLL_SECONDS = 1.0
# The first polls follow each other quickly: names of new containers are known in a moment.
FIRST_POLL_SECONDS = 0.1
SHOWN = 3


@dataclass(frozen=True)
class Astray:
    """A name that does not lead to its service on a machine. ``found``: where it leads to."""

    machine: str
    name: str
    found: frozenset[str]

    def __str__(self) -> str:
        if not self.found:
            return f"{self.machine} does not find {self.name}"
        return f"{self.machine} finds {self.name} at {', '.join(sorted(self.found))}"


# The addresses at which services answer, by network and service's name.
Places = Mapping[tuple[str, str], frozenset[str]]


@dataclass(frozen=True)
class Answer:
    """The addresses that a container of a machine (``asker``) gets for a name."""

    machine: str
    asker: ContainerState
    name: str
    found: frozenset[str]


def await_names(world: World, track: Track, _: str) -> None:
    """Promise: on every machine that answers and runs a service, the name of each service leads to
    all of its containers and to nothing else. Waits for that; fails after two minutes.
    """
    started = time.monotonic()
    limit = WAIT_SECONDS * world.provider.time_factor
    links, known = world.facts.machines.links, world.facts.containers
    current = set(links) <= set(known.found) and not known.unsettled
    containers = known.found if current else observe_containers(world)
    while wrong := astray(world, containers, track):
        waited = time.monotonic() - started
        if waited > limit:
            raise _never(wrong, limit)
        track.detail(f"waiting for the engines to find each other: {_listed(wrong)}")
        track.cancel.wait(min(POLL_SECONDS, max(FIRST_POLL_SECONDS, waited / 2)))
        containers = observe_containers(world)
    count = len({name for _, name in places_of(world, containers)})
    track.detail(f"{count} names on {len(world.facts.machines.links)} machines")


def astray(world: World, containers: Mapping[str, Present], track: Track) -> list[Astray]:
    """Return the names that do not lead to their service, for each machine.

    ``containers``: by machine. A service of which no container runs has no name.
    """
    places = places_of(world, containers)
    wrong = (
        Astray(answer.machine, answer.name, answer.found)
        for answer in answers(world, containers, places, track)
        if answer.found
        not in [places.get((network, answer.name)) for network in answer.asker.networks]
    )
    return list(dict.fromkeys(wrong))


def answers(
    world: World, containers: Mapping[str, Present], places: Places, track: Track
) -> list[Answer]:
    """Ask on each machine and network for the names of ``places``. Raises LabError if a machine
    cannot be asked.
    """
    networks = [network.name for network in world.lab.networks]
    askers = [
        (machine, asker)
        for machine, present in containers.items()
        if machine in world.facts.machines.links
        for asker in choose_askers(present.containers, networks)
    ]

    def asked(machine: str, asker: ContainerState) -> list[Answer]:
        names = sorted({name for network, name in places if network in asker.networks})
        found = ask(world.link(machine), asker.pid, names) if names else {}
        return [Answer(machine, asker, name, found.get(name, frozenset())) for name in names]

    found = parallel(askers, lambda each: asked(*each), track.cancel)
    return [answer for some in found for answer in some]


def choose_askers(
    containers: Iterable[ContainerState], networks: Iterable[str]
) -> list[ContainerState]:
    """Return running containers of a machine that together are on each of ``networks`` on which it
    has one. Those on few networks come first: their answers say more. Pure.
    """
    running = [c for c in containers if c.pid]
    chosen: list[ContainerState] = []
    for network in networks:
        on_it = [c for c in running if network in c.networks and c.networks[network].address]
        if on_it and not any(asker in on_it for asker in chosen):
            chosen.append(min(on_it, key=lambda container: len(container.networks)))
    return chosen


def ask(link: Link, pid: int, names: Iterable[str]) -> dict[str, frozenset[str]]:
    """Return the IPv4 addresses to which names lead for a process in a container.

    Raises LabError if the machine cannot be asked.
    """
    done = link.shell.run(["sudo", "sh", "-c", ASK_NAMES, "sh", str(pid), *names])
    if done.code != 0:
        raise LabError(
            "cannot ask for the names of services", where=link.machine, output=done.stderr
        )
    return parse_answers(done.stdout)


def parse_answers(text: str) -> dict[str, frozenset[str]]:
    """Read the output of `getent ahostsv4`, in which only the first line of a name has it. Pure."""
    found: dict[str, frozenset[str]] = {}
    name = ""
    for line in text.splitlines():
        address, kind, *named = line.split()
        name = named[0] if named else name
        if kind == "STREAM":
            found[name] = found.get(name, frozenset()) | {address}
    return found


def places_of(
    world: World, containers: Mapping[str, Present]
) -> dict[tuple[str, str], frozenset[str]]:
    """Return the addresses of each service's running containers, and of those whose place a process
    on a laptop takes, by network and service's name.
    """
    networks = {network.name for network in world.lab.networks}
    intercepted = world.intercepted()
    own_names = {service.name: names(service)[0] for service in world.lab.services}
    found: dict[tuple[str, str], frozenset[str]] = {}
    for container in (c for present in containers.values() for c in present.containers):
        service = container.labels.get(SERVICE_LABEL, "")
        name = own_names.get(service, service)
        held = service in intercepted and intercepted[service].holds(container.name)
        if not name or not (held or container.state == "running"):
            continue
        for network, place in container.networks.items():
            if network in networks and place.address:
                known = found.get((network, name), frozenset())
                found[network, name] = known | {place.address}
    return found


def _listed(wrong: list[Astray]) -> str:
    more = len(wrong) - SHOWN
    return ", ".join(map(str, wrong[:SHOWN])) + (f", and {more} more" if more > 0 else "")


def _never(wrong: list[Astray], limit: float) -> LabError:
    return LabError(
        f"after {limit:g} s, {_listed(wrong)}",
        where="names do not lead to their services",
        next_step="hashlab ssh MACHINE --command 'sudo systemctl restart docker', then hashlab dev",
    )
