"""Names: a run is not ok before every name leads to its service, from every machine."""

from __future__ import annotations

import pytest
from fakes import Outside, change_service, go, rows, run, running, track_of

from hashlab.phases import names
from hashlab.phases.names import parse_answers
from hashlab.phases.status import status_document
from hashlab.run import workflows


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "POLL_SECONDS", 0.001)
    monkeypatch.setattr(names, "FIRST_POLL_SECONDS", 0.001)


def test_each_name_is_asked_for_on_each_machine_that_runs_a_service(outside: Outside) -> None:
    result = go(running(outside), workflows.REFRESH)
    assert rows(result, "names")[0].detail == "2 names on 3 machines"
    asked = [call for call in outside.faults.calls if call.name == "shell.ask_names"]
    assert sorted(str(call.words[0]) for call in asked) == ["broker", "web"]
    assert {name for call in asked for name in ("queue", "site") if name in call.words} == {
        "queue",
        "site",
    }


@pytest.mark.parametrize("workflow", [workflows.REFRESH, workflows.DEV, workflows.VERIFY])
def test_names_that_are_not_back_yet_are_waited_for(
    outside: Outside, workflow: tuple[object, ...]
) -> None:
    running(outside).machines["broker"].engine.unheard = 5
    go(outside, workflow)  # type: ignore[arg-type]
    assert outside.machines["broker"].engine.unheard == 0


@pytest.mark.parametrize("workflow", [workflows.REFRESH, workflows.DEV, workflows.VERIFY])
def test_names_that_do_not_come_back_fail_the_run(
    outside: Outside, monkeypatch: pytest.MonkeyPatch, workflow: tuple[object, ...]
) -> None:
    running(outside).machines["broker"].engine.unheard = 10**6
    monkeypatch.setattr(names, "WAIT_SECONDS", 0.01)
    result = run(outside, workflow)  # type: ignore[arg-type]
    assert "after 0.01 s, broker does not find site" in str(result.error)
    assert "hashlab ssh MACHINE" in str(result.error)


def test_a_name_that_leads_to_a_dead_container_as_well_is_wrong(
    outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One request in three would be lost."""
    running(outside)
    monkeypatch.setattr(names, "WAIT_SECONDS", 0.01)
    engine = outside.machines["web"].engine
    monkeypatch.setattr(engine, "addresses_of", lambda name, asker: ["10.0.1.250"])
    result = run(outside, workflows.REFRESH)
    assert "web finds queue at 10.0.1.250" in str(result.error)


def test_a_service_of_no_running_container_has_no_name(outside: Outside) -> None:
    outside.lab = change_service(outside.lab, "site", replicas=0)
    result = go(running(outside), workflows.REFRESH)
    assert rows(result, "names")[0].detail == "1 names on 3 machines"


def test_a_replica_whose_place_a_laptop_takes_keeps_its_name(outside: Outside) -> None:
    outside.lab = change_service(outside.lab, "site", replicas=2)
    machine = running(outside).machines["web"]
    machine.engine.stop("small-site-1", timeout=1)
    machine.intercepts["site"] = "small-site-1:anna@laptop 1795956868"
    result = go(outside, workflows.REFRESH)
    assert rows(result, "names")[0].status == "ok"
    machine.intercepts["site"] = ":anna@laptop 1795956868"
    machine.engine.stop("small-site-2", timeout=1)
    assert rows(go(outside, workflows.REFRESH), "names")[0].status == "ok"


def test_status_says_whose_name_is_lost(outside: Outside) -> None:
    running(outside).machines["broker"].engine.unheard = 10**6
    with track_of() as track:
        document = status_document(outside.world(), track)
    assert not document.all_runs
    problems = {service.name: service.problem for service in document.services}
    assert problems["site"] == "broker does not find site"


def test_only_the_first_line_of_a_name_has_it() -> None:
    said = "10.0.1.2 STREAM site\n10.0.1.2 DGRAM \n10.0.1.3 STREAM \n10.0.1.4 STREAM queue\n"
    assert parse_answers(said) == {
        "site": frozenset({"10.0.1.2", "10.0.1.3"}),
        "queue": frozenset({"10.0.1.4"}),
    }
