"""Where machines are: addresses and laptop ports of a run, and the Vagrantfile that says so."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from zlib import crc32

from hashlab.config.model import Lab, Machine
from hashlab.errors import LaptopError
from hashlab.phases.world import World
from hashlab.protocols import SSH_PORT, BoxManifest, ObservedMachine, PlannedMachine

# Of the laptop, for the machines' sshd: a hundred for each lab, below those that systems give away
# by themselves, so that a lab that was halted and one made meanwhile seldom want the same.
SSH_PORTS = range(22000, 32000, 100)
BOOT_SECONDS = 120.0
CANDIDATES = [IPv4Network(f"192.168.{third}.0/24") for third in range(61, 128)]


@dataclass(frozen=True)
class Layout:
    """Where the machines of this run are: addresses and laptop ports, by machine."""

    planned: Mapping[str, PlannedMachine]


def lay_out(world: World, observed: dict[str, ObservedMachine]) -> Layout:
    """Choose addresses and ports: what exists stays, the rest is as configured where free."""
    subnet = _subnet(world)
    if subnet != world.lab.subnet:
        world.note(f"subnet {world.lab.subnet} is in use; this lab took {subnet}")
    ports = lay_out_ports(world, observed, _ssh_ports(world.lab))
    return Layout(
        {
            machine.name: PlannedMachine(
                machine, _shifted(machine.address, world.lab.subnet, subnet), ports[machine.name]
            )
            for machine in world.lab.machines
        }
    )


def _ssh_ports(lab: Lab) -> dict[str, int]:
    first = SSH_PORTS[crc32(lab.id.encode()) % len(SSH_PORTS)]
    return {machine.name: first + number for number, machine in enumerate(lab.machines)}


def subnet_of(layout: Layout) -> IPv4Network:
    """The /24 the layout lies in."""
    return next(iter(layout.planned.values())).subnet


def _subnet(world: World) -> IPv4Network:
    own = world.provider.machines.own_subnet(world.lab)
    if own:
        return IPv4Network(own)
    taken = [IPv4Network(subnet) for subnet in world.provider.machines.used_subnets(world.lab)]
    taken += world.routes()
    return choose_subnet(world.lab.subnet, taken)


def choose_subnet(wanted: IPv4Network, taken: Sequence[IPv4Network]) -> IPv4Network:
    """``wanted`` where it is free, else the next free /24. Raises LaptopError when none is."""
    candidates = [wanted, *CANDIDATES] if wanted.prefixlen == 24 else [wanted]
    for candidate in candidates:
        if not any(candidate.overlaps(other) for other in taken if other.prefixlen > 0):
            return candidate
    raise LaptopError(
        f"subnet {wanted} is in use and no other is free",
        next_step="set lab.subnet in hashlab.toml to a free one",
    )


def _shifted(address: IPv4Address, old: IPv4Network, new: IPv4Network) -> IPv4Address:
    return new.network_address + (int(address) - int(old.network_address))


def lay_out_ports(
    world: World, observed: Mapping[str, ObservedMachine], ssh: Mapping[str, int]
) -> dict[str, dict[int, int]]:
    """Choose the laptop port of every forwarded one: by machine, guest → laptop.

    ``ssh``: the port wanted for the sshd of each machine.
    """
    ports: dict[str, dict[int, int]] = {}
    given: set[int] = set()
    for machine in world.lab.machines:
        there = observed.get(machine.name)
        ports[machine.name] = {}
        for port in machine.forwarded_ports:
            host = there.forwarded.get(port.guest) if there else None
            if host is None:
                host = free(world, port.host, given)
            if host != port.host:
                world.note(f"port {port.host} ({port.id}) is taken; using {host}")
            given.add(host)
            ports[machine.name][port.guest] = host
    for name, wanted in ssh.items():
        there = observed.get(name)
        own = there.endpoint.port if there and there.endpoint else 0
        host = own if own and own not in given else free(world, wanted, given)
        given.add(host)
        ports[name][SSH_PORT] = host
    return ports


def free(world: World, wanted: int, given: set[int]) -> int:
    """``wanted`` where that port is free and not given away in this run, else another."""
    if wanted not in given and world.port_is_free(wanted):
        return wanted
    while (port := world.free_port()) in given:
        pass
    return port


def vagrantfile(world: World, layout: Layout, box: BoxManifest, public_key: str) -> str:
    """The rendered Vagrantfile of this run."""

    def values(machine: Machine) -> dict[str, object]:
        planned = layout.planned[machine.name]
        return {
            "name": machine.name,
            "address": str(planned.address),
            "forwarded_ports": [
                {"id": port.id, "guest": port.guest, "host": planned.ports[port.guest]}
                for port in machine.forwarded_ports
            ],
            "settings": world.provider.machines.settings(world.lab, planned, box, public_key),
        }

    return world.render(
        {
            "lab": world.lab.name,
            "provider": world.provider.name,
            "box": {"name": box.name, "version": box.version},
            "user": "core",
            "boot_seconds": round(BOOT_SECONDS * world.provider.patience),
            "private_key": str(world.state.key),
            "wait_for_disk": wait_for(world.state.disks_ready),
            "machines": [values(machine) for machine in world.lab.machines],
        }
    )


def wait_for(path: Path) -> str:
    """A shell command that ends well when the file is there, within a minute."""
    quoted = shlex.quote(str(path))
    look = f"n=0; until [ -e {quoted} ]; do n=$((n+1)); [ $n -lt 600 ] || exit 1; sleep 0.1; done"
    return shlex.join(["sh", "-c", look])
