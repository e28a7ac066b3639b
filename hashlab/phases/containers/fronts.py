"""Takes replicas out of their front before they stop, and lets them in again when they are ready.

A front is a HAProxy. It finds the replicas by their name, and checks by itself which of them
answer; hashlab only drains them, by its runtime API.
"""

from __future__ import annotations

import csv
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hashlab.config.model import CopyName, Service
from hashlab.errors import LabError
from hashlab.phases.containers.body import SERVICE_LABEL, container_name, replica_names
from hashlab.phases.containers.readiness import READY_SECONDS
from hashlab.phases.containers.sandboxes import known_sandboxes
from hashlab.phases.programs import FRONT
from hashlab.phases.world import World
from hashlab.pipeline import Track
from hashlab.protocols import ContainerState, Link

# Only servers: neither the front itself nor its totals.
STATISTICS = "show stat -1 4 -1"
POLL_SECONDS = 0.05
# A replica that is healthy should answer its front's next check.
ANSWER_SECONDS = 20.0
# Engines find the names of other machines again within this time (phase ``names``).
FOUND_SECONDS = 120.0


@dataclass(frozen=True)
class Place:
    """A replica as its front sees it, on one port. ``server``: its name in the runtime API;
    ``sessions``: the number of requests or connections that are open; ``state``: HAProxy's.
    """

    server: str
    address: str
    state: str
    sessions: int

    @property
    def port(self) -> str:
        """The port on which the front listens."""
        return self.server.partition("/")[0].removeprefix("port-")

    @property
    def serves(self) -> bool:
        """True if new requests may go there."""
        return self.state.startswith("UP")

    @property
    def drained(self) -> bool:
        """True if it was taken out by hashlab."""
        return self.state.startswith("DRAIN")


@dataclass(frozen=True)
class _Running:
    """A front that runs: its machine, and its process there."""

    link: Link
    pid: int

    def send(self, commands: Iterable[str], *lease: str) -> str:
        """Send commands to its runtime API. ``lease``: a name, and perhaps the seconds after which
        the machine sends the commands that follow. Raises LabError.
        """
        words = [str(self.pid), ";".join(commands), *lease]
        done = self.link.shell.run(["sudo", "sh", "-c", FRONT, "sh", *words])
        if done.code != 0:
            raise LabError(
                "a front does not take commands", where=self.link.machine, output=done.stderr
            )
        return done.stdout

    def places(self, addresses: Iterable[str] = ()) -> list[Place]:
        """Return the places that have an address; with ``addresses`` only these."""
        wanted = frozenset(addresses)
        found = places_in(self.send([STATISTICS]))
        return [place for place in found if not wanted or place.address in wanted]


def places_in(statistics: str) -> list[Place]:
    """Read HAProxy's statistics of servers. Places without a replica have no address. Pure."""
    rows = csv.DictReader(statistics.strip().removeprefix("# ").splitlines())
    return [
        Place(
            f"{row['pxname']}/{row['svname']}",
            row["addr"].rpartition(":")[0],
            row["status"],
            int(row["scur"] or 0),
        )
        for row in rows
        if row.get("addr")
    ]


def drain(world: World, container: ContainerState, step: Track) -> None:
    """Take a replica that is about to stop out of its front, and wait until its open requests have
    ended, for as long as it may take to stop (``stop_grace_period``). A replica without a front, or
    the last that serves, is left alone: the front tries again until the next one answers.
    """
    front = _front_of(world, container)
    running = _running(world, front) if front else None
    if running is None:
        return
    try:
        _drain(world, running, container, step)
    except LabError as error:
        # For example because it is being replaced itself. The service stops as it would without.
        world.note(f"{container.name} was not drained: {error.what}")


def _drain(world: World, running: _Running, container: ContainerState, step: Track) -> None:
    addresses = {place.address for place in container.networks.values()} - {""}
    every = running.places()
    mine = [place for place in every if place.address in addresses]
    others = [place for place in every if place.address not in addresses]
    if not any(place.serves for place in mine) or not any(place.serves for place in others):
        return
    step.detail("draining")
    seconds = container.grace + READY_SECONDS * world.provider.time_factor
    undo = _all(mine, "ready")
    running.send(_all(mine, "drain"), _lease(world, container.name), f"{seconds:g}", ";".join(undo))
    deadline = time.monotonic() + container.grace
    while left := sum(place.sessions for place in running.places(addresses)):
        if time.monotonic() > deadline:
            world.note(f"{container.name}: {left} requests had not ended after {container.grace} s")
            return
        step.cancel.wait(POLL_SECONDS)


def let_in(world: World, service: Service, containers: Sequence[str], step: Track) -> None:
    """Let replicas of a service into its front, by their containers' names, and wait until the
    front has found that they answer. Raises LabError if it does not.
    """
    running = _running(world, service.front) if service.front else None
    if running is None:
        return
    started = time.monotonic()
    for name in containers:
        while trouble := _trouble(world, service, running, name):
            if time.monotonic() - started > trouble.seconds * world.provider.time_factor:
                raise LabError(
                    f"{name}: {trouble.what}",
                    where=service.front,
                    next_step=f"hashlab logs {service.front} {service.family}",
                )
            step.detail(f"waiting for {service.front}")
            step.cancel.wait(POLL_SECONDS)


@dataclass(frozen=True)
class _Trouble:
    """Why a front does not send requests to a replica yet, and for how long that may be so."""

    what: str
    seconds: float


def _trouble(world: World, service: Service, running: _Running, name: str) -> _Trouble | None:
    """Return what keeps a replica out of its front. One that was drained is let in."""
    try:
        return _look(world, service, running, name)
    except LabError as error:
        return _Trouble(error.what, ANSWER_SECONDS)


def _look(world: World, service: Service, running: _Running, name: str) -> _Trouble | None:
    sandbox = known_sandboxes(world, service.machine).get(name)
    addresses = {place.address for place in sandbox.networks.values()} - {""} if sandbox else set()
    if not addresses:
        return _Trouble("it has no address", FOUND_SECONDS)
    places = running.places(addresses)
    if not places:
        return _Trouble("its front does not find it", FOUND_SECONDS)
    out = [place for place in places if place.drained]
    if out:
        running.send(_all(out, "ready"), _lease(world, name))
        places = running.places(addresses)
    silent = sorted({place.port for place in places if not place.serves})
    if not silent:
        return None
    return _Trouble(f"it does not answer its front on port {', '.join(silent)}", ANSWER_SECONDS)


def await_front(world: World, front: Service, step: Track) -> None:
    """Let all replicas into a front that should be there, and wait until it serves them."""
    for service in world.lab.services:
        reached = service.machine in world.facts.machines.links
        if service.front == front.name and reached:
            names = replica_names(world.lab, service)
            let_in(world, service, [n for n in names if not world.rests(service.name, n)], step)


def _front_of(world: World, container: ContainerState) -> str:
    """Return the front of a container's service; "" if it has none. A service that left a machine
    had the name SERVICE.MACHINE.
    """
    label = container.labels.get(SERVICE_LABEL, "")
    fronts = {each.front_of: each.name for each in world.lab.services if each.front_of}
    known = {each.name: each.family for each in world.lab.services}
    left = CopyName.read(label)
    return fronts.get(known.get(label) or (left.service if left else label), "")


def _running(world: World, name: str) -> _Running | None:
    """Return a front as it runs now; None if it does not, or its machine does not answer."""
    front = world.lab.service(name)
    link = world.facts.machines.links.get(front.machine)
    container = link.engine.container(container_name(world.lab, front, 1)) if link else None
    if link is None or container is None or not container.pid:
        return None
    return _Running(link, container.pid)


def _all(places: Iterable[Place], state: str) -> list[str]:
    return [f"set server {place.server} state {state}" for place in places]


def _lease(world: World, container: str) -> str:
    return f"hashlab-front-{world.lab.id}-{container}"
