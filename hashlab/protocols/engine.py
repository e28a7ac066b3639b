"""A Docker Engine, the laptop's or a machine's, as phases and providers use it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Protocol

from hashlab.config.model import Content, Network
from hashlab.inputs.contexts import BuildContext
from hashlab.pipeline import Track
from hashlab.protocols.laptop import Completed

# Docker's stop timeout, in seconds, for a container that sets none.
STOP_SECONDS = 10


@dataclass(frozen=True)
class NetworkPlace:
    """A container's place on a network. ``id``: the network's, "" if the container was attached
    since it last ran; ``address``: "" unless it runs; ``aliases``: its names there.
    """

    id: str = ""
    address: str = ""
    aliases: frozenset[str] = frozenset()


@dataclass(frozen=True)
class NetworkState:
    """A network as an engine describes it."""

    id: str
    name: str
    driver: str = ""
    attachable: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ContainerState:
    """A container as its engine describes it.

    ``pid`` is 0 without a process. ``networks``: its places, by the network's name.
    ``shares``: ids of the containers whose IPC, processes or volumes it shares.
    ``network_mode``: "container:ID" if it runs in the network of another container. ``checked``: it
    has a health check, of its own or from its image. ``grace``: seconds to stop by itself.
    ``restarts``: number of restarts by its restart policy.
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
    networks: Mapping[str, NetworkPlace] = field(default_factory=dict)
    network_mode: str = ""
    shares: frozenset[str] = frozenset()
    checked: bool = False
    grace: int = STOP_SECONDS
    restarts: int = 0


@dataclass(frozen=True)
class SwarmState:
    """An engine's part in a Swarm.

    ``node``: its own id there; ``address``: its address for other members; ``managers``: ids of the
    managers it knows, which distinguish two Swarms at one address. ``joined`` without ``active``:
    it belongs to a Swarm that does not work, for example because its manager is gone.
    """

    active: bool
    manager: bool
    node: str = ""
    address: str = ""
    managers: tuple[str, ...] = ()
    joined: bool = False


@dataclass(frozen=True)
class BuildSettings:
    """The settings of an image build, besides its files. ``shm_size`` is in bytes; ``extra_hosts``
    are "name:address". Only BuildKit knows ``contexts``, further ones or docker-image://NAME by
    name, ``secrets``, files or values of variables by id, and ``ssh``, keys by id ("" is the
    person's agent). ``fresh``: no step is taken from an earlier build.
    """

    args: Mapping[str, str] = field(default_factory=dict)
    target: str = ""
    network: str = ""
    shm_size: int = 0
    extra_hosts: tuple[str, ...] = ()
    contexts: Mapping[str, BuildContext | str] = field(default_factory=dict)
    secrets: Mapping[str, Path | Content] = field(default_factory=dict)
    ssh: Mapping[str, str] = field(default_factory=dict)
    fresh: bool = False


# A layer of an image: the ids of the contents of all layers up to it, the lowest first.
Layer = tuple[str, ...]


class Engine(Protocol):
    """One Docker Engine: the laptop's or a machine's."""

    def answers(self, seconds: float) -> bool:
        """Return whether the engine answers within this many seconds. The call is cheap for the
        engine.
        """

    def info(self) -> Mapping[str, Any]:
        """Return the engine's own description (``docker info``)."""

    def containers(self, labels: Mapping[str, str]) -> list[ContainerState]:
        """Return all containers with these labels, running or not."""

    def container(self, name: str) -> ContainerState | None:
        """Return a container by name or id, or None."""

    def inspect(self, name: str) -> Mapping[str, Any] | None:
        """Return the engine's whole description of a container, or None if it does not exist."""

    def create(self, name: str, config: Mapping[str, Any]) -> str:
        """Create a container from an Engine API body; return its id."""

    def start(self, container: str) -> None:
        """Start a container."""

    def stop(self, container: str, *, timeout: int) -> None:
        """Stop a container. It is killed after ``timeout`` seconds."""

    def pause(self, container: str) -> None:
        """Freeze all processes of a running container. Raises LabError."""

    def unpause(self, container: str) -> None:
        """Resume a paused container. A container that is not paused is not an error."""

    def commit(self, container: str, name: str, labels: Mapping[str, str]) -> str:
        """Make an image of a container's file system without its volumes; return the image's id.

        The image has the container's labels, overridden by ``labels``.
        """

    def connect(self, network: str, container: str, endpoint: Mapping[str, Any]) -> None:
        """Attach a container to one more network. ``endpoint``: the Engine API's EndpointSettings.
        Raises LabError.
        """

    def disconnect(self, network: str, container: str) -> None:
        """Detach a container from a network. The network may be gone. Raises LabError."""

    def remove(self, container: str) -> None:
        """Remove a container with its anonymous volumes. A missing container is not an error."""

    def execute(
        self,
        container: str,
        command: Sequence[str],
        *,
        user: str = "",
        privileged: bool = False,
        folder: str = "",
        environment: Mapping[str, str] = {},
    ) -> Completed:
        """Run a command inside a running container. ``folder``: where it starts; ``environment``:
        variables besides the container's own.
        """

    def put(self, container: str, archive: bytes) -> None:
        """Unpack a tar archive at the root of a container's file system, whether it runs or not.
        Raises LabError.
        """

    def read_file(self, container: str, path: str) -> bytes:
        """Return a file of a container's file system, whether the container runs or not. Raises
        LabError.
        """

    def logs(self, container: str, *, lines: int = 20) -> str:
        """Return the last lines that a container printed."""

    def image_labels(self, names: Sequence[str]) -> dict[str, Mapping[str, str]]:
        """Return the labels of the images that exist, by name."""

    def image_ids(self, names: Sequence[str]) -> dict[str, str]:
        """Return the ids of the images that exist, by name."""

    def image_contents(self, names: Sequence[str]) -> dict[str, str]:
        """Return a hash of the layers and the time of each image that exists, by name. It is the
        same on all engines, while the id depends on an engine's kind of image store.
        """

    def health_checked(self, names: Sequence[str]) -> list[str]:
        """Return the names of the images that exist and have a health check."""

    def images_with(self, labels: Mapping[str, str]) -> list[str]:
        """Return the images with these labels: their names, or the id of an image without a
        name.
        """

    def image_sizes(self, names: Sequence[str]) -> dict[str, int]:
        """Return the unpacked bytes of the images that exist, by name. Shared layers count for each
        image.
        """

    def build_image(
        self,
        name: str,
        *,
        context: BuildContext,
        settings: BuildSettings,
        labels: Mapping[str, str],
        owner: str,
        track: Track,
    ) -> None:
        """Build an image of exactly the files that ``context`` lists.

        Its stages are named after ``owner`` (a lab's id) and replace those of the previous build.
        Raises LabError with the end of the output, FilesChanged if the files have changed since.
        """

    def pull(self, name: str, *, track: Track) -> None:
        """Pull an image. Raises LabError."""

    def import_image(self, name: str, root_filesystem: IO[bytes]) -> None:
        """Make an image of one layer from a tar file of a root file system."""

    def held(self) -> Mapping[str, int]:
        """Return the bytes that hashlab's objects use on this engine: ``images``, ``volumes``,
        ``snapshots``.

        Each is an upper limit, because volumes may share files. The engine reads every volume,
        which takes seconds. Raises LabError.
        """

    def stages(self, owner: str = "*") -> list[str]:
        """Return the names of the stages that builds left behind, of one lab or of all:
        STAGES/OWNER:…
        """

    def save_images(self, names: Sequence[str]) -> Iterator[bytes]:
        """Return the images as one tar stream."""

    def load_images(self, stream: Iterator[bytes]) -> None:
        """Load a stream of ``save_images``. It may lack the files of layers that exist."""

    def layers(self) -> set[Layer]:
        """Return the layers of all images."""

    def pulled_layers(self, built: str) -> set[str]:
        """Return the ids of the contents of all layers that came from a registry: those of images
        that have a digest there, and not the label ``built``.
        """

    def wait(self, container: str, *, timeout: int) -> int:
        """Wait until a container ends; return its exit code. Raises LabError on a timeout."""

    def remove_image(self, name: str, *, force: bool = False) -> bool:
        """Remove an image by name or id; return False if it does not exist.

        Raises LabError if a container uses it; with ``force`` the image then only loses its name.
        """

    def prune_images(self, labels: Mapping[str, str]) -> None:
        """Remove the images with these labels that have no name and that no container uses."""

    def volumes(self, labels: Mapping[str, str]) -> list[str]:
        """Return the names of the volumes with these labels."""

    def has_volume(self, name: str) -> bool:
        """Return whether a volume of this name exists."""

    def volume_options(self, names: Sequence[str]) -> dict[str, dict[str, str]]:
        """Return the options of the volumes that exist, by name."""

    def create_volume(self, name: str, labels: Mapping[str, str]) -> None:
        """Create a named volume. An existing one is not an error."""

    def remove_volume(self, name: str) -> None:
        """Remove a volume. A missing one is not an error."""

    def networks(self) -> Mapping[str, tuple[str, ...]]:
        """Return the subnets of every network by the network's name."""

    def network(self, name: str) -> NetworkState | None:
        """Return the network of this name, or None."""

    def create_bridge(self, name: str, subnet: str, labels: Mapping[str, str]) -> None:
        """Create a bridge network with this subnet."""

    def networks_with(self, labels: Mapping[str, str]) -> dict[str, NetworkState]:
        """Return the networks with these labels, by name. A worker of a Swarm knows only those
        overlays on which it has a container.
        """

    def create_overlay(self, network: Network, labels: Mapping[str, str]) -> str:
        """Create an attachable overlay network on a Swarm manager; return its id. It has these
        labels and those of ``network``. Raises LabError.
        """

    def remove_network(self, name: str) -> None:
        """Remove a network. A missing one is not an error."""

    def swarm(self) -> SwarmState:
        """Return the engine's part in a Swarm."""

    def swarm_init(self, address: str) -> None:
        """Make the engine the first manager of a new Swarm."""

    def swarm_join(self, address: str, *, manager: str, token: str) -> None:
        """Join a Swarm as a worker."""

    def swarm_leave(self) -> None:
        """Leave the Swarm by force."""

    def swarm_token(self) -> str:
        """Return the token with which workers join."""

    def swarm_ready(self, node: str) -> bool:
        """Return whether this manager sees a member of its Swarm as ready. Only then can containers
        there be attached to networks.
        """

    def close(self) -> None:
        """Close the connection."""


class ImageBuilder(Protocol):
    """Builds images on the laptop's engine, by BuildKit where there is a client for it."""

    @property
    def buildkit(self) -> str:
        """The version of BuildKit's client; "" if images are built by the classic builder."""

    def build(
        self,
        name: str,
        *,
        context: BuildContext,
        settings: BuildSettings,
        labels: Mapping[str, str],
        owner: str,
        track: Track,
    ) -> None:
        """Build an image; see ``Engine.build_image``. Raises LabError with the end of the output,
        FilesChanged.
        """
