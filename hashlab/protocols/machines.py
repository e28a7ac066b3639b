"""A lab's machines as plain values: as planned, and as their provider observes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from typing import Literal

from hashlab.config.model import Machine
from hashlab.protocols.links import Endpoint

# Marks objects of a lab on the laptop's engine and on those of its machines.
LAB_LABEL = "hashlab.lab"
SSH_PORT = 22  # inside the machine


@dataclass(frozen=True)
class ObservedMachine:
    """A machine as its provider observes it.

    ``forwarded``: guest port → laptop port, also for a stopped machine that keeps them. ``recipe``:
    the recipe of its box.
    """

    name: str
    state: Literal["running", "stopped", "paused"]
    address: IPv4Address | None
    endpoint: Endpoint | None
    forwarded: Mapping[int, int] = field(default_factory=dict)
    recipe: str = ""


@dataclass(frozen=True)
class PlannedMachine:
    """A machine to be created: its address and its ports (guest → laptop), including that of its
    sshd.
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
        """The /24 of the lab, which contains the machine's address."""
        return IPv4Network(f"{self.address}/24", strict=False)
