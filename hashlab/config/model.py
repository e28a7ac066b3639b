"""The lab as frozen values: what hashlab.toml and compose.yaml say once read and checked."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Literal

from hashlab.inputs.boundary import Boundary
from hashlab.inputs.patterns import compiled, is_editor_file
from hashlab.state.private import STATE

Condition = Literal["service_started", "service_healthy", "service_completed_successfully"]
WatchAction = Literal["sync", "sync+restart", "rebuild"]


@dataclass(frozen=True)
class ForwardedPort:
    """A port of a machine (``guest``) reachable on the laptop's 127.0.0.1 (``host``)."""

    id: str
    guest: int
    host: int
    scheme: Literal["http", "https", "tcp"] = "http"


@dataclass(frozen=True)
class Machine:
    """One Vagrant machine. ``memory`` in bytes; None: no limit."""

    name: str
    address: IPv4Address
    memory: int | None = None
    cpus: float | None = None
    forwarded_ports: tuple[ForwardedPort, ...] = ()


@dataclass(frozen=True)
class VirtualBoxBase:
    """The .box file that machines of provider ``virtualbox`` are made from. ``checksum`` begins
    with its kind: ``sha256:…``; ``user`` is whom the box lets in by Vagrant's key.
    """

    url: str
    checksum: str
    kind: Literal["flatcar", "debian"]
    user: str


@dataclass(frozen=True)
class BoxSettings:
    """What the user decides about the box; the images come from the Compose file."""

    base: str = "debian:trixie-slim"
    packages: tuple[str, ...] = ()
    virtualbox: VirtualBoxBase | None = None


@dataclass(frozen=True)
class Builder:
    """A command that builds several artifacts in one call (``{targets}`` in ``command``), or, as a
    ``worker``, one that is started once and asked again and again (see protocols.Workers).
    """

    name: str
    command: tuple[str, ...]
    worker: bool = False


@dataclass(frozen=True)
class Incremental:
    """The quick way to an artifact that was built before: a worker, which is enough when only
    files below ``inputs`` changed.
    """

    builder: str
    inputs: tuple[str, ...]


@dataclass(frozen=True)
class Artifact:
    """Something the laptop builds and machines need.

    ``inputs`` are paths or globs relative to the lab folder, ``output`` an absolute path.
    Either ``builder`` (with ``target``) or ``command`` is set; both ways of building, this one and
    the ``incremental`` one, make the same output of the same inputs.
    """

    name: str
    inputs: tuple[str, ...]
    output: Path
    builder: str = ""
    target: str = ""
    command: tuple[str, ...] = ()
    incremental: Incremental | None = None


@dataclass(frozen=True)
class Reload:
    """How a service takes changed files below ``paths`` (absolute) without a restart: ``command``
    puts them into the running process, and tells later whether they are there.
    """

    service: str
    command: tuple[str, ...]
    paths: tuple[Path, ...]


@dataclass(frozen=True)
class Step:
    """A command of the user that runs on the laptop: seed, verify."""

    command: tuple[str, ...]


@dataclass(frozen=True)
class Build:
    """How an image is built; paths absolute."""

    context: Path
    dockerfile: Path
    args: tuple[tuple[str, str], ...] = ()
    target: str = ""


@dataclass(frozen=True)
class Image:
    """An image of some service of the file, built here (``build``) or pulled by name."""

    name: str
    build: Build | None = None


@dataclass(frozen=True)
class Port:
    """A container port published on its machine. ``published`` None: the engine chooses."""

    target: int
    published: int | None = None
    protocol: Literal["tcp", "udp", "sctp"] = "tcp"
    host_ip: str = ""


@dataclass(frozen=True)
class BindMount:
    """A file or folder of the laptop (``source``, absolute) that is uploaded and mounted."""

    source: Path
    target: str
    read_only: bool = False


@dataclass(frozen=True)
class VolumeMount:
    """A named volume living on the service's machine; ``volume`` "" means an anonymous one."""

    volume: str
    target: str
    read_only: bool = False


@dataclass(frozen=True)
class TmpfsMount:
    """A RAM file system; ``size`` in bytes, ``mode`` octal as int."""

    target: str
    size: int | None = None
    mode: int | None = None


@dataclass(frozen=True)
class FileMount:
    """A Compose secret or config: one file, mounted read-only. ``secret`` ones are never shown."""

    name: str
    source: Path
    target: str
    mode: int = 0o444
    secret: bool = False


@dataclass(frozen=True)
class Healthcheck:
    """Times in seconds. ``test`` in Docker's form: ("CMD", …), ("CMD-SHELL", …), ("NONE",)."""

    test: tuple[str, ...] = ()
    interval: float | None = None
    timeout: float | None = None
    retries: int | None = None
    start_period: float | None = None


@dataclass(frozen=True)
class Dependency:
    """``service`` must have met ``condition`` before the depending one starts."""

    service: str
    condition: Condition = "service_started"
    required: bool = True


@dataclass(frozen=True)
class Limits:
    """Resource limits; cpus in cores, memory in bytes. None: unlimited."""

    cpus: float | None = None
    memory: int | None = None
    pids: int | None = None


@dataclass(frozen=True)
class Watch:
    """What a refresh does when ``path`` (absolute, on the laptop) changed."""

    path: Path
    action: WatchAction
    target: str = ""
    ignore: tuple[str, ...] = ()

    def covers(self, path: Path) -> bool:
        """True if the rule is about ``path``, whether or not it ignores it."""
        return path.is_relative_to(self.path)

    def ignores(self, path: Path) -> bool:
        """True if the rule covers ``path`` and leaves it out by ``ignore``."""
        if not self.ignore or path == self.path or not self.covers(path):
            return False
        return compiled(self.ignore).ignores(path.relative_to(self.path).as_posix())


@dataclass(frozen=True)
class Ulimit:
    """Soft and hard limit of one resource, as Docker takes them."""

    name: str
    soft: int
    hard: int


@dataclass(frozen=True)
class Service:
    """One service of the Compose file, placed on a machine. Unset scalars are None or ""."""

    name: str
    machine: str
    image: str
    build: Build | None = None
    command: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    environment: tuple[tuple[str, str], ...] = ()
    ports: tuple[Port, ...] = ()
    expose: tuple[str, ...] = ()
    binds: tuple[BindMount, ...] = ()
    volumes: tuple[VolumeMount, ...] = ()
    tmpfs: tuple[TmpfsMount, ...] = ()
    files: tuple[FileMount, ...] = ()
    healthcheck: Healthcheck | None = None
    depends_on: tuple[Dependency, ...] = ()
    replicas: int = 1
    limits: Limits = Limits()
    watch: tuple[Watch, ...] = ()
    restart: str = "no"
    user: str = ""
    working_dir: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    init: bool | None = None
    stop_signal: str = ""
    stop_grace_period: float | None = None
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    read_only: bool = False
    security_opt: tuple[str, ...] = ()
    ulimits: tuple[Ulimit, ...] = ()
    sysctls: tuple[tuple[str, str], ...] = ()
    extra_hosts: tuple[str, ...] = ()
    hostname: str = ""

    def rule(self, path: Path, *, action: WatchAction | None = None) -> Watch | None:
        """Return the watch rule that decides about ``path``: the most specific that covers it and
        does not ignore it, of all or of those with this action.
        """
        rules = (rule for rule in self.watch if action in (None, rule.action))
        deciding = [rule for rule in rules if rule.covers(path) and not rule.ignores(path)]
        return max(deciding, key=lambda rule: len(rule.path.parts), default=None)

    def ignores(self, path: Path, *, rebuild: bool = False) -> bool:
        """True if watch rules are about ``path`` and all of them ignore it: those that synchronise
        a mount, or with ``rebuild`` those that build an image.
        """
        rules = [r for r in self.watch if (r.action == "rebuild") is rebuild and r.covers(path)]
        return bool(rules) and all(rule.ignores(path) for rule in rules)


@dataclass(frozen=True)
class Lab:
    """Everything one hashlab.toml describes. ``services`` are those of the active profiles;
    ``images`` those of every service in the file, so the box can hold them all. ``sources`` are the
    files all this was read from, or would be if they were there. ``declared``: the files of all
    secrets and configs of the Compose file.
    """

    folder: Path
    name: str
    provider: str
    subnet: IPv4Network
    machines: tuple[Machine, ...]
    services: tuple[Service, ...]
    images: tuple[Image, ...]
    box: BoxSettings = BoxSettings()
    builders: tuple[Builder, ...] = ()
    artifacts: tuple[Artifact, ...] = ()
    reloads: tuple[Reload, ...] = ()
    generated_secrets: tuple[str, ...] = ()
    seed: Step | None = None
    verify: Step | None = None
    notes: tuple[str, ...] = ()
    sources: tuple[Path, ...] = ()
    declared: tuple[Path, ...] = ()

    @cached_property
    def boundary(self) -> Boundary:
        """Which files may leave the lab folder, otherwise than as a secret or config."""
        return Boundary(frozenset(self.declared))

    def uploads(self, source: Path) -> Callable[[str], bool]:
        """Return a test for names below the source of a bind mount, relative to it: True if it is
        synchronised. It may leave the lab folder, it is not a file of an editor, and not every
        service that mounts it ignores it.
        """
        allows = self.boundary.below(source)
        mounting = [s for s in self.services if any(_overlap(b.source, source) for b in s.binds)]
        ignoring = any(rule.ignore for service in mounting for rule in service.watch)

        def uploaded(name: str) -> bool:
            if not allows(name) or any(map(is_editor_file, name.split("/"))):
                return False
            return not (ignoring and self._all_ignore(mounting, source / name))

        return uploaded

    def _all_ignore(self, services: Sequence[Service], path: Path) -> bool:
        mounting = [s for s in services if any(path.is_relative_to(b.source) for b in s.binds)]
        return bool(mounting) and all(service.ignores(path) for service in mounting)

    @property
    def state_folder(self) -> Path:
        """``.hashlab`` of this lab: only what can be thrown away."""
        return self.folder / STATE

    @property
    def id(self) -> str:
        """Name of this lab among all labs of the laptop: two folders never share one."""
        return lab_id(self.name, self.folder)

    @property
    def overlay(self) -> str:
        """Name of the network that every service is on."""
        return self.name

    def reload(self, service: str) -> Reload | None:
        """How a service takes changed files without a restart; None when it does not."""
        return next((one for one in self.reloads if one.service == service), None)

    def machine(self, name: str) -> Machine:
        """Return the machine called ``name`` (KeyError if there is none)."""
        return self._by_name[name]

    @property
    def _by_name(self) -> Mapping[str, Machine]:
        return {machine.name: machine for machine in self.machines}


def _overlap(one: Path, other: Path) -> bool:
    return one.is_relative_to(other) or other.is_relative_to(one)


def lab_id(name: str, folder: Path) -> str:
    """``Lab.id`` of the lab of this name in a folder."""
    digest = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()
    return f"{name}-{digest[:6]}"
