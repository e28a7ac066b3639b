"""What boots machines: a provider in its parts, and the plain values they exchange."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, Protocol

from hashlab.config.model import Lab, Machine
from hashlab.pipeline import Track
from hashlab.protocols.machines import ObservedMachine, PlannedMachine
from hashlab.protocols.snapshots import Snapshots

# The order in which Vagrant boots machines: steps that follow each other; in a step, calls of
# `vagrant up` at once; in a call, names of machines.
BootPlan = Sequence[Sequence[Sequence[str]]]


@dataclass(frozen=True)
class BoxManifest:
    """What a registered box says of itself (``hashlab.json`` inside the box).

    ``images`` maps an image's name to the hash of what it was built from. ``data`` holds what is
    only told to people and kept: when and where the box was made, and its contents.
    ``registered_at`` is the folder in which Vagrant keeps the box, None while it is not registered.
    """

    name: str
    version: str
    recipe: str
    provider: str
    images: Mapping[str, str]
    data: Mapping[str, Any] = field(default_factory=dict)
    registered_at: Path | None = None


@dataclass(frozen=True)
class BoxContents:
    """What a box holds. ``parts``: bytes of what it consists of, which together are its size;
    ``packages``: bytes of the largest packages of its system; ``kernel`` "": it has none.
    """

    os: str
    docker: str
    kernel: str
    parts: Mapping[str, int]
    packages: Mapping[str, int]


@dataclass(frozen=True)
class Tool:
    """A program the laptop needs; ``package`` is its Debian/Ubuntu name."""

    command: str
    package: str
    hint: str = ""


class Rank(IntEnum):
    """How good machines of a provider that works are: the higher, the better."""

    # Real machines, but everything on them takes about ten times as long.
    LIBVIRT_EMULATED = 1
    # Real machines at nearly full speed, by a provider that was never run on a real VirtualBox.
    VIRTUALBOX = 2
    # Full speed and up in seconds, but machines share the laptop's kernel.
    DOCKER = 3
    # Each machine has a kernel of its own, as in production, at nearly full speed.
    LIBVIRT_KVM = 4


@dataclass(frozen=True)
class Probe:
    """Whether a provider really works on this laptop. ``rank``: how good it is, or would be;
    ``detail``: what was found; ``next_step``: what to do when it does not work, or to have it
    work better.
    """

    works: bool
    rank: int
    detail: str
    next_step: str = ""


class Boxes(Protocol):
    """What a provider's boxes are made of, and what they stand on outside of Vagrant.

    ``promised_size``: how large a box of the example may be at most, in bytes, counted as the
    parts of its contents; ``packed``: whether its files are compressed already;
    ``holds_images``: whether the application's images are inside; otherwise machines are sent
    them, and ``build_store`` is not called.
    """

    promised_size: int
    packed: bool
    holds_images: bool

    def inputs(self) -> Mapping[str, str]:
        """Everything of the provider itself that decides what is in a box, as text by name."""

    def build_system(self, lab: Lab, manifest: BoxManifest, *, track: Track) -> None:
        """Build the minimal system of the box. Raises LabError."""

    def build_store(self, lab: Lab, manifest: BoxManifest, archive: Path, *, track: Track) -> None:
        """Put the images of ``archive`` (a saved tar) inside the box, on a seed machine that is
        gone afterwards, also on failure. Files of the box may be made beside the archive.
        """

    def files(self, manifest: BoxManifest, work: Path) -> Mapping[str, str | Path]:
        """The members of the .box file beside hashlab.json: texts, or files to take in;
        ``work``: the folder of ``build_store``'s archive.
        """

    def own_files(self, manifest: BoxManifest) -> Mapping[str, str]:
        """The texts among the members that hashlab writes itself, also for a box from elsewhere."""

    def takes(self, name: str) -> bool:
        """Whether a box from elsewhere may have a member of this name, texts aside."""

    def fault_of(self, name: str, head: bytes, names: Collection[str]) -> str:
        """Why such a member cannot be taken: "names a file outside of the box"; "" if it can.
        ``head``: its first MiB; ``names``: those of the members so far.
        """

    def contents(self, manifest: BoxManifest, work: Path, *, track: Track) -> BoxContents:
        """What is in the box that was just built, asked of its parts; ``work``: as in ``files``."""

    def present(self, manifest: BoxManifest) -> bool:
        """Whether what a registered box stands on (image, image store) is really there."""

    def users(self) -> Mapping[str, Sequence[str]]:
        """Machines of any lab of this laptop, as "LAB_ID/MACHINE", by the recipe of their box."""

    def export_files(
        self, manifest: BoxManifest, work: Path, *, track: Track
    ) -> Mapping[str, str | Path]:
        """The members of a .box file that needs nothing else on another laptop, hashlab.json
        aside; large ones may be made in ``work``. Raises LabError.
        """

    def take_in(self, manifest: BoxManifest, *, track: Track) -> bool:
        """Make what a registered box stands on from the members of ``export_files`` in its folder,
        which may go then; False when they are not there. Whole or not at all. Raises LabError.
        """

    def remove(self, manifest: BoxManifest) -> list[str]:
        """Remove what a box stands on; returns what was removed."""


class Machines(Protocol):
    """The machines of labs, as far as Vagrant does not look after them."""

    def prepare(
        self,
        lab: Lab,
        machines: Sequence[PlannedMachine],
        manifest: BoxManifest,
        subnet: IPv4Network,
        *,
        track: Track,
    ) -> None:
        """Make what `vagrant up` of these new machines refers to: networks, empty disks."""

    def fill_disks(
        self, lab: Lab, machines: Sequence[Machine], manifest: BoxManifest, *, track: Track
    ) -> None:
        """Put the box's content on the new machines' disks, before Vagrant creates them."""

    def settings(
        self, lab: Lab, planned: PlannedMachine, manifest: BoxManifest, public_key: str
    ) -> dict[str, Any]:
        """Values for this provider's part of Vagrantfile.j2."""

    def boot_plan(self, machines: Sequence[str], manifest: BoxManifest) -> BootPlan:
        """How Vagrant is to boot these machines, of which there is at least one."""

    def all(self, lab: Lab) -> list[ObservedMachine]:
        """Machines of the lab that exist, asked from the provider itself."""

    def one(self, lab: Lab, name: str) -> ObservedMachine | None:
        """One machine of the lab, None if it does not exist; cheap enough to ask repeatedly."""

    def discard_one(self, lab: Lab, machine: str) -> None:
        """Stop one machine at once and remove it with its disk; fine if it is gone."""

    def discard_half_built(self, lab: Lab) -> list[str]:
        """Remove machines that a killed run left unfinished; returns their names."""

    def adopt(self, lab: Lab, vagrant_folder: Path, public_key: str) -> None:
        """Give lost local state back: Vagrant's machine ids and our key inside the machines."""

    def host_key(self, lab: Lab, machine: str) -> str:
        """The machine's SSH host key ("ssh-ed25519 AAAA…"), by another way than SSH where there is
        one; "": not made yet.
        """

    def own_subnet(self, lab: Lab) -> str:
        """The subnet the lab already has on this laptop; "" if it has none."""

    def used_subnets(self, lab: Lab) -> list[str]:
        """Subnets the lab can't have: something else uses them, or the provider forbids them."""

    def halt(self, lab: Lab) -> None:
        """Stop the machines at once, so that destroying them need not wait for their init."""

    def discard(self, lab: Lab) -> list[str]:
        """Remove what `vagrant destroy` leaves; returns what was removed."""

    def leftovers(self, lab: Lab) -> list[str]:
        """Whatever of the lab still exists, by name."""

    def looked_for(self) -> str:
        """What ``leftovers`` looks for, in words."""


class Provider(Protocol):
    """What boots machines. One folder per provider implements this.

    ``publishes_ports``: whether its machines' ports are on the laptop by themselves; otherwise
    hashlab forwards them over SSH. ``keeps_ports``: whether a machine starts only with the ports of
    the laptop that it was made with.
    """

    name: str
    publishes_ports: bool
    keeps_ports: bool

    @property
    def boxes(self) -> Boxes:
        """Its boxes."""

    @property
    def machines(self) -> Machines:
        """Its machines."""

    @property
    def snapshots(self) -> Snapshots | None:
        """Its snapshots; None where it has none."""

    @property
    def patience(self) -> float:
        """By how much longer than in a container everything on its machines may take."""

    def tools(self, *, building: bool) -> Sequence[Tool]:
        """Programs needed on the laptop; ``building``: for init-box too."""

    def check(self) -> None:
        """Raise LaptopError when the provider can't work here, saying why."""

    def probe(self) -> Probe:
        """Does it really work here, and how good is it? Looks as closely as needed to know, which
        may take seconds; ``tools`` are there. Raises nothing expected.
        """
