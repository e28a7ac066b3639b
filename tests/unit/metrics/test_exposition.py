"""Samples in Prometheus' text format, for the store."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fakes import Outside

from hashlab.documents.samples import ContainerSample, MachineSample
from hashlab.metrics.exposition import CONTAINER, MACHINE, machine_text, series

SITE = ContainerSample(
    "small-site-1", "site", 1, "b1", "running", "healthy", 2, 100.5, 1.25, 10, None, 100, 50, 7, 0
)
WEB = MachineSample(
    "web", 1000.0, 60.0, 1.5, 10.0, 500, 1000, 1000, 500, 0, 0, 100, 50, True, (SITE,)
)


def lines(outside: Outside, sample: MachineSample, **how: tuple[str, ...]) -> list[str]:
    text = machine_text(sample, outside.lab, **how)
    return [line for line in text.splitlines() if not line.startswith("#")]


def up(outside: Outside, *containers: ContainerSample, **how: tuple[str, ...]) -> list[str]:
    found = lines(outside, replace(WEB, containers=containers), **how)
    first = 'hashlab_container_up{service="site",replica="1"'
    return [line for line in found if line.startswith(first)]


def test_a_machine_has_all_its_values(outside: Outside) -> None:
    found = [line for line in lines(outside, WEB) if line.startswith("hashlab_machine_")]
    assert [line.split()[0] for line in found] == [metric.name for metric in MACHINE]
    assert "hashlab_machine_cpus 1.5" in found
    assert "hashlab_machine_engine_up 1" in found


def test_a_container_has_its_values_and_its_build(outside: Outside) -> None:
    found = lines(outside, WEB)
    labels = 'service="site",replica="1"'
    assert f'hashlab_container_info{{{labels},build="b1"}} 1' in found
    assert f"hashlab_container_start_time_seconds{{{labels}}} 100.5" in found
    # Without a limit of its own there is no series of it.
    names = {line.partition("{")[0] for line in found if line.startswith("hashlab_container_")}
    expected = {metric.name for metric in CONTAINER} - {"hashlab_container_memory_limit_bytes"}
    assert names == expected | {"hashlab_container_info", "hashlab_container_up"}


@pytest.mark.parametrize(
    ("state", "health", "value"),
    [
        ("running", None, 1),
        ("running", "starting", 1),
        ("running", "unhealthy", 0),
        ("restarting", None, 0),
        ("paused", "healthy", 0),
    ],
)
def test_a_container_is_up_if_it_runs_and_is_not_unhealthy(
    outside: Outside, state: str, health: str | None, value: int
) -> None:
    [line] = up(outside, replace(SITE, state=state, health=health))
    assert line.endswith(f" {value}")


def test_a_replica_that_does_not_exist_is_not_up(outside: Outside) -> None:
    assert up(outside) == ['hashlab_container_up{service="site",replica="1"} 0']


def test_a_service_that_a_person_stopped_or_intercepted_is_not_missed(outside: Outside) -> None:
    assert up(outside, stopped=("site",)) == []
    found = lines(outside, replace(WEB, containers=(), intercepted=("site",)))
    assert [line for line in found if 'service="site"' in line] == []


@pytest.mark.parametrize(
    ("restart", "code", "count"), [("no", 0, 0), ("no", 1, 1), ("always", 0, 1)]
)
def test_a_job_that_is_done_is_not_missed(
    outside: Outside, restart: str, code: int, count: int
) -> None:
    services = [replace(each, restart=restart) for each in outside.lab.services]
    outside.lab = replace(outside.lab, services=tuple(services))
    assert len(up(outside, replace(SITE, state="exited", exit_code=code))) == count


def test_an_engine_that_is_silent_says_nothing_about_services(outside: Outside) -> None:
    found = lines(outside, replace(WEB, containers=(), engine_answers=False))
    assert found[-1] == "hashlab_machine_engine_up 0"


def test_labels_are_escaped() -> None:
    assert series("m", {"a": 'x"y\\z\n'}) == 'm{a="x\\"y\\\\z\\n"}'
