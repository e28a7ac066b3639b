"""Lifecycle hooks: they run after a start and before a stop, and a failure is one of the run."""

from __future__ import annotations

import pytest
from fakes import Outside, change_service, run, running

from hashlab.config.model import Hook
from hashlab.errors import LabError
from hashlab.phases.containers.hooks import before_stop
from hashlab.protocols import Completed
from hashlab.run import workflows
from hashlab.run.execution import Workflow

START = Hook(("touch", "/ready"), user="root")
STOP = Hook(("/bye.sh",), privileged=True, working_dir="/srv", environment=(("A", "b"),))


def with_hooks(outside: Outside, *, code: int = 0) -> None:
    """A running lab whose service queue gets hooks; ``code``: how the one after the start ends."""
    running(outside)
    outside.lab = change_service(outside.lab, "queue", post_start=(START,), pre_stop=(STOP,))
    engine = outside.machines["broker"].engine
    engine.executes[START.command] = lambda _: Completed(code, "", "no space\n")
    engine.executes[STOP.command] = lambda _: Completed(0, "", "")
    outside.faults.calls.clear()


def queue_calls(outside: Outside) -> list[str]:
    """What was done to containers of the queue, in order: hooks by the name of their program."""
    wanted = ("engine.stop", "engine.start", "engine.execute")
    calls = [c for c in outside.faults.calls if c.name in wanted and c.words[0] == "broker"]
    hooks = {START.command: "post_start", STOP.command: "pre_stop"}
    done = [
        hooks.get(call.words[2], "") if call.name == "engine.execute" else call.name
        for call in calls
    ]
    return [word for word in done if word]


def test_a_new_hook_replaces_the_container_and_runs_around_its_life(outside: Outside) -> None:
    with_hooks(outside)
    assert run(outside, workflows.REFRESH).error is None
    assert queue_calls(outside)[:4] == ["pre_stop", "engine.stop", "engine.start", "post_start"]
    executed = [c.words for c in outside.faults.calls if c.name == "engine.execute"]
    by_command = {words[2]: words[3:] for words in executed}
    assert by_command[START.command] == ("root",)
    assert by_command[STOP.command] == ("", True, "/srv", {"A": "b"})


def test_unchanged_hooks_do_not_run_again(outside: Outside) -> None:
    with_hooks(outside)
    run(outside, workflows.REFRESH)
    outside.faults.calls.clear()
    assert run(outside, workflows.REFRESH).error is None
    assert queue_calls(outside) == []


def test_a_hook_that_fails_after_the_start_fails_the_run_until_it_succeeds(
    outside: Outside,
) -> None:
    with_hooks(outside, code=1)
    for _ in range(2):
        result = run(outside, workflows.REFRESH)
        assert isinstance(result.error, LabError)
        assert "the post_start hook touch /ready of queue ended with exit code 1" in str(
            result.error
        )
        assert "no space" in result.error.output
    engine = outside.machines["broker"].engine
    assert engine.by_name("small-queue-1").state == "exited"
    engine.executes[START.command] = lambda _: Completed(0, "", "")
    assert run(outside, workflows.REFRESH).error is None
    assert engine.by_name("small-queue-1").state == "running"


def test_a_hook_that_fails_before_the_stop_leaves_the_container_running(outside: Outside) -> None:
    with_hooks(outside)
    engine = outside.machines["broker"].engine
    engine.executes[STOP.command] = lambda _: Completed(3, "still busy\n", "")
    result = run(outside, workflows.REFRESH)
    assert "the pre_stop hook /bye.sh of queue ended with exit code 3" in str(result.error)
    assert engine.by_name("small-queue-1").state == "running"


@pytest.mark.parametrize("state", ["exited", "paused"])
def test_no_hook_runs_in_a_container_that_cannot_run_it(outside: Outside, state: str) -> None:
    with_hooks(outside)
    engine = outside.machines["broker"].engine
    engine.by_name("small-queue-1").state = state
    container = engine.container("small-queue-1")
    assert container is not None
    before_stop(engine, container, outside.lab)
    assert queue_calls(outside) == []


@pytest.mark.parametrize("workflow", [workflows.HALT, workflows.DOWN, workflows.DESTROY])
def test_hooks_run_before_a_lab_ends(outside: Outside, workflow: Workflow) -> None:
    with_hooks(outside)
    assert run(outside, workflow).error is None
    assert queue_calls(outside)[0] == "pre_stop"


def test_a_hook_that_fails_does_not_keep_machines_from_being_destroyed(outside: Outside) -> None:
    with_hooks(outside)
    engine = outside.machines["broker"].engine
    engine.executes[STOP.command] = lambda _: Completed(3, "still busy\n", "")
    result = run(outside, workflows.HALT)
    assert isinstance(result.error, LabError)
    assert outside.machines["broker"].state == "running"
    world = outside.world()
    assert run(outside, workflows.DESTROY, world=world).error is None
    assert not outside.machines
    assert "pre_stop hooks on broker did not all run: the pre_stop hook /bye.sh" in " ".join(
        world.facts.notes
    )


def test_a_machine_that_does_not_answer_is_destroyed_without_its_hooks(outside: Outside) -> None:
    with_hooks(outside)
    outside.machines["broker"].state = "stopped"
    assert run(outside, workflows.DESTROY).error is None
    assert not outside.machines
    assert queue_calls(outside) == []
