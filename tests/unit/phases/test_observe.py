"""Phases stores and observe: stores run where the lab asks for them, and nowhere else."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import Outside, go, register_box, rows, run, running
from fakes.engine import OwnFile

from hashlab.config.model import Observe
from hashlab.documents.alerts import Alert
from hashlab.errors import LabError, LaptopError
from hashlab.phases import stores
from hashlab.phases.alerts import write_alerts
from hashlab.phases.observe import (
    firing_alerts,
    save_observed,
    settings_of,
    sign_in,
    store_notes,
    store_urls,
)
from hashlab.phases.stores import PROGRAMS, source_of_store
from hashlab.protocols import Observation, StoreAddress, StoreState
from hashlab.run import workflows

ADDRESS = StoreAddress(9428, "hashlab", "secret")
LOGS = PROGRAMS["logs"]


def observed(outside: Outside) -> Outside:
    """Return a lab that asks for a log store, on a laptop that has the program."""
    outside.lab = replace(outside.lab, observe=Observe(logs=True))
    program(outside, "victoria-logs")
    settle(outside)
    return outside


def settle(outside: Outside) -> None:
    """Let the process say that it was started as the lab asks for it."""
    outside.observer.next = Observation(
        settings_of(outside.world()), {"logs": StoreState(ADDRESS)}, {}
    )


def program(outside: Outside, name: str) -> Path:
    path = outside.root / "bin" / name
    path.write_text("#!/bin/false\n")
    path.chmod(0o755)
    return path


def test_a_lab_that_does_not_ask_for_it_has_no_row_of_it(outside: Outside) -> None:
    register_box(outside)
    result = go(outside, workflows.DEV, workflows.REFRESH)
    assert [row.name for row in result.rows if row.name in ("observe", "stores")] == []


@pytest.mark.parametrize("where", ["file", "dev"])
def test_dev_starts_the_store_and_a_refresh_leaves_it_alone(outside: Outside, where: str) -> None:
    register_box(observed(outside))
    if where == "dev":
        outside.lab = replace(outside.lab, observe=Observe())
        save_observed(outside.world(), ("logs",))
    [row] = rows(go(outside, workflows.DEV), "observe")
    assert (row.status, row.detail) == ("ok", ADDRESS.page("logs"))
    [row] = rows(go(outside, workflows.REFRESH), "observe")
    assert (row.status, row.detail) == ("skipped", "runs already")


def test_both_stores_are_started_and_shown(outside: Outside) -> None:
    register_box(observed(outside))
    outside.lab = replace(outside.lab, observe=Observe(logs=True, metrics=True))
    program(outside, "victoria-metrics")
    metrics = StoreAddress(8428, "hashlab", "secret")
    both = {"logs": StoreState(ADDRESS), "metrics": StoreState(metrics)}
    outside.observer.next = Observation(settings_of(outside.world()), both, {})
    [row] = rows(go(outside, workflows.DEV), "observe")
    pages = {"logs": ADDRESS.page("logs"), "metrics": "http://127.0.0.1:8428/"}
    assert row.detail == ", ".join(pages.values())
    assert store_urls(outside.world()) == pages
    [row] = rows(go(outside, workflows.REFRESH), "stores")
    assert row.detail.endswith("victoria-metrics are there")


def test_only_the_process_of_a_metrics_store_depends_on_the_services(outside: Outside) -> None:
    world = observed(outside).world()
    before = settings_of(world)
    assert "replicas" not in before
    outside.lab = replace(outside.lab, observe=Observe(metrics=True))
    before = settings_of(outside.world())
    services = [replace(each, replicas=7) for each in outside.lab.services]
    outside.lab = replace(outside.lab, services=tuple(services))
    assert settings_of(outside.world()) != before


def test_a_wrong_label_is_a_note_of_a_lab_with_metrics(outside: Outside) -> None:
    labels = (("prometheus.io/port", "http"),)
    services = [replace(each, labels=labels) for each in outside.lab.services[:1]]
    outside.lab = replace(outside.lab, services=tuple(services))
    assert store_notes(outside.world(), []) == []
    outside.lab = replace(outside.lab, observe=Observe(logs=True, metrics=True))
    [note] = store_notes(outside.world(), [])
    assert "'http' in its label prometheus.io/port" in note
    [note, _] = store_notes(outside.world(), ["web"])
    assert note == "the log store and the metrics store do not run. Next: hashlab refresh"


def test_alerts_fire_only_while_their_rules_are_evaluated(outside: Outside) -> None:
    alert = Alert("ServiceDown", 5.0, "web", "site", 1, "site 1 on web does not run")
    world = observed(outside).world()
    write_alerts(world.state.observe, [alert])
    assert firing_alerts(world) == ()
    outside.observer.seen = outside.observer.next
    assert firing_alerts(world) == (alert,)


def test_what_dev_turned_on_stays_on_until_the_lab_is_destroyed(outside: Outside) -> None:
    program(outside, "victoria-logs")
    world = outside.world()
    save_observed(world, ("logs",))
    save_observed(world, ())
    assert world.observed
    go(running(outside), workflows.DESTROY)
    assert not outside.world().observed


@pytest.mark.parametrize("change", ["days", "address", "code"])
def test_a_process_with_other_settings_is_started_again(outside: Outside, change: str) -> None:
    running(observed(outside))
    if change == "days":
        outside.lab = replace(outside.lab, observe=Observe(logs=True, days=3))
    elif change == "address":
        outside.observer.seen = replace(outside.observer.next, stores={})
    else:
        outside.observer.seen = replace(outside.observer.next, settings="older")
    settle(outside)
    [row] = rows(go(outside, workflows.REFRESH), "observe")
    assert row.status == "ok"
    assert outside.observer.seen == outside.observer.next


def test_a_lab_that_asks_for_it_no_more_ends_the_process_but_keeps_the_lines(
    outside: Outside,
) -> None:
    running(observed(outside))
    (outside.state.observe / "store").mkdir(parents=True)
    outside.lab = replace(outside.lab, observe=Observe())
    result = go(outside, workflows.REFRESH)
    assert rows(result, "stores") == []
    assert rows(result, "observe")[0].detail.startswith("ended")
    assert outside.observer.seen is None
    assert (outside.state.observe / "store").is_dir()


@pytest.mark.parametrize("keep", [True, False])
def test_destroy_removes_the_lines_unless_they_are_to_be_kept(outside: Outside, keep: bool) -> None:
    running(observed(outside))
    (outside.state.observe / "store").mkdir(parents=True)
    save_observed(outside.world(), ("logs",))
    go(outside, workflows.destroying(keep_observed=keep))
    assert outside.observer.seen is None
    assert outside.state.observe.exists() == keep
    assert outside.state.observed.exists() == keep


def test_a_store_that_does_not_start_fails_the_run_and_nothing_else(outside: Outside) -> None:
    register_box(observed(outside))
    outside.faults.arm("observer.start", LaptopError("the log store does not start: no"))
    result = run(outside, workflows.DEV)
    assert str(result.error).startswith("the log store does not start")
    assert rows(result, "verify")[0].status == "ok"


def test_status_shows_the_stores_page_and_what_is_missing_in_it(outside: Outside) -> None:
    world = observed(outside).world()
    assert (store_urls(world), store_notes(world, ["web"])) == (
        {},
        ["the log store does not run. Next: hashlab refresh"],
    )
    assert store_notes(world, []) == []
    outside.observer.seen = Observation("", {"logs": StoreState(None, "the disk is full")}, {})
    assert store_notes(world, []) == ["the log store does not answer: the disk is full"]
    away = {"web": "Connection refused", "db": "", "broker": "the machine is not up yet"}
    outside.observer.seen = Observation("", {"logs": StoreState(ADDRESS)}, away)
    assert store_urls(world) == {"logs": "http://127.0.0.1:9428/select/vmui/"}
    assert store_notes(world, ["web", "db"]) == [
        "new logs of machine web are not stored: Connection refused"
    ]
    assert sign_in(world) == f"user hashlab, password in {outside.state.observe}/password"


def test_go_builds_the_program_once_for_all_labs(outside: Outside) -> None:
    outside.lab = replace(outside.lab, observe=Observe(logs=True))
    outside.environ["XDG_CACHE_HOME"] = str(outside.root / "cache")
    program(outside, "go")
    settle(outside)

    def build(words: object) -> None:
        folder = Path(outside.runner.ran[-1].env["GOBIN"])
        (folder / "victoria-logs").write_text("built")
        (folder / "victoria-logs").chmod(0o755)

    outside.runner.prepare("go", "install", effect=build)
    register_box(outside)
    assert source_of_store(LOGS, outside.environ).startswith(
        f"VictoriaLogs {LOGS.version} is built by Go"
    )
    [row] = rows(go(outside, workflows.DEV), "stores")
    assert row.detail == f"VictoriaLogs {LOGS.version} built by Go"
    [ran] = [ran for ran in outside.runner.ran if ran.command[0] == "go"]
    assert ran.command[-1] == LOGS.module
    assert ran.users
    made = outside.root / "cache/hashlab" / f"victoria-logs-{LOGS.version}"
    assert made.read_text() == "built"
    assert [path.name for path in made.parent.iterdir()] == [made.name]
    assert rows(go(outside, workflows.DEV), "stores")[0].status == "skipped"


def test_a_build_that_fails_is_shown_and_leaves_nothing(outside: Outside) -> None:
    outside.environ["XDG_CACHE_HOME"] = str(outside.root / "cache")
    outside.lab = replace(outside.lab, observe=Observe(logs=True))
    program(outside, "go")
    outside.runner.prepare("go", code=1, stderr="go: requires go >= 1.26.5\n")
    register_box(outside)
    error = run(outside, workflows.DEV).error
    assert isinstance(error, LabError)
    assert "requires go >= 1.26.5" in str(error)
    assert list((outside.root / "cache/hashlab").iterdir()) == []


def test_without_go_the_program_comes_from_its_image(
    outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores.sys, "platform", "linux")
    outside.environ["XDG_CACHE_HOME"] = str(outside.root / "cache")
    outside.lab = replace(outside.lab, observe=Observe(logs=True))
    outside.laptop.registry.add(LOGS.image)
    outside.laptop.contents[LOGS.image] = {LOGS.in_image: OwnFile(b"program", 0o755)}
    register_box(outside)
    settle(outside)
    [row] = rows(go(outside, workflows.DEV), "stores")
    assert row.detail == f"copied from the image {LOGS.image}"
    made = outside.root / "cache/hashlab" / f"victoria-logs-{LOGS.version}"
    assert made.read_bytes() == b"program"
    assert made.stat().st_mode & 0o777 == 0o755
    assert not outside.laptop.all


@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_without_any_source_the_message_says_what_to_install(
    outside: Outside, monkeypatch: pytest.MonkeyPatch, platform: str
) -> None:
    monkeypatch.setattr(stores.sys, "platform", platform)
    outside.environ["XDG_CACHE_HOME"] = str(outside.root / "cache")
    outside.lab = replace(outside.lab, observe=Observe(logs=True))
    register_box(outside)
    error = run(outside, workflows.DEV).error
    assert "VictoriaLogs" in str(error)
    assert "install Go, or put the program victoria-logs" in str(error)
    assert bool(source_of_store(LOGS, outside.environ)) == (platform == "linux")


def test_the_settings_name_what_the_process_was_started_with(outside: Outside) -> None:
    settings = json.loads(settings_of(outside.world()))
    assert settings["machines"] == outside.world().machine_names()
    assert (settings["days"], settings["disk"]) == (7, 2 << 30)
