"""A service with an attached debugger: a run leaves its process alone, and says so."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from fakes import Outside, change_service, go, rows, run, running
from fakes.engine import Behaviour, Container

from hashlab.config.model import Debugger, Reload
from hashlab.pipeline import RunResult
from hashlab.run import workflows

LEFT = "left: a debugger is attached"


@pytest.fixture
def lab(outside: Outside) -> Outside:
    """A running lab with a debugger attached to the service site."""
    debugger = Debugger("jdwp", 5005, outside.lab.folder / "src")
    outside.lab = change_service(outside.lab, "site", debugger=debugger, replicas=1)
    running(outside)
    attach(outside)
    return outside


def attach(outside: Outside) -> None:
    outside.machines["web"].debuggers["small-site-1", 5005] = "attached"


def edit(outside: Outside, text: str) -> None:
    (outside.lab.folder / "src/main.txt").write_text(text)


def site(outside: Outside) -> Container:
    return outside.machines["web"].engine.by_name("small-site-1")


def told(result: RunResult) -> str:
    return next(row.detail for row in rows(result, "container") if row.service == "site")


def refresh(outside: Outside) -> tuple[RunResult, list[str]]:
    world = outside.world()
    outside.faults.calls.clear()
    return run(outside, workflows.REFRESH, world), world.facts.notes


def test_an_edit_does_not_end_the_session_and_is_not_called_done(lab: Outside) -> None:
    before = site(lab)
    edit(lab, "source 2\n")
    result, notes = refresh(lab)
    assert site(lab) is before
    assert told(result) == LEFT
    assert any("site was left as it is" in note for note in notes)
    assert not {"engine.create", "engine.stop", "engine.remove"} & set(lab.faults.names())
    assert result.error is not None
    assert "hashlab restart site" in result.error.next_step
    assert "site on web" in result.error.what


def test_what_needs_no_new_process_is_done_and_nothing_is_said(lab: Outside) -> None:
    result, notes = refresh(lab)
    assert result.error is None
    assert notes == []


def test_after_it_was_detached_the_next_refresh_replaces_it(lab: Outside) -> None:
    edit(lab, "source 2\n")
    refresh(lab)
    lab.machines["web"].debuggers["small-site-1", 5005] = "listening"
    result, _ = refresh(lab)
    assert result.error is None
    assert told(result).startswith("replaced")


def test_a_restart_that_names_it_replaces_it(lab: Outside) -> None:
    edit(lab, "source 2\n")
    before = site(lab)
    go(lab, workflows.stopping(["site"]), workflows.REFRESH)
    assert site(lab) is not before


def test_a_process_that_a_breakpoint_halts_is_not_replaced(lab: Outside) -> None:
    lab.behaviours["site"] = Behaviour(health=("unhealthy",))
    result, notes = refresh(lab)
    assert "engine.create" not in lab.faults.names()
    assert any("site was left as it is" in note for note in notes)
    assert result.error is not None, "it does not serve, and that is not success"
    assert "site on web: it is unhealthy" in result.error.what


def test_other_services_are_replaced_as_usual(lab: Outside) -> None:
    (lab.lab.folder / "queue/queue.conf").write_text("other\n")
    queue = lab.machines["broker"].engine.by_name("small-queue-1")
    edit(lab, "source 2\n")
    refresh(lab)
    assert lab.machines["broker"].engine.by_name("small-queue-1") is not queue


def test_what_was_reloaded_is_noted_as_not_proved_while_it_is_attached(outside: Outside) -> None:
    debugger = Debugger("jdwp", 5005, outside.lab.folder / "src")
    outside.lab = change_service(outside.lab, "site", debugger=debugger, replicas=1)
    reload = Reload("site", ("swap",), (outside.lab.folder / "out/app",))
    outside.lab = replace(outside.lab, reloads=(reload,))
    outside.runner.prepare("swap", "swap", stdout=json.dumps({"taken": True}))
    outside.runner.prepare("swap", "prove", stdout=json.dumps({"stale": {}}))
    running(outside)
    edit(outside, "source 2\n")
    assert told(refresh(outside)[0]).startswith("reloaded")
    attach(outside)
    outside.runner.ran.clear()
    result, notes = refresh(outside)
    assert result.error is None
    assert any("is not proved while a debugger is attached" in note for note in notes)
    assert [ran for ran in outside.runner.ran if ran.command == ("swap", "prove")] == []
    edit(outside, "source 3\n")
    assert told(refresh(outside)[0]) == LEFT
    outside.machines["web"].debuggers.clear()
    assert told(refresh(outside)[0]).startswith("reloaded"), "it still takes files in"
