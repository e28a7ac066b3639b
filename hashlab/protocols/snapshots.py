"""Snapshots of a whole lab: what a provider keeps of its machines at one instant."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Any, Protocol

from hashlab.config.model import Lab
from hashlab.pipeline import Track
from hashlab.protocols.machines import PlannedMachine


@dataclass(frozen=True)
class MachineSnapshot:
    """One machine in a snapshot. ``recipe``: that of its box; ``ssh_port``: where its sshd answered
    on the laptop; ``parts``: JSON values by which the provider finds and compares what it keeps.
    """

    name: str
    address: IPv4Address
    recipe: str
    ssh_port: int
    parts: Mapping[str, Any]


@dataclass(frozen=True)
class SnapshotManifest:
    """What a snapshot says of itself. ``taken``: ISO 8601 in UTC; ``size``: bytes of disk that it
    alone takes.
    """

    name: str
    lab_id: str
    lab: str
    provider: str
    taken: str
    subnet: IPv4Network
    size: int
    machines: tuple[MachineSnapshot, ...]


@dataclass(frozen=True)
class Taken:
    """What ``Snapshots.take`` kept; ``paused``: for how many seconds the machines stood still."""

    machines: tuple[MachineSnapshot, ...]
    size: int
    paused: float


# Ends the containers of machines that stay and exchanges what they have written for what the
# snapshot holds; they are not started. Raises LabError.
PutBack = Callable[[], None]


class Snapshots(Protocol):
    """Snapshots of labs, as far as a provider keeps them."""

    @property
    def outlive_machines(self) -> bool:
        """Whether they stay when their machines are removed."""

    def take(self, lab: Lab, name: str, *, track: Track) -> Taken:
        """Keep all machines, which run, as they are at one instant: whole or not at all. What an
        earlier try of this name left is removed first. Raises LabError.
        """

    def missing(self, lab: Lab, manifest: SnapshotManifest) -> list[str]:
        """What of a snapshot is gone or another one, in words: a cheap look, changes nothing."""

    def restore(
        self,
        lab: Lab,
        manifest: SnapshotManifest,
        machines: Sequence[PlannedMachine],
        subnet: IPv4Network,
        public_key: str,
        *,
        may_stay: bool,
        about_to_change: Callable[[bool], None],
        track: Track,
    ) -> PutBack | None:
        """Make the lab's machines those of the snapshot, started, whatever is there now; the
        snapshot stays. Killed at any moment, it can be done again.

        ``may_stay``: machines that are still those of the snapshot may go on running. Then returns
        what has yet to be done. ``about_to_change`` is called when all that may be wrong
        with the snapshot, or with the laptop's disk, has been looked at and nothing was changed
        yet; it is told whether the machines go. Raises LabError.
        """

    def kept(self, lab: Lab) -> list[str]:
        """Names of the lab's snapshots of which anything is there, finished or not."""

    def remove(self, lab: Lab, name: str) -> list[str]:
        """Remove what is there of a snapshot; returns what was removed."""
