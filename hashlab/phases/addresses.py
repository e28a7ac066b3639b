"""Chooses the machines' addresses and their ports on the laptop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network
from zlib import crc32

from hashlab.config.model import ForwardedPort, Lab
from hashlab.errors import LaptopError
from hashlab.phases.world import World
from hashlab.protocols import SSH_PORT, ObservedMachine, PlannedMachine

# Laptop ports for the machines' sshd: a hundred for each lab, below the ports that systems assign
# themselves. A halted lab and a lab made meanwhile rarely want the same port.
SSH_PORTS = range(22000, 32000, 100)
# Ports below belong to root on most systems.
FIRST_FREE = 1024
CANDIDATES = [IPv4Network(f"192.168.{third}.0/24") for third in range(61, 128)]


def plan_machines(
    world: World, observed: Mapping[str, ObservedMachine]
) -> dict[str, PlannedMachine]:
    """Choose each machine's address and laptop ports, by machine: existing machines keep theirs,
    the others get the configured ones where they are free. Ports of tunnels are left to phase
    ``ports``.
    """
    subnet = _subnet(world)
    ports = plan_ports(world, observed, _ssh_ports(world.lab))
    return {
        machine.name: PlannedMachine(
            machine, _shifted(machine.address, world.lab.subnet, subnet), ports[machine.name]
        )
        for machine in world.lab.machines
    }


def _ssh_ports(lab: Lab) -> dict[str, int]:
    first = SSH_PORTS[crc32(lab.id.encode()) % len(SSH_PORTS)]
    return {machine.name: first + number for number, machine in enumerate(lab.machines)}


def subnet_of(planned: Mapping[str, PlannedMachine]) -> IPv4Network:
    """Return the /24 that all planned machines are in."""
    return next(iter(planned.values())).subnet


def _subnet(world: World) -> IPv4Network:
    own = world.booting.own_subnet(world.lab)
    if own:
        subnet = IPv4Network(own)
        if subnet != world.lab.subnet:
            world.note(f"this lab was created with subnet {subnet}, not {world.lab.subnet}")
        return subnet
    return free_subnet(world, world.lab.subnet, "")


def free_subnet(world: World, wanted: IPv4Network, own: str) -> IPv4Network:
    """Choose the lab's subnet, and note why if it is not ``wanted``. ``own``: the subnet that the
    lab has already, which is not in the way. Raises LaptopError if none is free.
    """
    mine = {IPv4Network(own)} if own else set()
    used = [IPv4Network(subnet) for subnet in world.booting.used_subnets(world.lab)]
    used += [network for network in world.interfaces() if network not in mine]
    routes = [route for route in world.routes() if route not in mine]
    chosen = choose_subnet(wanted, used, routes)
    around = wider_route(wanted, routes)
    if chosen != wanted:
        free = not in_use(wanted, used, routes)
        why = f"is in the route {around} (a VPN?)" if around and free else "is in use"
        world.note(f"subnet {wanted} {why}; this lab took {chosen}")
    elif around:
        world.note(
            f"subnet {wanted} is in the route {around} (a VPN?), as all free ones are; its "
            "addresses now lead to the lab"
        )
    return chosen


def choose_subnet(
    wanted: IPv4Network, used: Sequence[IPv4Network], routes: Sequence[IPv4Network]
) -> IPv4Network:
    """Return ``wanted`` if it is free, else the next free /24, if possible one that no wider route
    contains. Raises LaptopError if none is free. Pure.

    ``used``: networks of the laptop's interfaces and of other labs; ``routes``: the laptop's routes
    without the default route.
    """
    candidates = [wanted, *CANDIDATES] if wanted.prefixlen == 24 else [wanted]
    free = [candidate for candidate in candidates if not in_use(candidate, used, routes)]
    outside = [candidate for candidate in free if wider_route(candidate, routes) is None]
    for candidate in outside or free:
        return candidate
    raise LaptopError(
        f"subnet {wanted} is in use and no other is free",
        next_step="set lab.subnet in hashlab.toml to a free one",
    )


def in_use(
    candidate: IPv4Network, used: Sequence[IPv4Network], routes: Sequence[IPv4Network]
) -> bool:
    """Return whether a lab cannot have this subnet. A wider route does not count: the lab's own
    route takes precedence. Pure.
    """
    narrow = [route for route in routes if route.prefixlen >= candidate.prefixlen]
    return any(candidate.overlaps(other) for other in (*used, *narrow))


def wider_route(subnet: IPv4Network, routes: Sequence[IPv4Network]) -> IPv4Network | None:
    """Return the narrowest route that contains a subnet. A VPN for all traffic, which is two routes
    of half the address space each, does not count, as the default route does not. Pure.
    """
    around = [r for r in routes if 1 < r.prefixlen < subnet.prefixlen and r.overlaps(subnet)]
    return max(around, key=lambda route: route.prefixlen, default=None)


def _shifted(address: IPv4Address, old: IPv4Network, new: IPv4Network) -> IPv4Address:
    return new.network_address + (int(address) - int(old.network_address))


def plan_ports(
    world: World, observed: Mapping[str, ObservedMachine], ssh: Mapping[str, int]
) -> dict[str, dict[int, int]]:
    """Choose the laptop port of every port that a machine is made with: by machine, guest → laptop.

    ``ssh``: the wanted port for the sshd of each machine.
    """
    ports: dict[str, dict[int, int]] = {}
    given: set[int] = set()
    for machine in world.lab.machines:
        existing = observed.get(machine.name)
        ports[machine.name] = {}
        for port in machine.made_with:
            host = existing.forwarded.get(port.guest) if existing else None
            if host is None:
                host = free(world, port.host, given)
                if host != port.host:
                    world.note(replaced(port, host))
            given.add(host)
            ports[machine.name][port.guest] = host
    for name, wanted in ssh.items():
        existing = observed.get(name)
        own = existing.endpoint.port if existing and existing.endpoint else 0
        host = own if own and own not in given else free(world, wanted, given)
        given.add(host)
        ports[name][SSH_PORT] = host
    return ports


def replaced(port: ForwardedPort, host: int) -> str:
    """Return the note that another port of the laptop takes the place of a forwarded port's."""
    why = "is in use" if port.host >= FIRST_FREE else "is in use, or only root may open it"
    return f"port {port.host} ({port.id}) {why}; using {host}"


def free(world: World, wanted: int, given: set[int]) -> int:
    """Return ``wanted`` if that port is free and not yet ``given`` in this run, else another."""
    if wanted not in given and world.port_is_free(wanted):
        return wanted
    while (port := world.free_port()) in given:
        pass
    return port
