"""Machines' and services' use of processor, memory, network and disk at this moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hashlab.documents.samples import MachineSample, container_rates, machine_rates
from hashlab.pipeline import UNIX_TIME


@dataclass(frozen=True)
class MachineUsage:
    """One machine. ``cpu_cores`` of ``cpus``: 1.0 is one core; None until a second sample is there,
    as all rates. ``time``: when it was sampled.
    """

    machine: str
    time: float = field(metadata=UNIX_TIME)
    cpus: float
    cpu_cores: float | None
    memory_bytes: int
    memory_limit_bytes: int
    disk_total_bytes: int
    disk_available_bytes: int
    network_received_bytes_per_second: float | None
    network_sent_bytes_per_second: float | None
    engine_answers: bool


@dataclass(frozen=True)
class ReplicaUsage:
    """One replica of a service. None: not known, or it does not run; ``memory_limit_bytes``: it has
    no limit of its own.
    """

    service: str
    replica: int
    machine: str
    cpu_cores: float | None
    memory_bytes: int | None
    memory_limit_bytes: int | None
    network_received_bytes_per_second: float | None
    network_sent_bytes_per_second: float | None


@dataclass(frozen=True)
class Usage:
    """The machines and replicas that were sampled."""

    machines: tuple[MachineUsage, ...] = ()
    services: tuple[ReplicaUsage, ...] = ()


# The last two samples of a machine; the first is None after its first one.
Samples = tuple[MachineSample | None, MachineSample]


def usage_of(samples: Mapping[str, Samples]) -> Usage:
    """Return what is used, by the last two samples of each machine. Pure."""
    machines = tuple(_machine(*pair) for pair in samples.values())
    replicas = tuple(each for pair in samples.values() for each in _replicas(*pair))
    return Usage(machines, replicas)


def _machine(before: MachineSample | None, after: MachineSample) -> MachineUsage:
    rates = machine_rates(before, after)
    return MachineUsage(
        machine=after.machine,
        time=after.time,
        cpus=after.cpus,
        cpu_cores=rates.cpu_cores,
        memory_bytes=after.memory_bytes,
        memory_limit_bytes=after.memory_limit_bytes,
        disk_total_bytes=after.disk_total_bytes,
        disk_available_bytes=after.disk_available_bytes,
        network_received_bytes_per_second=rates.network_received_bytes_per_second,
        network_sent_bytes_per_second=rates.network_sent_bytes_per_second,
        engine_answers=after.engine_answers,
    )


def _replicas(before: MachineSample | None, after: MachineSample) -> list[ReplicaUsage]:
    rates = container_rates(before, after)
    return [
        ReplicaUsage(
            service=each.service,
            replica=each.replica,
            machine=after.machine,
            cpu_cores=rates[each.name].cpu_cores,
            memory_bytes=each.memory_bytes,
            memory_limit_bytes=each.memory_limit_bytes,
            network_received_bytes_per_second=rates[each.name].network_received_bytes_per_second,
            network_sent_bytes_per_second=rates[each.name].network_sent_bytes_per_second,
        )
        for each in after.containers
    ]
