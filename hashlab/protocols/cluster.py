"""A Docker Swarm that stacks are deployed to, as Docker's client sees it through a manager."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from hashlab.pipeline import CancelToken
from hashlab.protocols.links import Shell

FileKind = Literal["secret", "config"]


@dataclass(frozen=True)
class SwarmNode:
    """A node. ``usable``: it is ready, and takes new tasks."""

    id: str
    hostname: str
    labels: Mapping[str, str]
    usable: bool


@dataclass(frozen=True)
class SwarmService:
    """A service of a stack, by its name in the stack's file.

    ``replicas``: None for one on each node; ``update``: state of its last update or rollback, ""
    without one, and the Swarm's ``message`` about it; ``files``: names of secrets and configs that
    it has, or had before its last update.
    """

    id: str
    name: str
    labels: Mapping[str, str]
    image: str
    replicas: int | None
    update: str = ""
    message: str = ""
    files: frozenset[str] = frozenset()


@dataclass(frozen=True)
class SwarmTask:
    """One try to run a container of a service. ``labels``: of its container; ``state`` and
    ``wanted``: the actual and the desired state, in Swarm's words; ``at``: time of its state.
    """

    id: str
    service: str
    node: str
    labels: Mapping[str, str]
    state: str
    wanted: str
    error: str = ""
    at: str = ""


@dataclass(frozen=True)
class SwarmFile:
    """A secret or config of a stack. Its content cannot be read again."""

    id: str
    name: str
    kind: FileKind
    labels: Mapping[str, str] = field(default_factory=dict)


class Swarm(Protocol):
    """A Swarm. Every method raises LabError with what Docker's client printed, and LaptopError if
    there is no such client.
    """

    def nodes(self) -> Sequence[SwarmNode]:
        """Return the nodes. Raises LabError if the engine does not manage a Swarm."""

    def label(self, node: SwarmNode, labels: Mapping[str, str]) -> None:
        """Add labels to a node."""

    def services(self, stack: str) -> Sequence[SwarmService]:
        """Return the services of a stack; none if it does not exist."""

    def tasks(self, stack: str) -> Sequence[SwarmTask]:
        """Return the tasks of a stack, with the last ones that have ended."""

    def files(self, stack: str) -> Sequence[SwarmFile]:
        """Return the secrets and configs of a stack."""

    def add_file(
        self, stack: str, name: str, kind: FileKind, data: bytes, labels: Mapping[str, str]
    ) -> None:
        """Create a secret or config of a stack."""

    def remove_files(self, files: Sequence[SwarmFile]) -> None:
        """Remove secrets and configs that no service has."""

    def deploy(self, stack: str, text: str, *, with_credentials: bool) -> None:
        """Create and update the services of a stack, and remove those that are not in ``text``, its
        file. Return before they run. ``with_credentials``: give the nodes what Docker's store has
        for the registries of the images.
        """

    def roll_back(self, service: SwarmService) -> None:
        """Bring the version before the last update back. Return before it runs."""

    def logs(self, task: SwarmTask, lines: int) -> str:
        """Return the last lines that a task's container printed."""

    def remove(self, stack: str) -> bool:
        """Remove what is left of a stack but its volumes. Return whether nothing was left, so it is
        called until then.
        """


# Reaches a Swarm through a Docker context, "" for that of the user's environment, or through the
# shell of one of its managers.
OpenSwarm = Callable[[str | Shell, CancelToken], Swarm]
