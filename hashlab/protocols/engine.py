"""A Docker Engine, the laptop's or a machine's, as phases and providers use it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from hashlab.inputs.contexts import BuildContext
from hashlab.pipeline import Track
from hashlab.protocols.laptop import Completed

# What Docker gives a container that names no time of its own.
STOP_SECONDS = 10


@dataclass(frozen=True)
class ContainerState:
    """A container as its engine describes it. ``pid`` 0: no process; ``networks``: their ids, and
    the names of those that it was given since it last ran; ``addresses``: its own on them, by the
    network's name.

    ``checked``: it has a health check, of its own or of its image; ``grace``: seconds it gets to
    end by itself; ``restarts``: how often its restart policy has started it again.
    """

    id: str
    name: str
    state: str
    health: str
    exit_code: int
    image: str
    labels: Mapping[str, str]
    pid: int
    started_at: str
    finished_at: str = ""
    networks: frozenset[str] = frozenset()
    addresses: Mapping[str, str] = field(default_factory=dict)
    checked: bool = False
    grace: int = STOP_SECONDS
    restarts: int = 0


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

    def answers(self, seconds: float) -> bool:
        """Whether the engine answers within this time, which costs it nothing."""

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

    def pause(self, container: str) -> None:
        """Let all processes of a running container stand still. Raises LabError."""

    def unpause(self, container: str) -> None:
        """Let them go on; fine if they do."""

    def commit(self, container: str, name: str, labels: Mapping[str, str]) -> str:
        """Make an image of a container's file system, without its volumes; returns the image's id.

        The image has the container's labels too, unless ``labels`` say otherwise.
        """

    def connect(self, network: str, container: str, *, aliases: Sequence[str] = ()) -> None:
        """Attach a container to one more network. Raises LabError."""

    def disconnect(self, network: str, container: str) -> None:
        """Detach a container from a network, which may be gone. Raises LabError."""

    def remove(self, container: str) -> None:
        """Remove a container with its anonymous volumes; fine if it is gone."""

    def execute(self, container: str, command: Sequence[str], *, user: str = "") -> Completed:
        """Run a command inside a running container."""

    def logs(self, container: str, *, lines: int = 20) -> str:
        """The last lines a container printed."""

    def image_labels(self, names: Sequence[str]) -> dict[str, Mapping[str, str]]:
        """Labels of those of the images that exist, by name."""

    def image_ids(self, names: Sequence[str]) -> dict[str, str]:
        """Ids of those of the images that exist, by name."""

    def health_checked(self, names: Sequence[str]) -> list[str]:
        """Those of the images that exist and have a health check."""

    def images_with(self, labels: Mapping[str, str]) -> list[str]:
        """Images with these labels: their names, and the ids of those that have none."""

    def image_sizes(self, names: Sequence[str]) -> dict[str, int]:
        """Unpacked bytes of those of the images that exist, by name. What several images share
        counts for each.
        """

    def build_image(
        self,
        name: str,
        *,
        context: BuildContext,
        args: Mapping[str, str],
        target: str,
        labels: Mapping[str, str],
        owner: str,
        track: Track,
    ) -> None:
        """Build an image of exactly what was listed. Its stages are named for ``owner`` (a lab's
        id), and replace those of the build before. Raises LabError with the output's tail,
        FilesChanged if the files are others by now.
        """

    def pull(self, name: str, *, track: Track) -> None:
        """Pull an image. Raises LabError."""

    def import_image(self, name: str, root_filesystem: Path) -> None:
        """Make an image of one layer from a tar of a root file system."""

    def held(self) -> Mapping[str, int]:
        """Bytes that hashlab's things take on this engine: ``images``, ``volumes``, ``snapshots``,
        each at most, for volumes may share files. The engine looks into every volume, which takes
        seconds. Raises LabError.
        """

    def stages(self, owner: str = "*") -> list[str]:
        """Names of what builds for one lab, or for all, have left, each STAGES/OWNER:…"""

    def save_images(self, names: Sequence[str]) -> Iterator[bytes]:
        """The images as one tar stream."""

    def load_images(self, stream: Iterator[bytes]) -> None:
        """Take in a stream of ``save_images``."""

    def wait(self, container: str, *, timeout: int) -> int:
        """Wait until a container ends; returns its exit code. Raises LabError on a time-out."""

    def remove_image(self, name: str, *, force: bool = False) -> bool:
        """Remove an image by name or id; False if there was none. One that a container uses is
        refused with LabError; with ``force`` it loses its name.
        """

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

    def swarm_ready(self, node: str) -> bool:
        """Whether this manager hears of a member of its Swarm, so that containers there can be
        attached to networks.
        """

    def close(self) -> None:
        """Close the connection."""
