"""Patience: on slow machines everything may take longer, and nothing is built anew for that."""

from __future__ import annotations

import json
import time

import pytest
from fakes import Behaviour, Outside, change_service, connected, go, running, track_of
from fakes.outside import Silent

from hashlab.config.model import Healthcheck, Service
from hashlab.errors import LabError
from hashlab.phases import connect as connecting
from hashlab.phases.connect import connect
from hashlab.phases.containers import readiness
from hashlab.phases.containers.body import BUILD_LABEL, container_body
from hashlab.phases.containers.readiness import pause, wait_ready
from hashlab.phases.steps import STEP_SECONDS
from hashlab.pipeline import CancelToken, Recorder
from hashlab.providers import vagrant as vagrantfiles
from hashlab.run import workflows

SECOND = 1_000_000_000
CHECK = Healthcheck(("CMD", "ready"), interval=1.0, timeout=2.0, start_period=0.5, retries=3)


def queue(outside: Outside) -> Service:
    return next(service for service in outside.lab.services if service.name == "queue")


def slow(outside: Outside) -> Outside:
    """The lab runs, on machines that take ten times as long."""
    outside.lab = change_service(outside.lab, "queue", healthcheck=CHECK)
    outside.provider.time_factor = 10.0
    return running(outside)


def test_a_health_check_may_take_longer_and_is_asked_more_rarely(outside: Outside) -> None:
    slow(outside)
    made = outside.machines["broker"].engine.by_name("small-queue-1")
    check = made.body["Healthcheck"]
    assert check["Interval"] == 10 * SECOND
    assert check["Timeout"] == 20 * SECOND
    assert check["StartPeriod"] == 5 * SECOND
    assert check["Retries"] == 3


def test_what_a_health_check_does_not_say_stays_unsaid(outside: Outside) -> None:
    bare = change_service(outside.lab, "queue", healthcheck=Healthcheck(("CMD", "ready")))
    service = next(one for one in bare.services if one.name == "queue")
    body = container_body(bare, service, time_factor=10.0)
    assert body["Healthcheck"] == {"Test": ["CMD", "ready"]}


def test_a_container_keeps_its_build_when_its_machine_gets_faster(outside: Outside) -> None:
    slow(outside)
    engine = outside.machines["broker"].engine
    before = engine.by_name("small-queue-1")
    outside.provider.time_factor = 1.0
    go(outside, workflows.REFRESH)
    after = engine.by_name("small-queue-1")
    assert after.id == before.id
    assert after.labels[BUILD_LABEL] == before.labels[BUILD_LABEL]


def test_a_service_may_take_longer_to_get_ready(
    outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow(outside)
    outside.behaviours["queue"] = Behaviour(health=("starting",))
    monkeypatch.setattr(readiness, "READY_SECONDS", 0.005)
    world = connected(outside)
    began = time.monotonic()
    with (
        pytest.raises(LabError, match=r"not ready after 0\.05 s"),
        Recorder(Silent(), CancelToken()).step("healthy") as step,
    ):
        wait_ready(world, queue(outside), "small-queue-1", step)
    assert time.monotonic() - began >= 0.05


def test_a_service_that_answers_late_is_asked_more_rarely() -> None:
    soon = readiness.POLL_SECONDS
    assert pause(waited=0.0, answered_in=soon / 10) == soon
    assert pause(waited=0.0, answered_in=soon) == 2 * soon
    # A health check that hangs until its time limit says nothing about how busy the machine is.
    assert pause(waited=0.0, answered_in=30.0) == readiness.ANSWER_SECONDS


def test_a_machine_may_take_longer_to_answer(
    outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow(outside).machines["web"].state = "stopped"
    monkeypatch.setattr(connecting, "CONNECT_SECONDS", 0.005)
    began = time.monotonic()
    with pytest.raises(LabError, match="not up yet"), track_of() as track:
        connect(outside.world(), track, "web")
    assert time.monotonic() - began >= 0.05


def test_vagrant_and_the_labs_own_commands_may_take_longer(outside: Outside) -> None:
    slow(outside)
    vagrantfile = json.loads(outside.state.vagrantfile.read_text())
    assert vagrantfile["boot_seconds"] == 10 * vagrantfiles.BOOT_SECONDS
    seeds = [ran for ran in outside.runner.ran if ran.command[:2] == ("PYTHON", "seed.py")]
    assert [ran.timeout for ran in seeds] == [10 * STEP_SECONDS]
