"""Plans one `hashlab intercept`: whose place is taken on which machine, and what leads where."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hashlab.config.model import Lab
from hashlab.errors import UsageError
from hashlab.phases.connect import reconnect
from hashlab.phases.intercepting import (
    Outbound,
    Place,
    check_service,
    inbound,
    listening_ports,
    neighbours,
    one_replica,
    own_ports,
    whole,
)
from hashlab.phases.world import World
from hashlab.run.carrying import Plan
from hashlab.run.execution import unseen_step
from hashlab.run.openssh import check_machines
from hashlab.run.services import services_of

# Blocks of 127.65.0.0/16 among which each intercept chooses one at random.
BLOCKS = 250


@dataclass(frozen=True)
class Wish:
    """The arguments of the command. ``ports``: PORT[=LAPTOPPORT]; ``replica``: its number, "" for
    all; ``mode``: how names are found, "" for the best that works.
    """

    service: str
    ports: Sequence[str] = ()
    replica: str = ""
    mode: str = ""


def make_plans(world: World, wish: Wish, *, addresses: bool, any_name: Path | None) -> list[Plan]:
    """Return what leads where on each machine, once all of them are connected. ``addresses``: the
    services that the process reaches get addresses of the laptop. Raises HashlabError.
    """
    places = _places(world.lab, wish)
    services = [place.service for place in places]
    check_service(services[0])
    typed = inbound(wish.ports)
    check_machines(world)
    with unseen_step("intercept") as track:
        for machine in world.machine_names():
            reconnect(world, track, machine)
    listening = listening_ports(world)
    ports = typed or own_ports(services_of(world.lab, [services[0].family]), listening)
    for port in ports:
        if not world.port_is_free(port.laptop):
            raise UsageError(
                f"port {port.laptop} of the laptop is in use",
                next_step=f"hashlab intercept {wish.service} --port {port.port}=LAPTOPPORT",
            )
    block = secrets.randbelow(BLOCKS)
    found = neighbours(world.lab, services[0], listening, block=block) if addresses else []
    first, *others = [Plan(place, ports) for place in places]
    reached = [each for each in found if _can_listen(world, each)]
    return [replace(first, reached=reached, any_name=any_name), *others]


def _places(lab: Lab, wish: Wish) -> list[Place]:
    """Return whose place is taken, on each machine. Raises UsageError."""
    services = services_of(lab, [wish.service])
    if not wish.replica:
        return [whole(lab, service) for service in services]
    if not wish.replica.isdecimal():
        raise UsageError(
            f"{wish.replica!r} is not the number of a replica",
            next_step=f"hashlab intercept {wish.service} --replica 1",
        )
    return [one_replica(lab, services, int(wish.replica))]


def _can_listen(world: World, each: Outbound) -> bool:
    """Return whether this user can listen at an address of the laptop; note it if not."""
    with socket.socket() as probe:
        try:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((each.address, each.port))
        except OSError as error:
            world.note(f"{each.name}:{each.port} is not reached from the laptop: {error.strerror}")
            return False
    return True
