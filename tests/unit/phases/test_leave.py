"""A machine that hashlab.toml no longer has keeps its data on the laptop, and goes; others stay."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fakes import Outside, behind_front, go, rows, run, running, spread_over, track_of

from hashlab.phases.containers import fronts
from hashlab.phases.kept_data import load_kept
from hashlab.phases.status import status_document
from hashlab.run import workflows


def drop(outside: Outside, name: str) -> None:
    machines = tuple(machine for machine in outside.lab.machines if machine.name != name)
    services = tuple(s for s in outside.lab.services if s.machine != name)
    outside.lab = replace(outside.lab, machines=machines, services=services)
    outside.faults.calls.clear()


@pytest.fixture
def fronted(outside: Outside, monkeypatch: pytest.MonkeyPatch) -> Outside:
    monkeypatch.setattr(fronts, "POLL_SECONDS", 0.001)
    outside.lab = behind_front(spread_over(outside.lab, "site", "web", "spare"), "site", "broker")
    return running(outside)


def test_dev_removes_a_machine_that_left_and_leaves_the_others_alone(fronted: Outside) -> None:
    others = {name: one for name, one in fronted.machines.items() if name != "spare"}
    drop(fronted, "spare")
    result = go(fronted, workflows.DEV)
    assert fronted.machines == others
    assert rows(result, "leave")[0].detail == "spare removed"
    assert "engine.create" not in fronted.faults.names()
    assert not rows(go(fronted, workflows.DEV), "leave")


def test_its_replica_is_drained_before_it_stops(fronted: Outside) -> None:
    drop(fronted, "spare")
    go(fronted, workflows.DEV)
    calls = [
        (call.name, call.words[0])
        for call in fronted.faults.calls
        if (call.name == "shell.front" and "drain" in str(call.words[7]))
        or (call.name in ("engine.stop", "discard_machine", "provider.discard_machine"))
    ]
    assert calls[0] == ("shell.front", "broker")
    assert calls[1] == ("engine.stop", "spare")


def test_the_data_of_its_volumes_is_kept_and_named(fronted: Outside) -> None:
    fronted.machines["spare"].engine.create_volume("small_cache", {"hashlab.lab": fronted.lab.id})
    fronted.machines["spare"].data["small_cache"] = "warm"
    drop(fronted, "spare")
    world = fronted.world()
    assert run(fronted, workflows.DEV, world).error is None
    kept = load_kept(fronted.state, "spare")
    assert kept is not None
    assert kept.volumes == ("small_cache",)
    assert any("The data of small_cache is in" in note for note in world.facts.notes)


def test_a_machine_that_does_not_answer_stays_with_its_data(fronted: Outside) -> None:
    fronted.machines["spare"].state = "stopped"
    drop(fronted, "spare")
    world = fronted.world()
    assert run(fronted, workflows.DEV, world).error is None
    assert "spare" in fronted.machines
    assert any(
        "machine spare is no longer in hashlab.toml, and stays" in n for n in world.facts.notes
    )


def test_a_machine_that_is_gone_already_is_forgotten(fronted: Outside) -> None:
    del fronted.machines["spare"]
    drop(fronted, "spare")
    assert rows(go(fronted, workflows.DEV), "leave")[0].detail == "spare removed"


def test_refresh_says_that_dev_removes_it_and_waits_for_no_names(fronted: Outside) -> None:
    drop(fronted, "spare")
    result = run(fronted, workflows.REFRESH)
    assert "spare: no longer in hashlab.toml" in str(result.error)
    assert "hashlab dev" in str(result.error)
    assert rows(result, "names")[0].status == "not-reached"


def test_status_names_it(fronted: Outside) -> None:
    drop(fronted, "spare")
    with track_of() as track:
        document = status_document(fronted.world(), track)
    assert "machine spare is no longer in hashlab.toml; hashlab dev removes it" in document.notes


def test_a_machine_that_is_added_joins_and_leaves_the_others_alone(outside: Outside) -> None:
    lab = spread_over(outside.lab, "site", "web", "spare")
    outside.lab = lab
    drop(outside, "spare")
    running(outside)
    before = dict(outside.machines)
    outside.lab = lab
    go(outside, workflows.DEV)
    assert {name: outside.machines[name] for name in before} == before
    created = [call.words[0] for call in outside.faults.calls if call.name == "engine.create"]
    assert set(created) == {"spare"}
