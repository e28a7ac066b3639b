"""Samples in Prometheus' text format. Pure. docs/how-to/metrics.md lists all names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from hashlab.config.model import Lab, Service
from hashlab.documents.samples import ContainerSample, MachineSample
from hashlab.phases.containers.body import replica_names
from hashlab.phases.containers.readiness import is_one_shot

Value = float | int | bool | None


@dataclass(frozen=True)
class Metric:
    """One name: its field in a sample, "" if it is worked out; ``kind``: gauge or counter."""

    name: str
    kind: str
    help: str
    field: str = ""


MACHINE = (
    Metric("hashlab_machine_cpus", "gauge", "Processors that it may use.", "cpus"),
    Metric("hashlab_machine_cpu_seconds_total", "counter", "Time of processors.", "cpu_seconds"),
    Metric("hashlab_machine_memory_bytes", "gauge", "Memory in use.", "memory_bytes"),
    Metric(
        "hashlab_machine_memory_limit_bytes", "gauge", "Memory it may use.", "memory_limit_bytes"
    ),
    Metric("hashlab_machine_network_received_bytes_total", "counter", "", "network_received_bytes"),
    Metric("hashlab_machine_network_sent_bytes_total", "counter", "", "network_sent_bytes"),
    Metric("hashlab_machine_disk_read_bytes_total", "counter", "", "disk_read_bytes"),
    Metric("hashlab_machine_disk_written_bytes_total", "counter", "", "disk_written_bytes"),
    Metric("hashlab_machine_disk_total_bytes", "gauge", "The engine's disk.", "disk_total_bytes"),
    Metric("hashlab_machine_disk_available_bytes", "gauge", "Free on it.", "disk_available_bytes"),
    Metric("hashlab_machine_uptime_seconds", "gauge", "Since its start.", "uptime_seconds"),
    Metric("hashlab_machine_engine_up", "gauge", "Its engine answers.", "engine_answers"),
)
CONTAINER = (
    Metric("hashlab_container_restarts_total", "counter", "By its restart policy.", "restarts"),
    Metric("hashlab_container_start_time_seconds", "gauge", "Unix time.", "started_at"),
    Metric("hashlab_container_cpu_seconds_total", "counter", "Time of processors.", "cpu_seconds"),
    Metric("hashlab_container_memory_bytes", "gauge", "Memory in use.", "memory_bytes"),
    Metric("hashlab_container_memory_limit_bytes", "gauge", "Its limit.", "memory_limit_bytes"),
    Metric(
        "hashlab_container_network_received_bytes_total", "counter", "", "network_received_bytes"
    ),
    Metric("hashlab_container_network_sent_bytes_total", "counter", "", "network_sent_bytes"),
    Metric("hashlab_container_disk_read_bytes_total", "counter", "", "disk_read_bytes"),
    Metric("hashlab_container_disk_written_bytes_total", "counter", "", "disk_written_bytes"),
)
INFO = Metric("hashlab_container_info", "gauge", "1, with the build that runs.")
UP = Metric("hashlab_container_up", "gauge", "1: it runs, and is not unhealthy.")


def machine_text(sample: MachineSample, lab: Lab, *, stopped: Iterable[str] = ()) -> str:
    """Return a machine and its containers. ``stopped``: the services that a person stopped.

    ``hashlab_container_up`` is there for each replica that should run, even if it does not exist.
    """
    lines = [line for each in MACHINE for line in _family(each, [({}, _of(sample, each))])]
    labelled = [(_labels(each), each) for each in sample.containers]
    lines += _family(INFO, [({**own, "build": each.build}, 1) for own, each in labelled])
    if sample.engine_answers:
        lines += _family(UP, list(_up(sample, lab, {*stopped, *sample.intercepted})))
    for metric in CONTAINER:
        lines += _family(metric, [(own, _of(each, metric)) for own, each in labelled])
    return "".join(f"{line}\n" for line in lines)


def _up(
    sample: MachineSample, lab: Lab, resting: set[str]
) -> Iterator[tuple[dict[str, str], Value]]:
    found = {each.name: each for each in sample.containers}
    for service in lab.services:
        if service.machine != sample.machine or service.name in resting:
            continue
        for number, name in enumerate(replica_names(lab, service), start=1):
            one = found.get(name)
            if one is None or not _is_done(service, one):
                yield {"service": service.name, "replica": str(number)}, _runs(one)


def _is_done(service: Service, container: ContainerSample) -> bool:
    return is_one_shot(service) and container.exit_code == 0


def _runs(container: ContainerSample | None) -> bool:
    if container is None:
        return False
    return container.state == "running" and container.health != "unhealthy"


def _labels(container: ContainerSample) -> dict[str, str]:
    return {"service": container.service, "replica": str(container.replica)}


def _of(sample: MachineSample | ContainerSample, metric: Metric) -> Value:
    value: Value = getattr(sample, metric.field)
    return value


def _family(metric: Metric, samples: Sequence[tuple[Mapping[str, str], Value]]) -> list[str]:
    """Return the lines of one name; none without a value that is known."""
    known = [
        f"{series(metric.name, labels)} {float(value):.17g}"
        for labels, value in samples
        if value is not None
    ]
    helped = [f"# HELP {metric.name} {metric.help}"] if metric.help else []
    return [*helped, f"# TYPE {metric.name} {metric.kind}", *known] if known else []


def series(name: str, labels: Mapping[str, str]) -> str:
    """Return a series with its labels, escaped."""
    inner = ",".join(f'{key}="{_escaped(value)}"' for key, value in labels.items())
    return f"{name}{{{inner}}}" if inner else name


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
