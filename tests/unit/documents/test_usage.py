"""What is used now, from the last two samples of each machine."""

from __future__ import annotations

from dataclasses import replace

from hashlab.documents.samples import ContainerSample, MachineSample
from hashlab.documents.usage import usage_of

WEB = ContainerSample(
    "small-web-1", "web", 1, "b1", "running", "healthy", 0, 5.0, 10.0, 2_000_000, None, 100, 200
)
FIRST = MachineSample(
    machine="front",
    time=1000.0,
    uptime_seconds=50.0,
    cpus=2.0,
    cpu_seconds=30.0,
    memory_bytes=100,
    memory_limit_bytes=500,
    network_received_bytes=1000,
    network_sent_bytes=2000,
    disk_read_bytes=0,
    disk_written_bytes=0,
    disk_total_bytes=10_000,
    disk_available_bytes=4_000,
    engine_answers=True,
    containers=(WEB,),
)
SECOND = replace(
    FIRST,
    time=1002.0,
    uptime_seconds=52.0,
    cpu_seconds=31.0,
    network_received_bytes=1500,
    containers=(replace(WEB, cpu_seconds=10.5, network_sent_bytes=1200),),
)


def test_a_first_sample_has_amounts_and_no_rates() -> None:
    used = usage_of({"front": (None, FIRST)})
    [machine], [web] = used.machines, used.services
    assert (machine.cpu_cores, machine.memory_bytes, machine.disk_available_bytes) == (
        None,
        100,
        4000,
    )
    assert (web.service, web.replica, web.machine) == ("web", 1, "front")
    assert (web.cpu_cores, web.memory_bytes) == (None, 2_000_000)


def test_two_samples_give_rates() -> None:
    used = usage_of({"front": (FIRST, SECOND)})
    [machine], [web] = used.machines, used.services
    assert machine.cpu_cores == 0.5
    assert machine.network_received_bytes_per_second == 250
    assert web.cpu_cores == 0.25
    assert web.network_sent_bytes_per_second == 500
