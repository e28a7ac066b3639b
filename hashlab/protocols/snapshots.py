"""Snapshots of a whole lab: the state of all its machines at one instant."""

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
    """One machine in a snapshot.

    ``recipe``: the recipe of its box; ``ssh_port``: the laptop port of its sshd; ``parts``: JSON
    values by which the provider finds and compares the saved data.
    """

    name: str
    address: IPv4Address
    recipe: str
    ssh_port: int
    parts: Mapping[str, Any]


@dataclass(frozen=True)
class SnapshotManifest:
    """The description of a snapshot.

    ``taken``: ISO 8601 in UTC; ``size``: bytes of disk that this snapshot alone uses.
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
    """The result of ``Snapshots.take``. ``paused``: for how many seconds the machines were
    paused.
    """

    machines: tuple[MachineSnapshot, ...]
    size: int
    paused: float


# Stops the containers of machines that stay, and replaces their written data by that of the
# snapshot. The containers are not started again. Raises LabError.
PutBack = Callable[[], None]


class Snapshots(Protocol):
    """Snapshots of labs, as the provider keeps them."""

    @property
    def outlive_machines(self) -> bool:
        """True if snapshots remain when their machines are removed."""

    def take(self, lab: Lab, name: str, *, track: Track) -> Taken:
        """Save all machines, which must run, at one instant: completely or not at all.

        Leftovers of an earlier attempt of this name are removed first. Raises LabError.
        """

    def missing(self, lab: Lab, manifest: SnapshotManifest) -> list[str]:
        """Describe the parts of a snapshot that are missing or changed. Cheap; changes nothing."""

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
        """Replace the lab's machines, whatever exists now, by those of the snapshot, started.

        The snapshot remains. If the process is killed at any moment, the restore can be repeated.

        ``may_stay``: machines that still belong to the snapshot may keep running. The returned
        function then does the remaining work. ``about_to_change`` is called once the snapshot and
        the laptop's disk have been checked and nothing has been changed yet; its argument is true
        if the machines will be removed. Raises LabError.
        """

    def kept(self, lab: Lab) -> list[str]:
        """Return the names of the lab's snapshots of which any part exists, finished or not."""

    def remove(self, lab: Lab, name: str) -> list[str]:
        """Remove all parts of a snapshot; return what was removed."""
