"""The steps of `pre_start`: each ends well, in its own container, before the service starts."""

from __future__ import annotations

from dataclasses import replace

from fakes import Behaviour, Outside, change_service, run, running

from hashlab.config.model import InitStep, Volume, VolumeMount
from hashlab.phases.containers.before_start import Place, step_body
from hashlab.run import workflows

MIGRATE = InitStep(("./manage.py", "migrate"), environment=(("STAGE", "1"),))
CHOWN = InitStep(("chown", "-R", "app", "/data"), user="root", image="tools:1")
STEPS = (MIGRATE, CHOWN)


def with_steps(outside: Outside, *, code: int = 0) -> None:
    """A running lab whose service queue gets two steps; ``code``: how the first one ends."""
    running(outside)
    outside.lab = change_service(
        outside.lab, "queue", pre_start=(MIGRATE, replace(CHOWN, image=""))
    )
    engine = outside.machines["broker"].engine
    engine.behave(MIGRATE.command, Behaviour(exits=code))
    engine.behave(CHOWN.command, Behaviour(exits=0))
    outside.faults.calls.clear()


def started(outside: Outside) -> list[str]:
    """The names with which containers were made on the queue's machine, in order."""
    calls = [c for c in outside.faults.calls if c.name == "engine.create"]
    return [str(c.words[1]) for c in calls if c.words[0] == "broker"]


def test_steps_run_in_order_between_the_making_and_the_start_of_the_container(
    outside: Outside,
) -> None:
    with_steps(outside)
    assert run(outside, workflows.REFRESH).error is None
    lab = outside.lab.name
    assert started(outside) == [
        f"{lab}-queue-1",
        f"{lab}-queue-pre_start-0",
        f"{lab}-queue-pre_start-1",
    ]
    engine = outside.machines["broker"].engine
    assert engine.container(f"{lab}-queue-pre_start-0") is None
    state = engine.container(f"{lab}-queue-1")
    assert state is not None
    assert state.state == "running"


def test_steps_do_not_run_again_for_a_container_that_stays(outside: Outside) -> None:
    with_steps(outside)
    run(outside, workflows.REFRESH)
    outside.faults.calls.clear()
    assert run(outside, workflows.REFRESH).error is None
    assert started(outside) == []


def test_a_step_that_fails_leaves_the_service_unstarted_until_it_succeeds(
    outside: Outside,
) -> None:
    with_steps(outside, code=3)
    error = run(outside, workflows.REFRESH).error
    assert error is not None
    assert "./manage.py migrate" in error.what
    assert "exit code 3" in error.what
    engine = outside.machines["broker"].engine
    name = f"{outside.lab.name}-queue-1"
    state = engine.container(name)
    assert state is not None
    assert state.state == "created"
    engine.behave(MIGRATE.command, Behaviour(exits=0))
    assert run(outside, workflows.REFRESH).error is None
    state = engine.container(name)
    assert state is not None
    assert state.state == "running"


def test_a_step_has_the_mounts_and_the_network_of_the_service_and_its_own_image(
    outside: Outside,
) -> None:
    volumes = (VolumeMount("data", "/data"), VolumeMount("", "/scratch"))
    lab = replace(outside.lab, volumes=(Volume("data", "data"),))
    lab = change_service(lab, "queue", pre_start=STEPS, user="app", volumes=volumes)
    service = lab.service("queue")
    body = step_body(lab, service, CHOWN, Place("holder"))
    assert body["Image"] == "tools:1"
    assert body["Cmd"] == ["chown", "-R", "app", "/data"]
    assert body["User"] == "root"
    assert body["Healthcheck"] == {"Test": ["NONE"]}
    host = body["HostConfig"]
    assert host["NetworkMode"] == "container:holder"
    assert [mount["Target"] for mount in host["Mounts"]] == ["/data"]
    assert host["RestartPolicy"] == {"Name": "no"}
    own = step_body(lab, service, MIGRATE, Place("holder"))
    assert own["Image"] == service.image
    assert own["User"] == "app"
    assert "STAGE=1" in own["Env"]
