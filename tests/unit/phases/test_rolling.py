"""Replicas are replaced one after another, each ready before the next goes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fakes import Behaviour, Outside, change_service, go, run, running

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
