"""What phases and providers need from outside, as Protocols and the plain values they exchange."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any, Literal, Protocol

from hashlab.config.model import Lab, Machine
from hashlab.pipeline import CancelToken, Track


@dataclass(frozen=True)
class Completed:
    """What a finished command said."""

    code: int
    stdout: str
    stderr: str


class Runner(Protocol):
    """Runs a command on the laptop under supervision."""

    def run(
        self,
        command: Sequence[str],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float,
        cancel: CancelToken,
        on_line: Callable[[str], None] | None = None,
    ) -> Completed:
        """Run ``command`` (a list of words); ``env`` is added to the laptop's.

        Both streams are kept and passed line by line to ``on_line``. The whole process group is
        killed on cancel and after ``timeout`` seconds. Raises LaptopError when the command does
        not exist, LabError on a time-out, Cancelled; an exit code other than 0 is only returned.
        """

    def end_orphans(self) -> list[str]:
        """End what a killed run left at work; return the commands. Call it under the lab's lock."""


@dataclass(frozen=True)
class Endpoint:
    """Where a machine's sshd answers, from the laptop."""

    host: str
    port: int
    user: str


@dataclass(frozen=True)
class ObservedMachine:
    """A machine as its provider sees it. ``recipe`` is the recipe hash of its box."""

    name: str
    state: Literal["running", "stopped", "paused"]
    address: IPv4Address | None
    endpoint: Endpoint | None
    forwarded: Mapping[int, int] = field(default_factory=dict)
    recipe: str = ""


@dataclass(frozen=True)
class BoxManifest:
    """What a registered box says of itself (``hashlab.json`` inside the box).

    ``images`` maps an image's name to the hash of what it was built from.
    """

    name: str
    version: str
    recipe: str
    provider: str
    images: Mapping[str, str]
    data: Mapping[str, Any] = field(default_factory=dict)


class Vagrant(Protocol):
    """Vagrant on one rendered Vagrantfile (or none, for box commands)."""

    def up(self, machines: Sequence[str], *, track: Track) -> None:
        """Boot the machines in one call, in parallel where the provider can. Raises LabError."""

    def destroy(self, *, track: Track) -> None:
        """Destroy all machines Vagrant knows in this folder. Raises LabError."""

    def box_add(self, metadata: Path, *, track: Track) -> None:
        """Register the box that a metadata.json describes. Raises LabError."""

    def box_remove(self, name: str, *, version: str, track: Track) -> None:
        """Remove one version of a box. Raises LabError."""


class Shell(Protocol):
    """An open SSH connection to one machine."""

    def run(self, command: Sequence[str], *, stdin: bytes = b"", timeout: float = 30) -> Completed:
        """Run a command (list of words, quoted here). Raises LabError when the wire is cut."""

    def close(self) -> None:
        """Close the connection."""


@dataclass(frozen=True)
class ContainerState:
    """A container as its engine describes it. ``pid`` 0: no process; ``networks``: their ids."""

    id: str
    name: str
    state: str
    health: str
    exit_code: int
    image: str
    labels: Mapping[str, str]
    pid: int
    started_at: str
    networks: frozenset[str] = frozenset()


@dataclass(frozen=True)
class SwarmState:
    """An engine's part in a Swarm. ``node``: its own id there, ``address``: where it is reached;
    ``managers``: ids of the managers it knows, which tell two Swarms at one address apart.
    ``joined`` without ``active``: it belongs to a Swarm that does not work (its manager is gone).
    """

    active: bool
    manager: bool
    node: str = ""
    address: str = ""
    managers: tuple[str, ...] = ()
    joined: bool = False


class Engine(Protocol):
    """One Docker Engine: the laptop's or a machine's."""

    def info(self) -> Mapping[str, Any]:
        """The engine's own description (``docker info``)."""

    def containers(self, labels: Mapping[str, str]) -> list[ContainerState]:
        """All containers with these labels, running or not."""

    def container(self, name: str) -> ContainerState | None:
        """One container by name or id, None if there is none."""

    def inspect(self, name: str) -> Mapping[str, Any] | None:
        """The engine's whole description of a container, None if there is none."""

    def create(self, name: str, config: Mapping[str, Any]) -> str:
        """Create a container from an Engine API body; returns its id."""

    def start(self, container: str) -> None:
        """Start a container."""

    def stop(self, container: str, *, timeout: int) -> None:
        """Stop a container; killed after ``timeout`` seconds."""

    def remove(self, container: str) -> None:
        """Remove a container with its anonymous volumes; fine if it is gone."""

    def execute(self, container: str, command: Sequence[str], *, user: str = "") -> Completed:
        """Run a command inside a running container."""

    def logs(self, container: str, *, lines: int = 20) -> str:
        """The last lines a container printed."""

    def image_labels(self, names: Sequence[str]) -> dict[str, Mapping[str, str]]:
        """Labels of those of the images that exist, by name."""

    def build_image(
        self,
        name: str,
        *,
        context: Path,
        dockerfile: Path,
        args: Mapping[str, str],
        target: str,
        labels: Mapping[str, str],
        track: Track,
    ) -> None:
        """Build an image. Raises LabError with the output's tail."""

    def pull(self, name: str, *, track: Track) -> None:
        """Pull an image. Raises LabError."""

    def import_image(self, name: str, root_filesystem: Path) -> None:
        """Make an image of one layer from a tar of a root file system."""

    def save_images(self, names: Sequence[str]) -> Iterator[bytes]:
        """The images as one tar stream."""

    def load_images(self, stream: Iterator[bytes]) -> None:
        """Take in a stream of ``save_images``."""

    def wait(self, container: str, *, timeout: int) -> int:
        """Wait until a container ends; returns its exit code. Raises LabError on a time-out."""

    def remove_image(self, name: str) -> bool:
        """Remove an image by name; False if there was none."""

    def volumes(self, labels: Mapping[str, str]) -> list[str]:
        """Names of the volumes with these labels."""

    def create_volume(self, name: str, labels: Mapping[str, str]) -> None:
        """Create a named volume; fine if it exists."""

    def remove_volume(self, name: str) -> None:
        """Remove a volume; fine if it is gone."""

    def networks(self) -> Mapping[str, tuple[str, ...]]:
        """Subnets of every network by the network's name."""

    def network_id(self, name: str) -> str:
        """The id of the network of this name; "" if there is none."""

    def create_bridge(self, name: str, subnet: str, labels: Mapping[str, str]) -> None:
        """Create a bridge network with this subnet."""

    def networks_with(self, labels: Mapping[str, str]) -> list[str]:
        """Names of the networks with these labels."""

    def create_overlay(self, name: str, labels: Mapping[str, str]) -> str:
        """Create an attachable overlay network on a Swarm manager; returns its id."""

    def remove_network(self, name: str) -> None:
        """Remove a network; fine if it is gone."""

    def swarm(self) -> SwarmState:
        """The engine's part in a Swarm."""

    def swarm_init(self, address: str) -> None:
        """Make the engine the first manager of a new Swarm."""

    def swarm_join(self, address: str, *, manager: str, token: str) -> None:
        """Join a Swarm as a worker."""

    def swarm_leave(self) -> None:
        """Leave the Swarm by force."""

    def swarm_token(self) -> str:
        """The token workers join with."""

    def close(self) -> None:
        """Close the connection."""


@dataclass(frozen=True)
class Link:
    """An open way to one machine: its shell and its engine over the same SSH connection."""

    machine: str
    shell: Shell
    engine: Engine


class Connector(Protocol):
    """Opens links to machines and copies files to them."""

    def answers(self, endpoint: Endpoint) -> bool:
        """Whether an sshd greets there at this moment."""

    def connect(self, machine: str, endpoint: Endpoint, host_key: str) -> Link:
        """Open a connection that accepts only ``host_key``. Raises LabError."""

    def copy(
        self,
        machine: str,
        endpoint: Endpoint,
        *,
        root: Path,
        files: Sequence[str],
        target: str,
        scratch: str,
        track: Track,
    ) -> int:
        """Copy ``files`` (relative to ``root``) below ``target``, each replaced in one step;
        ``scratch`` is a folder of the machine for unfinished ones.

        Returns the bytes that travelled to the machine. Raises LabError.
        """


@dataclass(frozen=True)
class Tool:
    """A program the laptop needs; ``package`` is its Debian/Ubuntu name."""

    command: str
    package: str
    hint: str = ""


class Provider(Protocol):
    """What boots machines. One file per provider implements this."""

    name: str

    def tools(self, *, building: bool) -> Sequence[Tool]:
        """Programs needed on the laptop; ``building``: for init-box too."""

    def check(self) -> None:
        """Raise LaptopError when the provider can't work here, saying why."""

    def recipe_inputs(self) -> Mapping[str, str]:
        """Everything of the provider itself that decides what is in a box, as text by name."""

    def build_system(self, lab: Lab, manifest: BoxManifest, *, track: Track) -> None:
        """Build the minimal system of the box. Raises LabError."""

    def build_store(self, lab: Lab, manifest: BoxManifest, archive: Path, *, track: Track) -> None:
        """Put the images of ``archive`` (a saved tar) inside the box, on a seed machine that is
        gone afterwards, also on failure.
        """

    def box_files(self, manifest: BoxManifest) -> Mapping[str, str | Path]:
        """The members of the .box file beside hashlab.json: texts, or files to take in."""

    def box_present(self, manifest: BoxManifest) -> bool:
        """Whether what a registered box stands on (image, image store) is really there."""

    def remove_box(self, manifest: BoxManifest) -> list[str]:
        """Remove what a box stands on; returns what was removed."""

    def prepare(
        self,
        lab: Lab,
        machines: Sequence[Machine],
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

    def machine_settings(self, lab: Lab, machine: Machine, manifest: BoxManifest) -> dict[str, Any]:
        """Values for this provider's part of Vagrantfile.j2."""

    def machines(self, lab: Lab) -> list[ObservedMachine]:
        """Machines of the lab that exist, asked from the provider itself."""

    def machine(self, lab: Lab, name: str) -> ObservedMachine | None:
        """One machine of the lab, None if it does not exist; cheap enough to ask repeatedly."""

    def discard_half_built(self, lab: Lab) -> list[str]:
        """Remove machines that a killed run left unfinished; returns their names."""

    def adopt(self, lab: Lab, vagrant_folder: Path, public_key: str) -> None:
        """Give lost local state back: Vagrant's machine ids and our key inside the machines."""

    def host_key(self, lab: Lab, machine: str) -> str:
        """The machine's SSH host key ("ssh-ed25519 AAAA…"), not read by SSH; "": not made yet."""

    def own_subnet(self, lab: Lab) -> str:
        """The subnet the lab already has on this laptop; "" if it has none."""

    def used_subnets(self, lab: Lab) -> list[str]:
        """Subnets that something other than this lab uses."""

    def halt(self, lab: Lab) -> None:
        """Stop the machines at once, so that destroying them need not wait for their init."""

    def discard(self, lab: Lab) -> list[str]:
        """Remove what `vagrant destroy` leaves; returns what was removed."""

    def leftovers(self, lab: Lab) -> list[str]:
        """Whatever of the lab still exists, by name."""

    def looked_for(self) -> str:
        """What ``leftovers`` looks for, in words."""
