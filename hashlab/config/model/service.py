"""A service of the Compose file, with the settings that only services have."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hashlab.config.model.builds import Build
from hashlab.config.model.debugging import Debugger
from hashlab.config.model.mounts import BindMount, FileMount, MachineMount, TmpfsMount, VolumeMount
from hashlab.config.model.networks import Attachment, Link, Port
from hashlab.config.model.watching import Hook, InitStep, Watch, WatchAction, deciding


@dataclass(frozen=True)
class CopyName:
    """The name of the part on a machine of a service that runs on several: SERVICE.MACHINE. Names
    of machines have no dot, those of services may.
    """

    service: str
    machine: str

    def __str__(self) -> str:
        return f"{self.service}.{self.machine}"

    @classmethod
    def read(cls, name: str) -> CopyName | None:
        """Return the parts of such a name; None for a name without a dot."""
        service, _, machine = name.rpartition(".")
        return cls(service, machine) if service else None


Condition = Literal["service_started", "service_healthy", "service_completed_successfully"]


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
    ``seccomp``: the profile, as JSON, of a file that ``security_opt`` names. ``debugger``: from the
    label hashlab.debug. ``copy_of``: the service on several machines of which it is the part on
    this one, or "". ``front``: the service that has its name and ports, and shares what arrives
    there among the replicas; ``front_of``: the service whose front this is, or "".
    ``parallelism``: how many replicas are replaced at once (0: all), and ``update_delay`` seconds
    lie between them. ``rollback``: a replica that does not get ready gets its previous build back.
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
    copy_of: str = ""
    front: str = ""
    front_of: str = ""
    replicas: int = 1
    parallelism: int = 1
    update_delay: float = 0.0
    rollback: bool = False
    limits: Limits = Limits()
    watch: tuple[Watch, ...] = ()
    restart: str = "no"
    user: str = ""
    working_dir: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    label_file: tuple[str, ...] = ()
    debugger: Debugger | None = None
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
    pre_start: tuple[InitStep, ...] = ()
    pre_stop: tuple[Hook, ...] = ()
    runtime: str = ""
    shm_size: int = 0
    userns_mode: str = ""
    uts: str = ""
    volumes_from: tuple[str, ...] = ()

    @property
    def images(self) -> tuple[str, ...]:
        """The images that its machine needs: its own, and those of its ``pre_start`` steps."""
        steps = (step.image for step in self.pre_start if step.image)
        return tuple(dict.fromkeys((self.image, *steps)))

    @property
    def family(self) -> str:
        """The service's name in the Compose file, which its copies on other machines share."""
        return self.copy_of or self.name

    @property
    def owners(self) -> dict[str, str]:
        """The services with whose containers this one shares something besides a network, and
        what: "volumes".
        """
        modes = {"IPC": self.ipc, "processes": self.pid}
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
