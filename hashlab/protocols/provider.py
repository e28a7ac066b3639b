"""The interface of a provider, which boots machines: its parts, and the plain values they
exchange.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, Protocol

from hashlab.config.model import Lab, Machine
from hashlab.pipeline import Track
from hashlab.protocols.hosts import Hosts
from hashlab.protocols.machines import ObservedMachine, PlannedMachine
from hashlab.protocols.snapshots import Snapshots


@dataclass(frozen=True)
class BoxManifest:
    """The description of a registered box (``hashlab.json`` inside the box).

    ``images`` maps an image's name to the hash of its inputs. ``data`` is only for people: when and
    where the box was made, and its contents. ``registered_at`` is the folder in which Vagrant keeps
    the box; None if it is not registered.
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
    """The contents of a box.

    ``parts``: bytes of its parts, which add up to its size. ``packages``: bytes of the largest
    packages of its system. ``kernel`` is "" if the box has none.
    """

    os: str
    docker: str
    kernel: str
    parts: Mapping[str, int]
    packages: Mapping[str, int]


@dataclass(frozen=True)
class Tool:
    """A program that the laptop needs. ``package`` is its Debian/Ubuntu name."""

    command: str
    package: str
    hint: str = ""


class Rank(IntEnum):
    """The quality of the machines of a working provider. Higher is better."""

    # Real machines, but everything on them takes about ten times as long.
    LIBVIRT_EMULATED = 1
    # Real machines at nearly full speed, but hashlab was never tested with a real VirtualBox.
    VIRTUALBOX = 2
    # Full speed and booted in seconds, but machines share the laptop's kernel.
    DOCKER = 3
    # Each machine has a kernel of its own, as in production, at nearly full speed.
    LIBVIRT_KVM = 4


@dataclass(frozen=True)
class Probe:
    """The result of testing whether a provider really works on this laptop.

    ``rank``: how good it is, or would be; ``detail``: the findings; ``next_step``: how to make it
    work, or work better.
    """

    works: bool
    rank: int
    detail: str
    next_step: str = ""


class Boxes(Protocol):
    """A provider's boxes: their contents, and the objects outside of Vagrant that they need.

    ``promised_size``: the largest allowed size, in bytes, of a box of the example, counted as the
    parts of its contents. ``packed``: its files are already compressed. ``holds_images``: the
    application's images are inside; otherwise they are uploaded to machines, and ``build_store`` is
    not called.
    """

    promised_size: int
    packed: bool
    holds_images: bool

    def inputs(self) -> Mapping[str, str]:
        """Return everything in the provider itself that decides the contents of a box, as text by
        name.
        """

    def build_system(self, lab: Lab, manifest: BoxManifest, *, track: Track) -> None:
        """Build the minimal system of the box. Raises LabError."""

    def build_store(self, lab: Lab, manifest: BoxManifest, archive: Path, *, track: Track) -> None:
        """Put the images of ``archive`` (a saved tar file) inside the box, by means of a seed
        machine.

        The seed machine is removed afterwards, also on failure. Files of the box may be created
        next to the archive.
        """

    def files(self, manifest: BoxManifest, work: Path) -> Mapping[str, str | Path]:
        """Return the members of the .box file besides hashlab.json: texts, or files to include.

        ``work``: the folder of ``build_store``'s archive.
        """

    def own_files(self, manifest: BoxManifest) -> Mapping[str, str]:
        """Return the texts among the members that hashlab writes itself, also for a box from
        elsewhere.
        """

    def takes(self, name: str) -> bool:
        """Return whether a box from elsewhere may contain a member of this name, apart from
        texts.
        """

    def fault_of(self, name: str, head: bytes, names: Collection[str]) -> str:
        """Return why such a member is refused, for example "names a file outside of the box"; "" if
        it is accepted.

        ``head``: its first MiB; ``names``: the names of the members so far.
        """

    def contents(self, manifest: BoxManifest, work: Path, *, track: Track) -> BoxContents:
        """Return the contents of the box that was just built, read from its parts. ``work``: as in
        ``files``.
        """

    def present(self, manifest: BoxManifest) -> bool:
        """Return whether the objects that a registered box needs (image, image store) exist."""

    def users(self) -> Mapping[str, Sequence[str]]:
        """Return the machines of all labs of this laptop, as "LAB_ID/MACHINE", by the recipe of
        their box.
        """

    def export_files(
        self, manifest: BoxManifest, work: Path, *, track: Track
    ) -> Mapping[str, str | Path]:
        """Return the members, besides hashlab.json, of a .box file that works on any laptop.

        Large members may be created in ``work``. Raises LabError.
        """

    def take_in(self, manifest: BoxManifest, *, track: Track) -> bool:
        """Create the objects that a registered box needs from the members of ``export_files`` in
        its folder.

        The members may be deleted afterwards. Returns False if they are missing. All or nothing.
        Raises LabError.
        """

    def remove(self, manifest: BoxManifest) -> list[str]:
        """Remove the objects that a box needs; return what was removed."""

    def register(self, metadata: Path, *, track: Track) -> None:
        """Register the box that a metadata.json describes. Raises LabError."""

    def unregister(self, name: str, *, version: str, track: Track) -> None:
        """Remove one version of a box from the registered ones. Raises LabError."""


class Machines(Protocol):
    """The machines of labs, as they are."""

    def observe_all(self, lab: Lab) -> list[ObservedMachine]:
        """Return the existing machines of the lab, as the provider itself reports them."""

    def observe(self, lab: Lab, name: str) -> ObservedMachine | None:
        """Return one machine of the lab, None if it does not exist. Cheap enough to call
        repeatedly.
        """

    def host_key(self, lab: Lab, machine: str) -> str:
        """Return the machine's SSH host key ("ssh-ed25519 AAAA…"), if possible by another way than
        SSH; "" if it does not exist yet.
        """


class Booting(Protocol):
    """Makes the machines of labs, and removes them."""

    def prepare(
        self,
        lab: Lab,
        machines: Sequence[PlannedMachine],
        manifest: BoxManifest,
        subnet: IPv4Network,
        *,
        track: Track,
    ) -> None:
        """Create what booting these new machines needs: networks, empty disks."""

    def fill_disks(
        self, lab: Lab, machines: Sequence[Machine], manifest: BoxManifest, *, track: Track
    ) -> None:
        """Put the box's content on the new machines' disks, before they are created."""

    def write_plan(
        self,
        lab: Lab,
        planned: Mapping[str, PlannedMachine],
        manifest: BoxManifest,
        public_key: str,
    ) -> None:
        """Write what ``boot`` and ``destroy`` read: the plan of all machines, by name."""

    def boot(self, machines: Sequence[str], manifest: BoxManifest, *, track: Track) -> None:
        """Boot these machines (at least one) as planned, at once where that works. Raises
        LabError.
        """

    def halt(self, lab: Lab) -> None:
        """Cut the power of all machines of the lab at once. Their disks stay. Machines that are off
        are not an error.
        """

    def suspend(self, lab: Lab, machines: Sequence[str]) -> None:
        """Freeze running machines where they are. Raises LabError."""

    def resume(self, lab: Lab, machines: Sequence[str]) -> None:
        """Let suspended machines go on. Raises LabError."""

    def destroy(self, lab: Lab, *, made: bool, track: Track) -> str:
        """Stop the machines at once and destroy them. ``made``: a machine exists.

        What could not be destroyed is left to ``discard``; the reason is returned.
        """

    def forget(self, machine: str) -> None:
        """Forget a machine that is gone, so that the next one of its name is made from the box."""

    def discard_machine(self, lab: Lab, machine: str) -> None:
        """Stop one machine at once and remove it with its disk. A missing machine is not an
        error.
        """

    def discard_half_built(self, lab: Lab) -> list[str]:
        """Remove machines that a killed run left unfinished; return their names."""

    def adopt(self, lab: Lab, public_key: str) -> None:
        """Restore lost local state: the ids of machines, and hashlab's key inside them."""

    def own_subnet(self, lab: Lab) -> str:
        """Return the subnet that the lab already has on this laptop; "" if it has none."""

    def used_subnets(self, lab: Lab) -> list[str]:
        """Return subnets that the lab cannot have, because they are in use or the provider forbids
        them.
        """

    def discard(self, lab: Lab) -> list[str]:
        """Remove what ``destroy`` leaves behind; return what was removed."""

    def leftovers(self, lab: Lab) -> list[str]:
        """Return the names of all objects of the lab that still exist."""

    def leftover_kinds(self) -> str:
        """Return a description of the kinds of objects that ``leftovers`` searches for."""


class Provider(Protocol):
    """Gives a lab its machines. Each provider implements this in a folder of its own.

    ``boxes``, ``booting`` and ``snapshots`` are None if its machines exist without hashlab.

    ``publishes_ports``: its machines' ports are on the laptop without help; otherwise hashlab
    forwards them over SSH. ``keeps_ports``: a machine starts only with the laptop ports that it was
    created with. ``shares_kernel``: root on a machine can become root on the laptop.
    """

    name: str
    publishes_ports: bool
    keeps_ports: bool
    shares_kernel: bool

    @property
    def boxes(self) -> Boxes | None:
        """The provider's boxes; None if its machines are not made from boxes."""

    @property
    def machines(self) -> Machines:
        """The provider's machines."""

    @property
    def booting(self) -> Booting | None:
        """Makes and removes the provider's machines; None if they are not made by hashlab."""

    @property
    def hosts(self) -> Hosts | None:
        """Prepares machines that exist without hashlab; None if hashlab makes them."""

    @property
    def snapshots(self) -> Snapshots | None:
        """The provider's snapshots; None if it has none."""

    @property
    def time_factor(self) -> float:
        """By how much longer than in a container everything on its machines may take."""

    def tools(self, *, building: bool) -> Sequence[Tool]:
        """Return the programs needed on the laptop. ``building``: also those for init-box."""

    def check(self) -> None:
        """Raise LaptopError, with the reason, if the provider cannot work here."""

    def probe(self) -> Probe:
        """Test whether the provider really works here, and how well.

        May take seconds. The programs of ``tools`` are installed. No expected error is raised.
        """
