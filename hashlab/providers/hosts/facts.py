"""Reads what a host says about itself, by ``facts.sh``."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Any

from hashlab.errors import LabError
from hashlab.protocols import Shell
from hashlab.providers.hosts.files import program

FACTS = program("facts")
SECONDS = 60.0
# Each with the program that shows that it is there, perhaps from another package (docker-ce).
NEEDED = {"dockerd": "docker.io", "socat": "socat", "rsync": "rsync", "iptables": "iptables"}


@dataclass(frozen=True)
class Record:
    """The record that hashlab left on a host (/etc/hashlab/host.json). ``lab``: the lab's id;
    ``made_by``: who prepared the host for it; ``address``: the host's for the others; ``packages``:
    those that hashlab installed; ``joined``: it put the user into the group docker.
    """

    lab: str
    made_by: str
    address: str
    recipe: str
    packages: tuple[str, ...] = ()
    joined: bool = False

    def text(self) -> str:
        """Return the record as the file has it."""
        return json.dumps(self.__dict__, default=list) + "\n"


@dataclass(frozen=True)
class HostFacts:
    """The state of a host. ``addresses``: with the MTU of each; ``sshd``: address and port at which
    the laptop's connection arrived; ``clock``: seconds by which the host's clock is ahead;
    ``files``: hash by path; ``swarm``: state and node id; ``swarm_made``: "making", or the node id
    of a Swarm that hashlab made.
    """

    os: str = ""
    arch: str = ""
    user: str = ""
    groups: frozenset[str] = frozenset()
    sudo: bool = False
    apt: bool = False
    systemd: bool = False
    programs: frozenset[str] = frozenset()
    engine: str = ""
    swarm: tuple[str, str] = ("", "")
    swarm_made: str = ""
    sshd: tuple[str, int] = ("", 22)
    addresses: Mapping[IPv4Address, int] = field(default_factory=dict)
    keys: frozenset[str] = frozenset()
    esp: bool = False
    clock: float = 0.0
    record: Record | None = None
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def missing(self) -> tuple[str, ...]:
        """The packages to install."""
        return tuple(package for name, package in NEEDED.items() if name not in self.programs)


def read_facts(shell: Shell, machine: str) -> HostFacts:
    """Ask a host. Raises LabError."""
    asked = time.time()
    done = shell.run(["sh", "-c", FACTS, "sh", *NEEDED.values()], timeout=SECONDS)
    answered = time.time()
    if done.code != 0:
        raise LabError("the host does not say what it is", where=machine, output=done.stderr)
    return parse(done.stdout, asked=asked, answered=answered)


def parse(output: str, *, asked: float, answered: float) -> HostFacts:
    """Read the output of ``facts.sh``, which was asked for and answered at these times. Pure."""
    lines = [line.partition(" ")[::2] for line in output.splitlines()]
    one = dict(lines)
    sshd = one.get("sshd", "").split()
    return HostFacts(
        os=one.get("os", ""),
        arch=one.get("arch", ""),
        user=one.get("user", ""),
        groups=frozenset(one.get("groups", "").split()),
        sudo="sudo" in one,
        apt="apt" in one,
        systemd="systemd" in one,
        programs=frozenset(value for key, value in lines if key == "program"),
        engine=one.get("engine", ""),
        swarm=_pair(one.get("swarm", "")),
        swarm_made=one.get("swarm-made", ""),
        sshd=(sshd[0], int(sshd[1])) if len(sshd) == 2 else ("", 22),
        addresses=dict(_addresses(value for key, value in lines if key == "address")),
        keys=frozenset(value for key, value in lines if key == "key"),
        esp="esp" in one,
        clock=_clock(one.get("time", ""), asked, answered),
        record=_record(one.get("record", "")),
        files={path: digest for digest, path in _files(lines)},
    )


def _pair(value: str) -> tuple[str, str]:
    first, _, second = value.partition(" ")
    return first, second


def _addresses(values: Iterator[str]) -> Iterator[tuple[IPv4Address, int]]:
    for value in values:
        address, _, mtu = value.partition(" ")
        yield IPv4Address(address), int(mtu)


def _files(lines: list[Any]) -> Iterator[tuple[str, str]]:
    for key, value in lines:
        if key == "file":
            digest, _, path = value.partition(" ")
            yield digest, path


def _clock(value: str, asked: float, answered: float) -> float:
    """Return by how much a clock is ahead; 0 if it may be right."""
    try:
        shown = float(value)
    except ValueError:
        return 0.0
    return shown - answered if shown > answered else min(0.0, shown - asked)


def _record(text: str) -> Record | None:
    if not text:
        return None
    try:
        value = json.loads(text)
        return Record(**{**value, "packages": tuple(value["packages"])})
    except (ValueError, TypeError, KeyError):
        return None
