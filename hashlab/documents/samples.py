"""Samples of machines and containers at a moment, and the rates between two such moments."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from hashlab.pipeline import UNIX_TIME


@dataclass(frozen=True)
class ContainerSample:
    """One replica of a service; the first is 1. Counters begin with the start of the container.

    ``state`` and ``health`` are the engine's words, ``health`` is None without a health check;
    ``restarts``: by the engine, after the container ended by itself. ``started_at``: Unix time,
    None if it never ran; ``exit_code``: of one that exited. Other values are None if it does not
    run, or if the machine does not know them; ``memory_limit_bytes`` is also None without a limit
    of its own.
    """

    name: str
    service: str
    replica: int
    build: str
    state: str
    health: str | None
    restarts: int
    started_at: float | None = field(metadata=UNIX_TIME)
    cpu_seconds: float | None = None
    memory_bytes: int | None = None
    memory_limit_bytes: int | None = None
    network_received_bytes: int | None = None
    network_sent_bytes: int | None = None
    disk_read_bytes: int | None = None
    disk_written_bytes: int | None = None
    exit_code: int | None = None


@dataclass(frozen=True)
class MachineSample:
    """One machine and the containers of the lab's services on it, all that its engine has.

    ``time``: Unix time of the laptop when the sample arrived; ``uptime_seconds``: the machine's own
    clock, which cannot be set, for rates. Counters begin with the machine's start. ``cpus``: the
    number of processors it may use, which need not be a whole number. Memory is without the cache
    of files that can be dropped; a machine that is a container shows its own figures, not the
    laptop's.
    ``disk``: the file system with the engine's data. ``engine_answers``: False if it did not within
    5 s; then ``containers`` is empty. ``intercepted``: the services that run on a laptop.
    """

    machine: str
    time: float = field(metadata=UNIX_TIME)
    uptime_seconds: float
    cpus: float
    cpu_seconds: float
    memory_bytes: int
    memory_limit_bytes: int
    network_received_bytes: int
    network_sent_bytes: int
    disk_read_bytes: int
    disk_written_bytes: int
    disk_total_bytes: int
    disk_available_bytes: int
    engine_answers: bool
    containers: tuple[ContainerSample, ...]
    intercepted: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rates:
    """Means between two samples; None for what is not known. ``cpu_cores``: 1.0 is one core."""

    cpu_cores: float | None
    network_received_bytes_per_second: float | None
    network_sent_bytes_per_second: float | None
    disk_read_bytes_per_second: float | None
    disk_written_bytes_per_second: float | None


class _Counters(Protocol):
    """The counters that machines and containers have."""

    @property
    def cpu_seconds(self) -> float | None: ...
    @property
    def network_received_bytes(self) -> int | None: ...
    @property
    def network_sent_bytes(self) -> int | None: ...
    @property
    def disk_read_bytes(self) -> int | None: ...
    @property
    def disk_written_bytes(self) -> int | None: ...


UNKNOWN = Rates(None, None, None, None, None)


def machine_rates(before: MachineSample | None, after: MachineSample) -> Rates:
    """Return what a machine used between two samples; UNKNOWN if it was restarted between them, or
    without an earlier one.
    """
    if before is None:
        return UNKNOWN
    return _rates(before, after, after.uptime_seconds - before.uptime_seconds)


def container_rates(before: MachineSample | None, after: MachineSample) -> dict[str, Rates]:
    """Return what each container of ``after`` used between two samples of its machine, by name;
    UNKNOWN for those that were started or replaced between them.
    """
    if before is None:
        return {container.name: UNKNOWN for container in after.containers}
    seconds = after.uptime_seconds - before.uptime_seconds
    earlier = {(each.name, each.started_at): each for each in before.containers}
    return {
        each.name: _rates(earlier[each.name, each.started_at], each, seconds)
        if (each.name, each.started_at) in earlier
        else UNKNOWN
        for each in after.containers
    }


def _rates(before: _Counters, after: _Counters, seconds: float) -> Rates:
    return Rates(
        _rate(before.cpu_seconds, after.cpu_seconds, seconds),
        _rate(before.network_received_bytes, after.network_received_bytes, seconds),
        _rate(before.network_sent_bytes, after.network_sent_bytes, seconds),
        _rate(before.disk_read_bytes, after.disk_read_bytes, seconds),
        _rate(before.disk_written_bytes, after.disk_written_bytes, seconds),
    )


def _rate(before: float | None, after: float | None, seconds: float) -> float | None:
    """A counter that went back began again, so its rate is not known."""
    if before is None or after is None or seconds <= 0 or after < before:
        return None
    return (after - before) / seconds
