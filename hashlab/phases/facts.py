"""Facts that phases found out in a run: one group for each phase that fills it."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, TypeVar

from hashlab.documents.deployment import Deployment
from hashlab.documents.run import Cause
from hashlab.phases.builds import Build
from hashlab.phases.containers.sandbox import Present
from hashlab.phases.deploy.wanted import WantedStack
from hashlab.phases.upload.laptop import LaptopFiles
from hashlab.phases.upload.machine import Inside, MachineFiles
from hashlab.protocols import (
    BoxManifest,
    ContainerState,
    Endpoint,
    Link,
    ObservedMachine,
    PutBack,
    SwarmState,
)

T = TypeVar("T")


class NotFilledError(RuntimeError):
    """A bug: a phase reads what an earlier phase should have filled, and that one has not run."""


class ByName(dict[str, T]):
    """Facts by name. Reading one that is missing raises NotFilledError, which names ``phase``."""

    def __init__(self, phase: str) -> None:
        super().__init__()
        self._phase = phase

    def __missing__(self, name: str) -> T:
        raise NotFilledError(f"nothing is known of {name} before phase {self._phase}")


def filled(value: T | None, phase: str) -> T:
    """Return a fact that ``phase`` fills. Raises NotFilledError while it is missing or empty."""
    if not value:
        raise NotFilledError(f"read before phase {phase}")
    return value


@dataclass(frozen=True)
class WantedBox:
    """Filled by ``recipe`` of ``init-box``; read by its later phases, which have nothing to do if
    the box of this recipe is ``registered`` already.
    """

    manifest: BoxManifest
    registered: bool


@dataclass(frozen=True)
class Prepared:
    """Filled by ``prepare``; read by ``disks``, ``boot`` and ``secrets``. ``observed``: machines
    that existed before this run made any, by name; ``box``: the box of new machines.
    """

    box: BoxManifest
    observed: Mapping[str, ObservedMachine]


@dataclass(frozen=True)
class MachineEndpoint:
    """The SSH address of one machine, and other data cached about it between runs.

    ``forwarded``: guest → laptop port; ``recipe``: the recipe of the box it was made from.
    """

    ssh: Endpoint
    host_key: str
    address: IPv4Address
    forwarded: Mapping[int, int]
    recipe: str = ""


@dataclass
class Machines:
    """Filled by ``connect``; read by every phase that works on machines. ``ssh_files``: OpenSSH's
    files say what is cached.
    """

    endpoints: ByName[MachineEndpoint] = field(default_factory=lambda: ByName("connect"))
    links: ByName[Link] = field(default_factory=lambda: ByName("connect"))
    ssh_files: bool = False


@dataclass
class Network:
    """Filled by ``network``; read by ``containers``.

    ``ids``: those of the lab's networks, by name. ``retired``: names of networks that all
    containers leave, because their settings changed or the Compose file no longer has them;
    ``containers`` removes them, and makes those again that the lab still has. ``swarm``: the first
    machine's; ``joined``: the machines that had to be changed.
    """

    ids: ByName[str] = field(default_factory=lambda: ByName("network"))
    retired: set[str] = field(default_factory=set)
    swarm: SwarmState | None = None
    joined: set[str] = field(default_factory=set)


@dataclass
class Images:
    """Filled by ``hash images``, and by ``recipe`` of ``init-box``; read by ``images``,
    ``containers`` and ``proof``. ``inputs``: hash of all that an image is built from, by image.
    ``saved``: archives of images that machines lack, by image, until the run ends.
    """

    inputs: ByName[str] = field(default_factory=lambda: ByName("hash images"))
    saved: dict[str, Path] = field(default_factory=dict)


@dataclass
class Wanted:
    """The desired content of containers and mounts, hashed once in a run, when a phase first needs
    it (by ``World.laptop_files`` and ``containers.phase.wanted_build``).
    """

    laptop_files: LaptopFiles | None = None
    builds: dict[str, Build] = field(default_factory=dict)


@dataclass
class Restored:
    """Filled by ``restore``; read by ``connect`` and ``data``. ``put_back``: the work of ``data``
    if the machines stayed.
    """

    put_back: PutBack | None = None


@dataclass
class Uploads:
    """Filled by ``containers`` for each machine, and by ``proof`` if it reads machines again; read
    by both. ``files``: the files on a machine; ``inside``: those that its containers see.
    """

    files: ByName[MachineFiles] = field(default_factory=lambda: ByName("containers"))
    inside: ByName[Inside] = field(default_factory=lambda: ByName("containers"))


@dataclass
class Containers:
    """Filled by ``containers``; read by ``names``, ``proof`` and ``seed``.

    By machine: ``found``, its containers (``proof`` reads them again if it must). By service:
    ``changed``, why its containers were changed, ``settled``, those that the phase is done with,
    ``replaced``, those with a new container, ``debugged``, those that it left alone for an attached
    debugger, and ``places``, how many replicas are replaced at once. ``sandboxes``: those that this
    run made or started, by the container's name; phase ``sandboxes`` fills it as well.
    ``started``: ids of containers that it started; ``removed``: names. ``unsettled``: something was
    changed or waited for since ``found`` was read. Phase ``restart`` fills ``restarting``: services
    whose running containers are restarted. ``previous``: create requests for containers of the
    previous build, by name.
    """

    found: ByName[Present] = field(default_factory=lambda: ByName("containers"))
    sandboxes: dict[str, ContainerState] = field(default_factory=dict)
    changed: dict[str, str] = field(default_factory=dict)
    places: dict[str, threading.Semaphore] = field(default_factory=dict)
    settled: set[str] = field(default_factory=set)
    started: set[str] = field(default_factory=set)
    replaced: set[str] = field(default_factory=set)
    debugged: set[str] = field(default_factory=set)
    removed: list[str] = field(default_factory=list)
    restarting: set[str] = field(default_factory=set)
    previous: dict[str, dict[str, Any]] = field(default_factory=dict)
    unsettled: bool = False


@dataclass(frozen=True)
class Deploying:
    """Filled by ``plan`` of a deployment; read by ``rotate`` and ``roll out``. ``document``: what
    will change.
    """

    wanted: WantedStack
    document: Deployment


@dataclass
class Facts:
    """The groups of one run. A group's docstring says which phase fills it and which read it."""

    wanted_box: WantedBox | None = None
    prepared: Prepared | None = None
    machines: Machines = field(default_factory=Machines)
    network: Network = field(default_factory=Network)
    images: Images = field(default_factory=Images)
    wanted: Wanted = field(default_factory=Wanted)
    restored: Restored = field(default_factory=Restored)
    uploads: Uploads = field(default_factory=Uploads)
    containers: Containers = field(default_factory=Containers)
    deploying: Deploying | None = None
    # Read once in a run, by ``World.stopped``.
    stopped: frozenset[str] | None = None
    # The document of a command that shows one besides its run, by the phase that makes it.
    document: object = None
    # For the end of the run, by ``World.because`` and ``World.note``.
    causes: list[Cause] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
