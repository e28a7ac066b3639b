"""A lab's machines as plain values: as they are to be made, and as their provider sees them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from typing import Literal

from hashlab.config.model import Machine
from hashlab.protocols.links import Endpoint

# Marks what belongs to a lab, on the laptop's engine and on those of its machines.
LAB_LABEL = "hashlab.lab"
SSH_PORT = 22  # of a machine, inside it


@dataclass(frozen=True)
class ObservedMachine:
    """A machine as its provider sees it. ``forwarded``: guest → laptop port, also of a machine that
    is stopped where it keeps them; ``recipe``: that of its box.
    """

    name: str
    state: Literal["running", "stopped", "paused"]
    address: IPv4Address | None
    endpoint: Endpoint | None
    forwarded: Mapping[int, int] = field(default_factory=dict)
    recipe: str = ""


@dataclass(frozen=True)
class PlannedMachine:
    """A machine that is to be made: where it will be, and its ports (guest → laptop), that of its
    sshd among them.
    """

    machine: Machine
    address: IPv4Address
    ports: Mapping[int, int]

    @property
    def name(self) -> str:
        """The machine's name."""
        return self.machine.name

    @property
    def subnet(self) -> IPv4Network:
        """The /24 of the lab, in which the machine's address lies."""
        return IPv4Network(f"{self.address}/24", strict=False)
