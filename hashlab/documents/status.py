"""The document of `hashlab status`: machines and services as they are at this moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from hashlab.documents.alerts import Alert
from hashlab.pipeline import UNIX_TIME

ServiceState = Literal[
    "running",
    "starting",
    "unhealthy",
    "restarting",
    "ended",
    "stopped",
    "intercepted",
    "unknown",
    "not created",
]
MachineState = Literal["running", "stopped", "paused", "not created", "unreachable"]


@dataclass(frozen=True)
class BoxStatus:
    """The box that the recipe asks for. ``registered``: the lab has a box; ``stale``: an older."""

    name: str
    version: str
    recipe: str
    registered: bool
    stale: bool


@dataclass(frozen=True)
class SshAddress:
    """The laptop's way to a machine by SSH."""

    host: str
    port: int
    user: str


@dataclass(frozen=True)
class MachineStatus:
    """One machine. ``recipe``: that of its box, None if it does not exist."""

    name: str
    address: str
    state: MachineState
    ssh: SshAddress | None
    recipe: str | None
    stale: bool


@dataclass(frozen=True)
class LastExit:
    """The last end of a container. ``code``: None if it runs again and nobody saw it end; ``line``:
    the last line that it logged before.
    """

    time: float = field(metadata=UNIX_TIME)
    code: int | None
    line: str | None


@dataclass(frozen=True)
class ServiceStatus:
    """One replica of a service, the first is 1. ``since``: Unix time of its start or its end;
    None for what is not known. ``stopped_by`` explains the state "stopped"; ``holder``: whose
    laptop it runs on ("intercepted"). ``healthy_since``: it was healthy at each look since then.
    """

    name: str
    machine: str
    replica: int
    state: ServiceState
    since: float | None = field(metadata=UNIX_TIME)
    restarts: int | None
    exit_code: int | None
    stopped_by: Literal["machine", "pause", "command"] | None
    health: str | None
    build: str
    running_build: str | None
    stale: str | None
    problem: str | None
    holder: str | None
    healthy_since: float | None = field(default=None, metadata=UNIX_TIME)
    last_exit: LastExit | None = None


@dataclass(frozen=True)
class Status:
    """The whole lab. ``urls``: id of a forwarded port → address on the laptop; ``alerts``: those
    that fire.
    """

    lab: str
    provider: str
    box: BoxStatus | None
    machines: tuple[MachineStatus, ...]
    services: tuple[ServiceStatus, ...]
    urls: Mapping[str, str]
    notes: tuple[str, ...]
    alerts: tuple[Alert, ...] = ()

    @property
    def all_runs(self) -> bool:
        """True if everything that should run does. Of a lab that was never created, or whose
        machines are all stopped, nothing should run.
        """
        states = {machine.state for machine in self.machines}
        if not states & {"running", "unreachable"}:
            return True
        return states == {"running"} and not any(service.problem for service in self.services)
