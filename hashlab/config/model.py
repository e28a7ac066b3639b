"""The lab as frozen values: the checked content of hashlab.toml and compose.yaml."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Literal

from hashlab.inputs.boundary import Boundary
from hashlab.inputs.patterns import compiled, is_editor_file
from hashlab.state.private import STATE

Condition = Literal["service_started", "service_healthy", "service_completed_successfully"]
WatchAction = Literal["sync", "sync+exec", "sync+restart", "restart", "rebuild"]


@dataclass(frozen=True)
class ForwardedPort:
    """A port of a machine (``guest``) reachable on the laptop's 127.0.0.1 (``host``). ``tunnel``:
    by an SSH connection, also if the provider can publish ports of a machine that it makes.
    """

    id: str
    guest: int
    host: int
    scheme: Literal["http", "https", "tcp"] = "http"
    tunnel: bool = False


@dataclass(frozen=True)
class Machine:
    """One Vagrant machine. ``memory`` is in bytes; None means no limit."""

    name: str
    address: IPv4Address
    memory: int | None = None
    cpus: float | None = None
    forwarded_ports: tuple[ForwardedPort, ...] = ()

    @property
    def made_with(self) -> tuple[ForwardedPort, ...]:
        """The forwarded ports that a provider may publish when it makes the machine."""
        return tuple(port for port in self.forwarded_ports if not port.tunnel)


@dataclass(frozen=True)
class VirtualBoxBase:
    """The .box file that machines of the provider ``virtualbox`` are made from.

    ``checksum`` begins with its kind, for example ``sha256:…``. ``user``: the box's login user, who
    accepts Vagrant's key.
    """

    url: str
    checksum: str
    kind: Literal["flatcar", "debian"]
    user: str


@dataclass(frozen=True)
class BoxSettings:
    """The user's settings of the box. Its images come from the Compose file."""

    base: str = "debian:trixie-slim"
    packages: tuple[str, ...] = ()
    virtualbox: VirtualBoxBase | None = None


@dataclass(frozen=True)
class Builder:
    """A command that builds artifacts.

    It builds several of them in one call (``{targets}`` in ``command``) or, as a ``worker``, is
    started once and serves many builds (see protocols.Workers).
    """

    name: str
    command: tuple[str, ...]
    worker: bool = False


@dataclass(frozen=True)
class Incremental:
    """The fast way to rebuild an artifact: by a worker, if only files below ``inputs`` changed."""

    builder: str
    inputs: tuple[str, ...]


@dataclass(frozen=True)
class Artifact:
    """Something that the laptop builds and machines need.

    ``inputs`` are paths or globs relative to the lab folder, ``output`` is an absolute path. Either
    ``builder`` (with ``target``) or ``command`` is set. This build and the ``incremental`` one must
    make the same output of the same inputs.
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
    """Lets a service take changed files below ``paths`` (absolute) without a restart.

    ``command`` loads them into the running process, and later reports whether they are loaded.
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
    """The build of an image. Paths are absolute. ``dockerfile`` is None if the Compose file has its
    text, ``dockerfile_inline``. ``shm_size`` is in bytes. ``additional_contexts``: folders, or
    images as docker-image://NAME, by name; ``secrets``: names of secrets of the top level by the id
    that the Dockerfile gives them.
    """

    context: Path
    dockerfile: Path | None
    args: tuple[tuple[str, str], ...] = ()
    target: str = ""
    dockerfile_inline: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    network: str = ""
    shm_size: int = 0
    extra_hosts: tuple[str, ...] = ()
    additional_contexts: tuple[tuple[str, Path | str], ...] = ()
    secrets: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Image:
    """An image that a service of the file uses: built here (``build``) or pulled by name.

    ``watched``: the watch rules of each service that runs it.
    """

    name: str
    build: Build | None = None
    watched: tuple[tuple[Watch, ...], ...] = ()

    def leaves_out(self, path: Path) -> bool:
        """True if a changed file is no reason to build: every service that runs the image gets it
        in another way.
        """
        rules = [deciding(rules, path) for rules in self.watched]
        return bool(rules) and all(rule and rule.action != "rebuild" for rule in rules)


@dataclass(frozen=True)
class Port:
    """A container port published on its machine. ``published`` None: the engine chooses.

    ``mode``: of Docker Swarm; both mean the same in a lab.
    """

    target: int
    published: int | None = None
    protocol: Literal["tcp", "udp", "sctp"] = "tcp"
    host_ip: str = ""
    mode: Literal["host", "ingress"] = "ingress"


def _place(target: str, below: Path) -> str:
    return f"{target.rstrip('/')}/{below.as_posix()}" if below.parts else target


@dataclass(frozen=True)
class BindMount:
    """A file or folder of the laptop (``source``, absolute) that is uploaded and mounted.

    Without ``upload`` the folder is on the machine only: containers write it, and hashlab does not.
    With ``create`` the engine makes a folder that is missing there.
    """

    source: Path
    target: str
    read_only: bool = False
    propagation: str = ""
    recursive: str = ""
    upload: bool = True
    create: bool = False

    def place(self, path: Path) -> str:
        """Return the place in the container of a path in the source."""
        return _place(self.target, path.relative_to(self.source))


@dataclass(frozen=True)
class MachineMount:
    """A file or folder of the machine itself (``source``, absolute), such as /etc/localtime. With
    ``create`` the engine makes a missing one.
    """

    source: str
    target: str
    read_only: bool = False
    propagation: str = ""
    recursive: str = ""
    create: bool = True


@dataclass(frozen=True)
class VolumeMount:
    """A volume on the service's machine. ``volume``: its key under ``volumes``; "" is an anonymous
    one.
    """

    volume: str
    target: str
    read_only: bool = False
    nocopy: bool = False
    labels: tuple[tuple[str, str], ...] = ()
    subpath: str = ""


@dataclass(frozen=True)
class Volume:
    """A volume of the top level, called ``name`` on its machine. An ``external`` one is neither
    made nor removed. ``driver_opts``: of the driver ``local``, as mount(8) takes them.
    """

    key: str
    name: str
    external: bool = False
    driver: str = ""
    driver_opts: tuple[tuple[str, str], ...] = ()
    labels: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class TmpfsMount:
    """A file system in memory. ``size`` is in bytes, ``mode`` an octal number as int; ``options``
    are further ones of mount(8).
    """

    target: str
    size: int | None = None
    mode: int | None = None
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Content:
    """The content of a secret or config that has no file: the value of a variable of the laptop, or
    text of the Compose file.
    """

    text: str = field(repr=False)
    environment: str = ""

    @property
    def data(self) -> bytes:
        """The bytes of the file. A variable may have bytes that are not UTF-8."""
        return self.text.encode(errors="surrogateescape")


@dataclass(frozen=True)
class FileMount:
    """A Compose secret or config: one file, mounted read-only. The content of a ``secret`` is never
    shown.
    """

    name: str
    source: Path | Content
    target: str
    mode: int = 0o444
    secret: bool = False
    uid: int = 0
    gid: int = 0


@dataclass(frozen=True)
class Healthcheck:
    """A health check; times in seconds. ``test`` is in Docker's form: ("CMD", …), ("CMD-SHELL", …)
    or ("NONE",).
    """

    test: tuple[str, ...] = ()
    interval: float | None = None
    timeout: float | None = None
    retries: int | None = None
    start_period: float | None = None
    start_interval: float | None = None


@dataclass(frozen=True)
class Dependency:
    """``service`` must have met ``condition`` before the dependent service starts."""

    service: str
    condition: Condition = "service_started"
    required: bool = True
    restart: bool = False


@dataclass(frozen=True)
class Limits:
    """Resource limits: ``cpus`` in cores, ``memory`` in bytes. None means unlimited."""

    cpus: float | None = None
    memory: int | None = None
    pids: int | None = None


@dataclass(frozen=True)
class Device:
    """A device file of the machine (``source``) that a container may use."""

    source: str
    target: str
    permissions: str = "rwm"


@dataclass(frozen=True)
class BlockIo:
    """The share of a container in the machine's disks (``weight``), and limits by device."""

    weight: int = 0
    weight_device: tuple[tuple[str, int], ...] = ()
    device_read_bps: tuple[tuple[str, int], ...] = ()
    device_read_iops: tuple[tuple[str, int], ...] = ()
    device_write_bps: tuple[tuple[str, int], ...] = ()
    device_write_iops: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Hook:
    """A command that runs in a container: after its start, before its stop, or after an edit."""

    command: tuple[str, ...]
    user: str = ""
    privileged: bool = False
    working_dir: str = ""
    environment: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Watch:
    """The action of a refresh if ``path`` (absolute, on the laptop) changed. ``exec`` belongs to
    ``sync+exec``.
    """

    path: Path
    action: WatchAction
    target: str = ""
    ignore: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    exec: Hook | None = None

    @property
    def in_place(self) -> bool:
        """True if a changed file reaches the container while it runs."""
        return self.action in ("sync", "sync+exec")

    @property
    def synchronises(self) -> bool:
        """True if a changed file reaches the container without a new image."""
        return self.in_place or self.action == "sync+restart"

    def covers(self, path: Path) -> bool:
        """True if ``path`` is inside the rule's path, even if the rule ignores it."""
        return path.is_relative_to(self.path)

    def ignores(self, path: Path) -> bool:
        """True if the rule covers ``path`` and its ``ignore`` excludes it."""
        return bool(self.ignore) and self._matches(self.ignore, path)

    def includes(self, path: Path) -> bool:
        """True if the rule covers a file at ``path`` and nothing excludes it."""
        included = not self.include or path == self.path or self._matches(self.include, path)
        return self.covers(path) and included and not self.ignores(path)

    def _matches(self, patterns: tuple[str, ...], path: Path) -> bool:
        if path == self.path or not self.covers(path):
            return False
        return compiled(patterns).ignores(path.relative_to(self.path).as_posix())

    def place(self, path: Path) -> str:
        """Return the place in the container of a path that the rule covers."""
        return _place(self.target, path.relative_to(self.path))


def deciding(
    rules: Iterable[Watch], path: Path, *, action: WatchAction | None = None
) -> Watch | None:
    """Return the watch rule for ``path``, or None.

    It is the most specific rule that includes the path, among all rules or those with this action.
    """
    matching = (rule for rule in rules if action in (None, rule.action))
    found = [rule for rule in matching if rule.includes(path)]
    return max(found, key=lambda rule: len(rule.path.parts), default=None)


# Options of an overlay that the Engine's driver takes; others belong to drivers of one machine.
OVERLAY_OPTIONS = ("com.docker.network.driver.mtu",)


@dataclass(frozen=True)
class AddressPool:
    """A subnet of a network, such as 10.5.0.0/24, and its own addresses in it; "" if not set. It
    may be of IPv6, which an overlay does not take.
    """

    subnet: str = ""
    gateway: str = ""
    ip_range: str = ""


@dataclass(frozen=True)
class Network:
    """A network of the Compose file (``key``), which all machines share as an overlay (``name``).

    An ``external`` one was made by somebody else. ``internal``: it has no way out of the lab.
    """

    key: str
    name: str
    driver: str = ""
    driver_opts: tuple[tuple[str, str], ...] = ()
    external: bool = False
    internal: bool = False
    enable_ipv4: bool = False
    ipam_driver: str = ""
    pools: tuple[AddressPool, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()

    @property
    def overlay_pools(self) -> tuple[AddressPool, ...]:
        """The pools that the overlay driver takes."""
        return tuple(pool for pool in self.pools if pool.subnet and ":" not in pool.subnet)

    @property
    def options(self) -> dict[str, str]:
        """The options that the overlay driver takes."""
        return {name: value for name, value in self.driver_opts if name in OVERLAY_OPTIONS}


@dataclass(frozen=True)
class Attachment:
    """A service's place on a network of the file (``network``: its key). ``aliases``: its names
    there besides its own. Of several networks, the one with the highest ``priority`` is the first.
    """

    network: str
    aliases: tuple[str, ...] = ()
    ipv4_address: str = ""
    mac_address: str = ""
    priority: int = 0


@dataclass(frozen=True)
class Link:
    """Another name (``alias``) under which a service finds the service ``service``."""

    service: str
    alias: str


@dataclass(frozen=True)
class Ulimit:
    """Soft and hard limit of one resource, as Docker takes them."""

    name: str
    soft: int
    hard: int


@dataclass(frozen=True)
class Service:
    """One service of the Compose file, placed on a machine. Unset values are None or "".

    ``aliases`` and ``container_name``: its names besides its own on each of its ``networks``; it
    has none with the ``network_mode`` none, host or service:NAME. ``mac_address``: on the first.
    ``seccomp``: the profile, as JSON, of a file that ``security_opt`` names.
    Fields from ``tty`` on have the names and the meaning of Compose's keys; sizes are in bytes.
    """

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
    machine_mounts: tuple[MachineMount, ...] = ()
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
    label_file: tuple[str, ...] = ()
    init: bool | None = None
    stop_signal: str = ""
    stop_grace_period: float | None = None
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    read_only: bool = False
    security_opt: tuple[str, ...] = ()
    seccomp: str = ""
    ulimits: tuple[Ulimit, ...] = ()
    sysctls: tuple[tuple[str, str], ...] = ()
    extra_hosts: tuple[str, ...] = ()
    hostname: str = ""
    aliases: tuple[str, ...] = ()
    container_name: str = ""
    mac_address: str = ""
    networks: tuple[Attachment, ...] = (Attachment("default"),)
    network_mode: str = ""
    links: tuple[Link, ...] = ()
    tty: bool = False
    stdin_open: bool = False
    privileged: bool = False
    annotations: tuple[tuple[str, str], ...] = ()
    blkio_config: BlockIo | None = None
    cgroup: str = ""
    cgroup_parent: str = ""
    cpu_period: int = 0
    cpu_quota: int = 0
    cpu_shares: int = 0
    cpuset: str = ""
    device_cgroup_rules: tuple[str, ...] = ()
    devices: tuple[Device, ...] = ()
    dns: tuple[str, ...] = ()
    dns_opt: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    domainname: str = ""
    group_add: tuple[str, ...] = ()
    ipc: str = ""
    mem_reservation: int = 0
    mem_swappiness: int | None = None
    memswap_limit: int = 0
    oom_kill_disable: bool = False
    oom_score_adj: int = 0
    pid: str = ""
    post_start: tuple[Hook, ...] = ()
    pre_stop: tuple[Hook, ...] = ()
    runtime: str = ""
    shm_size: int = 0
    userns_mode: str = ""
    uts: str = ""
    volumes_from: tuple[str, ...] = ()

    @property
    def owners(self) -> dict[str, str]:
        """The services with whose containers this one shares something, and what: "network"."""
        modes = {"network": self.network_mode, "IPC": self.ipc, "processes": self.pid}
        parts = {what: mode.partition(":") for what, mode in modes.items()}
        namespaces = {name: what for what, (kind, _, name) in parts.items() if kind == "service"}
        return {**{each.partition(":")[0]: "volumes" for each in self.volumes_from}, **namespaces}

    @property
    def joined(self) -> str:
        """The service in whose network this one runs (``network_mode: service:NAME``), or ""."""
        mode, _, name = self.network_mode.partition(":")
        return name if mode == "service" else ""

    def rule(self, path: Path, *, action: WatchAction | None = None) -> Watch | None:
        """Return the watch rule for ``path``, or None; see ``deciding``."""
        return deciding(self.watch, path, action=action)

    @property
    def copied(self) -> tuple[Watch, ...]:
        """The watch rules whose files are copied into the container, because no bind mount shows
        them at the rule's target.
        """
        return tuple(rule for rule in self.watch if rule.synchronises and not self._shows(rule))

    def _shows(self, rule: Watch) -> bool:
        binds = [bind for bind in self.binds if rule.path.is_relative_to(bind.source)]
        return rule.target in ("", *(bind.place(rule.path) for bind in binds))

    def ignores(self, path: Path, *, rebuild: bool = False) -> bool:
        """True if watch rules cover ``path`` and all of them ignore it.

        By default the rules that synchronise a mount count, with ``rebuild`` those that build an
        image.
        """
        rules = [r for r in self.watch if (r.action == "rebuild") is rebuild and r.covers(path)]
        return bool(rules) and all(rule.ignores(path) for rule in rules)


@dataclass(frozen=True)
class RootAccess:
    """A service that would get root on its machine, why ("is privileged"), and the place in its
    file.
    """

    service: str
    reason: str
    file: str
    line: int


@dataclass(frozen=True)
class Lab:
    """Everything that the files of a lab describe.

    ``services`` are those of the active profiles, ``networks`` those that they are on, ``images``
    those of all services, so that the box can contain them all. ``sources``: the files this was
    read from, and those that would have been read if they existed. ``declared``: the files of all
    secrets and configs of the Compose file. ``root_access``: the services that would get root on
    their machine, except those that hashlab.toml allows it.
    ``secrets``: what each secret of the top level consists of, for builds.
    ``own_machines``: hashlab.toml names the machines; otherwise hashlab chose them.
    ``inactive``: the services of profiles that are not active, each with its profiles.
    """

    folder: Path
    name: str
    provider: str
    subnet: IPv4Network
    machines: tuple[Machine, ...]
    services: tuple[Service, ...]
    images: tuple[Image, ...]
    networks: tuple[Network, ...] = ()
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
    root_access: tuple[RootAccess, ...] = ()
    own_machines: bool = True
    volumes: tuple[Volume, ...] = ()
    secrets: tuple[tuple[str, Path | Content], ...] = ()
    inactive: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @cached_property
    def boundary(self) -> Boundary:
        """The rule which files may leave the lab folder other than as a secret or config."""
        return Boundary(frozenset(self.declared))

    def uploads(self, source: Path) -> Callable[[str], bool]:
        """Return a test for names below the source of a bind mount: True if a file is synchronised.

        Names are relative to the source. A file is synchronised if it may leave the lab folder, is
        not an editor's temporary file, and at least one service that mounts it does not ignore it.
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
        """``.hashlab`` of this lab. Everything in it can be deleted."""
        return self.folder / STATE

    @property
    def id(self) -> str:
        """Name of this lab among all labs of the laptop. Two folders never share one."""
        return lab_id(self.name, self.folder)

    def network(self, key: str) -> Network:
        """Return the network that the Compose file calls ``key``. Raises KeyError."""
        return {network.key: network for network in self.networks}[key]

    def reload(self, service: str) -> Reload | None:
        """Return the reload of a service, or None if it has none."""
        return next((reload for reload in self.reloads if reload.service == service), None)

    def volume(self, key: str) -> Volume:
        """Return the volume with this key in the Compose file."""
        found = (volume for volume in self.volumes if volume.key == key)
        return next(found, Volume(key, f"{self.name}_{key}"))

    def service(self, name: str) -> Service:
        """Return the service called ``name``. Raises KeyError."""
        return {service.name: service for service in self.services}[name]

    def machine(self, name: str) -> Machine:
        """Return the machine called ``name``. Raises KeyError."""
        return self._by_name[name]

    @property
    def _by_name(self) -> Mapping[str, Machine]:
        return {machine.name: machine for machine in self.machines}


def _overlap(first: Path, second: Path) -> bool:
    return first.is_relative_to(second) or second.is_relative_to(first)


def lab_id(name: str, folder: Path) -> str:
    """Return ``Lab.id`` for a lab of this name in a folder."""
    digest = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()
    return f"{name}-{digest[:6]}"
