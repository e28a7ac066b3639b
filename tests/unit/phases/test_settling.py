"""What a Swarm's answers say about one service."""

from __future__ import annotations

import pytest

from hashlab.phases.deploy.settling import Verdict, judge
from hashlab.phases.deploy.wanted import VERSION
from hashlab.protocols import SwarmService, SwarmTask


def service(update: str = "", *, version: str = "2") -> SwarmService:
    return SwarmService("id", "web", {VERSION: version}, "image", 2, update, "the Swarm's words")


def task(state: str, wanted: str = "running", *, version: str = "2", error: str = "") -> SwarmTask:
    return SwarmTask("t", "id", "node", {VERSION: version}, state, wanted, error, at="1")


NEW, OLD = task("running"), task("running", version="1")
STARTING, FAILED = task("starting"), task("failed", "shutdown", error="exit (1)")
NEXT = task("assigned", "ready")
DONE = task("complete", "shutdown")
LONELY = task("pending", error="no suitable node")


def verdict(found: SwarmService | None, *tasks: SwarmTask, ends: bool = False) -> Verdict:
    return judge(found, tasks, "2", replicas=2, ends=ends)


@pytest.mark.parametrize(
    ("update", "tasks", "state", "text"),
    [
        ("", (NEW, NEW), "settled", "2 running"),
        ("completed", (NEW, NEW), "settled", "2 running"),
        ("", (NEW, NEW, task("shutdown", "shutdown", version="1")), "settled", "2 running"),
        ("", (NEW, NEW, OLD), "waiting", "watched"),
        ("updating", (NEW, NEW), "waiting", "watched by the Swarm"),
        ("", (OLD, OLD), "waiting", "0 of 2 running"),
        ("updating", (NEW, STARTING, OLD), "waiting", "1 of 2 running, 1 starting"),
        ("", (NEW, NEXT, FAILED), "waiting", "exit (1)"),
        ("", (LONELY, LONELY), "waiting", "2 pending, no suitable node"),
        ("", (FAILED,), "failed", "exit (1)"),
        ("updating", (FAILED, OLD), "waiting", "exit (1)"),
        ("rollback_started", (FAILED, OLD), "waiting", "rolling back"),
        ("rollback_completed", (FAILED, OLD), "rolled back", "exit (1)"),
        ("rollback_completed", (OLD,), "rolled back", "the Swarm's words"),
        ("rollback_paused", (FAILED,), "failed", "exit (1)"),
        ("paused", (), "failed", "the Swarm's words"),
    ],
)
def test_a_service_is_judged_by_its_update_and_the_tasks_of_this_version(
    update: str, tasks: tuple[SwarmTask, ...], state: str, text: str
) -> None:
    found = verdict(service(update), *tasks)
    assert found.state == state
    assert text in found.text


def test_a_job_is_settled_when_it_has_completed() -> None:
    assert verdict(service(), DONE, DONE, ends=True) == Verdict("settled", "completed")
    assert verdict(service(), DONE, DONE).state == "waiting"


def test_a_service_that_others_changed_or_removed_fails() -> None:
    assert "somebody removed" in verdict(None).text
    found = verdict(service(version="3"), NEW, NEW)
    assert (found.state, found.text) == ("failed", "somebody else deployed another version")


def test_each_ready_container_counts_as_progress() -> None:
    assert verdict(service("updating"), NEW, OLD).done == 1
