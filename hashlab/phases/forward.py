"""Chooses the ports of services that `hashlab forward` brings to the laptop, and their places."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from hashlab.documents.forward import ForwardedTarget
from hashlab.errors import LabError, UsageError
from hashlab.phases.connect import reconnect
from hashlab.phases.containers.body import network_body
from hashlab.phases.world import World
from hashlab.pipeline import Track

WORD = re.compile(r"(?P<service>[^:=]+)(?::(?P<port>[0-9]+))?(?:=(?P<laptop>[0-9]+))?")
USAGE = "hashlab forward SERVICE[:PORT][=LAPTOPPORT]"
HIGHEST_PORT = 65535
# Ports below belong to root; its user gets 8080 for 80.
FIRST_FREE = 1024
ABOVE_ROOT = 8000


@dataclass(frozen=True)
class Wish:
    """Something typed: a service, its port (None: all that it exposes) and the laptop's port."""

    service: str
    port: int | None = None
    laptop: int | None = None


def wish(word: str) -> Wish:
    """Read SERVICE[:PORT][=LAPTOPPORT]. Raises UsageError."""
    match = WORD.fullmatch(word)
    if match is None:
        raise UsageError(f"{word!r} does not name a port of a service", next_step=USAGE)
    port, laptop = (valid_port(match[key]) if match[key] else None for key in ("port", "laptop"))
    return Wish(match["service"], port, laptop)


def valid_port(word: str) -> int:
    """Return the port number that a person typed. Raises UsageError."""
    if word.isascii() and word.isdecimal() and 1 <= int(word) <= HIGHEST_PORT:
        return int(word)
    raise UsageError(f"{word} is not a valid port number", next_step="1 to 65535")


def targets(
    world: World, track: Track, wishes: Sequence[Wish], find: Callable[[str], tuple[str, str]]
) -> list[ForwardedTarget]:
    """Return the wanted ports with their places on the laptop; a port that is in use is replaced by
    a free one, and noted. ``find``: returns machine and container of a service.

    Raises UsageError; LabError if an engine that must be asked does not answer.
    """
    chosen: list[ForwardedTarget] = []
    taken: set[int] = set()
    for each in wishes:
        machine, container = find(each.service)
        for port in _ports(world, track, each, machine=machine, container=container):
            place = _place(world, each, port, taken)
            taken.add(place)
            address = f"127.0.0.1:{place}"
            chosen.append(ForwardedTarget(each.service, container, machine, port, address))
    return chosen


def _ports(
    world: World, track: Track, wish: Wish, *, machine: str, container: str
) -> Sequence[int]:
    """Return the ports of a wish: the one it names, else all that its container exposes."""
    if wish.port is not None:
        return [wish.port]
    image = _exposed(world, track, machine, container)
    # The Compose file's are ports of the container's sandbox.
    written = network_body(world.lab, world.lab.service(wish.service))["ExposedPorts"]
    exposed = _tcp([*image, *written])
    if not exposed:
        raise UsageError(
            f"service {wish.service} exposes no TCP port",
            next_step=f"name the port: hashlab forward {wish.service}:PORT",
        )
    if wish.laptop and len(exposed) > 1:
        raise UsageError(
            f"service {wish.service} exposes several ports: {', '.join(map(str, exposed))}",
            next_step=f"name one: hashlab forward {wish.service}:{exposed[0]}={wish.laptop}",
        )
    return exposed


def _exposed(world: World, track: Track, machine: str, container: str) -> list[str]:
    """Return the ports that a container itself exposes, in the engine's words."""
    if machine not in world.facts.machines.links:
        reconnect(world, track, machine)
    inspected = world.link(machine).engine.inspect(container)
    if inspected is None:
        raise LabError(
            f"container {container} does not exist", where=machine, next_step="hashlab dev"
        )
    return list(inspected["Config"].get("ExposedPorts") or {})


def _tcp(exposed: Sequence[str]) -> list[int]:
    """Return the TCP ports among ports in the engine's words."""
    parts = (port.partition("/") for port in exposed)
    return sorted({int(port) for port, _, kind in parts if kind in ("", "tcp")})


def _place(world: World, wish: Wish, port: int, taken: set[int]) -> int:
    """Return a free port of the laptop; note it if it is not the wanted one."""
    wanted = wish.laptop or port
    candidates = [wanted, *([wanted + ABOVE_ROOT] if wanted < FIRST_FREE else [])]
    free = (each for each in candidates if each not in taken and world.port_is_free(each))
    place = next(free, None) or next(each for each in _any(world) if each not in taken)
    if place != wanted:
        world.note(
            f"port {wanted} of the laptop is not free; "
            f"{wish.service}:{port} is at 127.0.0.1:{place}"
        )
    return place


def _any(world: World) -> Iterator[int]:
    while True:
        yield world.free_port()
