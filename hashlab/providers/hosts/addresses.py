"""Finds the address of each host at which the others reach it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address

from hashlab.config.model import Machine
from hashlab.errors import LabError
from hashlab.protocols import Shell
from hashlab.providers.hosts.facts import HostFacts

SCAN_SECONDS = 5


def candidates(machine: Machine, facts: HostFacts) -> list[IPv4Address]:
    """Return the addresses that a host may have for the others, the best first: that of
    hashlab.toml; else private ones, and then the one that the laptop uses. Pure.
    """
    if not machine.address.is_unspecified:
        return [machine.address]
    used = facts.sshd[0]
    return sorted(
        facts.addresses,
        key=lambda each: (not each.is_private, str(each) != used, str(each)),
    )


def reached(shell: Shell, wanted: Sequence[tuple[IPv4Address, int]]) -> dict[IPv4Address, set[str]]:
    """Return the host keys that answer at addresses and ports of sshd, as seen from a host."""
    found: dict[IPv4Address, set[str]] = {}
    for port in sorted({port for _, port in wanted}):
        names = [str(address) for address, each in wanted if each == port]
        argv = ["ssh-keyscan", "-T", str(SCAN_SECONDS), "-p", str(port), *names]
        done = shell.run(argv, timeout=SCAN_SECONDS * (len(names) + 1))
        for line in done.stdout.splitlines():
            if not line.startswith("#"):
                name, _, key = line.partition(" ")
                address = IPv4Address(name.lstrip("[").partition("]")[0])
                found.setdefault(address, set()).add(key)
    return found


def choose(
    machines: Sequence[Machine],
    facts: Mapping[str, HostFacts],
    seen: Mapping[str, Mapping[IPv4Address, set[str]]],
) -> dict[str, IPv4Address]:
    """Return the address of each host. ``seen``: by host, the keys that it finds at the addresses
    of the others. Pure. Raises LabError, which names the hosts that do not reach each other.
    """
    chosen: dict[str, IPv4Address] = {}
    for machine in machines:
        others = [each.name for each in machines if each is not machine]
        own = facts[machine.name].keys
        possible = candidates(machine, facts[machine.name])
        good = [
            address
            for address in possible
            if all(seen[other].get(address, set()) & own for other in others)
        ]
        if not good:
            raise _unreached(machine, others, possible, seen, own)
        chosen[machine.name] = good[0]
    return chosen


def _unreached(
    machine: Machine,
    others: Sequence[str],
    possible: Sequence[IPv4Address],
    seen: Mapping[str, Mapping[IPv4Address, set[str]]],
    own: frozenset[str],
) -> LabError:
    lost = [other for other in others if not any(seen[other].get(a, set()) & own for a in possible)]
    listed = ", ".join(map(str, possible)) or "none"
    return LabError(
        f"{', '.join(lost or others)} cannot reach it by SSH at one of its addresses ({listed})",
        where=machine.name,
        next_step="let the hosts reach each other, or name the address in hashlab.toml: "
        f'[machines.{machine.name}] address = "10.0.0.5"',
    )
