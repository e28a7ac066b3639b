"""Replicas are replaced one after another, each ready before the next goes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fakes import Behaviour, Outside, change_service, go, run, running, spread_over
from fakes.engine import Container

from hashlab.phases.containers import readiness
from hashlab.run import workflows


def story(outside: Outside) -> list[str]:
    """The ends and starts of the replicas of the site, and the looks at them."""
    told = []
    for call in outside.faults.calls:
        name = str(call.words[1]) if call.words[1:] else ""
        if call.name in ("engine.create", "engine.container") and name.startswith("small-site"):
            told.append(f"{'create' if call.name == 'engine.create' else 'look'} {name}")
    return told


def edited(outside: Outside, **changes: object) -> None:
    running(outside)
    outside.lab = change_service(outside.lab, "site", environment=(("GREETING", "hi"),), **changes)
    outside.faults.calls.clear()


def test_the_second_goes_when_the_first_is_ready(outside: Outside) -> None:
    edited(outside)
    go(outside, workflows.REFRESH)
    told = story(outside)
    first, second = told.index("create small-site-1"), told.index("create small-site-2")
    assert "look small-site-1" in told[first:second]


def test_all_of_them_go_at_once_if_the_file_says_so(outside: Outside) -> None:
    edited(outside, parallelism=0)
    go(outside, workflows.REFRESH)
    told = story(outside)
    first, second = told.index("create small-site-1"), told.index("create small-site-2")
    assert "look small-site-1" not in told[first:second]


def test_one_that_does_not_get_ready_leaves_the_others_as_they_were(
    outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    running(outside)
    before = outside.machines["web"].engine.by_name("small-site-2").id
    outside.lab = change_service(outside.lab, "site", environment=(("GREETING", "hi"),))
    outside.behaviours["site"] = Behaviour(exits=1)
    error = run(outside, workflows.REFRESH).error
    assert error is not None
    assert "service site: it ended with exit code 1" in error.what
    assert outside.machines["web"].engine.by_name("small-site-2").id == before


def test_replicas_on_several_machines_take_turns_too(
    outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "POLL_SECONDS", 0.001)
    site = next(service for service in outside.lab.services if service.name == "site")
    copies = [
        replace(site, name=f"site.{machine}", machine=machine, copy_of="site", replicas=1)
        for machine in ("web", "spare")
    ]
    others = [service for service in outside.lab.services if service.name != "site"]
    outside.lab = replace(outside.lab, services=(*others, *copies))
    running(outside)
    for name in ("site.web", "site.spare"):
        outside.lab = change_service(outside.lab, name, environment=(("GREETING", "hi"),))
    outside.faults.calls.clear()
    go(outside, workflows.REFRESH)
    told = story(outside)
    [one, two] = [place for place, what in enumerate(told) if what.startswith("create")]
    assert told[one].replace("create", "look") in told[one:two]


def test_when_one_fails_those_on_other_machines_stay_as_they_were(
    outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "POLL_SECONDS", 0.001)
    outside.lab = spread_over(outside.lab, "site", "web", "spare")
    running(outside)
    before = {
        name: outside.machines[name].engine.by_name(f"small-site.{name}-1").id
        for name in ("web", "spare")
    }
    for name in ("site.web", "site.spare"):
        outside.lab = change_service(outside.lab, name, environment=(("GREETING", "hi"),))
        outside.behaviours[name] = Behaviour(exits=1)
    assert run(outside, workflows.REFRESH).error is not None
    after = {
        name: outside.machines[name].engine.by_name(f"small-site.{name}-1").id
        for name in ("web", "spare")
    }
    assert len([name for name in before if before[name] == after[name]]) == 1


# Rollback


def broken(outside: Outside, monkeypatch: pytest.MonkeyPatch, *, always: bool = False) -> None:
    """The site's next build ends at once; with ``always`` so do all that start from now on."""
    engine = outside.machines["web"].engine
    sound = engine._behaviour

    def behaviour(container: Container) -> Behaviour:
        new = "GREETING=hi" in (container.body.get("Env") or [])
        return Behaviour(exits=1, log="no") if new or always else sound(container)

    monkeypatch.setattr(engine, "_behaviour", behaviour)


def test_a_replica_that_does_not_get_ready_gets_its_previous_build_back(
    outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside.lab = change_service(outside.lab, "site", rollback=True)
    running(outside)
    engine = outside.machines["web"].engine
    before = {n: engine.by_name(f"small-site-{n}") for n in (1, 2)}
    edited(outside)
    broken(outside, monkeypatch)
    result = run(outside, workflows.REFRESH)
    assert result.error is not None
    build = before[1].labels["hashlab.build"]
    assert f"small-site-1 runs its previous build {build} again" in result.error.what
    assert "no" in result.error.output
    after = engine.by_name("small-site-1")
    assert (after.state, after.labels) == ("running", before[1].labels)
    assert after.networks == before[1].networks
    assert engine.by_name("small-site-2") is before[2]


def test_it_sees_the_files_that_it_had_and_not_those_of_the_upload(
    outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside.lab = change_service(outside.lab, "site", rollback=True)
    running(outside)
    machine = outside.machines["web"]
    had = machine.mounted(machine.engine.by_name("small-site-1"), "/etc/site.conf")
    edited(outside)
    broken(outside, monkeypatch)
    for text in ("workers 2\n", "workers 3\n"):
        # The second time, the container that was put back is put back again.
        (outside.lab.folder / "conf/site.conf").write_text(text)
        assert run(outside, workflows.REFRESH).error is not None
        put_back = machine.engine.by_name("small-site-1")
        assert machine.mounted(put_back, "/etc/site.conf") == had


def test_the_next_build_that_gets_ready_takes_its_place(
    outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside.lab = change_service(outside.lab, "site", rollback=True)
    running(outside)
    edited(outside)
    broken(outside, monkeypatch)
    assert run(outside, workflows.REFRESH).error is not None
    outside.lab = change_service(outside.lab, "site", environment=(("GREETING", "salve"),))
    go(outside, workflows.REFRESH)
    container = outside.machines["web"].engine.by_name("small-site-1")
    assert "GREETING=salve" in container.body["Env"]
    sources = [mount.get("Source", "") for mount in container.body["HostConfig"]["Mounts"]]
    assert not any("previous" in source for source in sources)


def test_a_single_replica_is_taken_back_too(
    outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside.lab = change_service(outside.lab, "site", rollback=True, replicas=1, parallelism=0)
    running(outside)
    edited(outside)
    broken(outside, monkeypatch)
    assert "runs its previous build" in str(run(outside, workflows.REFRESH).error)


def test_a_previous_build_that_does_not_get_ready_either_is_said(
    outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside.lab = change_service(outside.lab, "site", rollback=True)
    running(outside)
    edited(outside)
    broken(outside, monkeypatch, always=True)
    assert "its previous build did not get ready either" in str(
        run(outside, workflows.REFRESH).error
    )


def test_a_service_that_does_not_ask_for_it_is_not_taken_back(
    outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    running(outside)
    edited(outside)
    broken(outside, monkeypatch)
    error = run(outside, workflows.REFRESH).error
    assert error is not None
    assert "previous" not in error.what
    assert "shell.keep_files" not in outside.faults.names()
