"""Snapshots on fakes: taken, listed, restored, refused by name, and never half."""

from __future__ import annotations

import json
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest
from fakes import Outside, change_service, go, register_box, rows, run, running, track_of
from fakes.faults import When
from fakes.snapshots import CUT_OFF

from hashlab.documents import to_json
from hashlab.errors import ExitCode, HashlabError, LaptopError
from hashlab.phases.snapshots.listing import snapshots_document
from hashlab.phases.snapshots.manifests import saved
from hashlab.run import workflows

VOLUME = "small_data"
CHECKED = ("connect", "proof", "verify")


def taken(outside: Outside, name: str = "first") -> None:
    """A running lab with data on the broker, kept."""
    if not outside.machines:
        running(outside)
    outside.machines["broker"].data[VOLUME] = "orders"
    go(outside, workflows.snapshot(name))


def staying(outside: Outside) -> None:
    """A lab with a snapshot, whose machines are still those of it, and later data."""
    taken(outside)
    outside.provider.snapshots.stay = True
    outside.machines["broker"].data[VOLUME] = "later orders"


def refused(outside: Outside, workflow: Any) -> HashlabError:
    """The error of a run that must change nothing."""
    outside.faults.calls.clear()
    machines = dict(outside.machines)
    error = run(outside, workflow).error
    assert error is not None
    assert outside.machines == machines
    assert "engine.create" not in outside.faults.names()
    return error


def document(outside: Outside) -> dict[str, Any]:
    told: dict[str, Any] = to_json(snapshots_document(outside.world()))
    return told


def containers(outside: Outside) -> dict[str, str]:
    """Container ids by name: another id means that it was made anew."""
    return {
        container.name: container.id
        for machine in outside.machines.values()
        for container in machine.engine.all.values()
    }


def test_a_snapshot_is_listed_with_its_machines_and_size(outside: Outside) -> None:
    taken(outside)
    [listed] = document(outside)["snapshots"]
    assert listed["taken"].endswith("Z")
    del listed["taken"]
    machines = ["broker", "web", "spare"]
    assert listed == {"name": "first", "bytes": 1_000_000, "machines": machines, "note": ""}


def test_taking_a_snapshot_tells_how_long_the_machines_stood_still(outside: Outside) -> None:
    running(outside)
    result = go(outside, workflows.snapshot("first"))
    assert rows(result, "take")[0].detail == "3 machines, 1 MB, they were paused for 0.5 s"


@pytest.mark.parametrize("name", ["", "UPPER", "a b", "-x", ".x", "a/b", "x" * 42, "ä"])
@pytest.mark.parametrize(
    "workflow",
    [workflows.snapshot, workflows.restore, workflows.dev_from, workflows.remove_snapshot],
)
def test_a_name_that_is_none_is_refused_with_what_is_allowed(
    outside: Outside, name: str, workflow: Any
) -> None:
    error = refused(outside, workflow(name))
    assert error.exit_code == ExitCode.CONFIG
    assert "use a-z" in error.next_step


@pytest.mark.parametrize("name", ["0", "before-upgrade", "v1.2_rc", "x" * 41])
def test_these_are_names(outside: Outside, name: str) -> None:
    taken(outside, name)
    assert saved(outside.state) == [name]


def test_a_name_is_given_once(outside: Outside) -> None:
    taken(outside)
    error = refused(outside, workflows.snapshot("first"))
    assert error.exit_code == ExitCode.CONFIG
    assert "hashlab snapshots prune first" in error.next_step


def test_no_snapshot_is_taken_of_a_machine_that_does_not_run(outside: Outside) -> None:
    running(outside)
    outside.machines["web"].state = "stopped"
    assert refused(outside, workflows.snapshot("first")).exit_code == ExitCode.LAB
    assert saved(outside.state) == []


def test_a_provider_without_snapshots_says_so(
    outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    running(outside)
    monkeypatch.setattr(outside.provider, "snapshots", None)
    error = refused(outside, workflows.snapshot("first"))
    assert isinstance(error, LaptopError)
    assert error.what == "provider docker has no snapshots"


@pytest.mark.parametrize("call", ["provider.take"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_snapshot_that_was_cut_off_is_none_and_can_be_taken_again(
    outside: Outside, call: str, when: When
) -> None:
    running(outside)
    outside.faults.arm(call, when=when)
    assert run(outside, workflows.snapshot("first")).error is not None
    assert saved(outside.state) == []
    if when == "after":
        [listed] = document(outside)["snapshots"]
        assert (listed["name"], listed["note"]) == ("first", "unfinished: it was never complete")
    go(outside, workflows.snapshot("first"))
    assert [one["note"] for one in document(outside)["snapshots"]] == [""]


def test_restore_brings_back_the_data_of_that_instant_and_keeps_the_snapshot(
    outside: Outside,
) -> None:
    taken(outside)
    for _ in range(2):
        outside.machines["broker"].data[VOLUME] = "later orders"
        result = go(outside, workflows.restore("first"))
        assert outside.machines["broker"].data[VOLUME] == "orders"
        assert all(rows(result, name)[0].status == "ok" for name in CHECKED)
    assert [one["note"] for one in document(outside)["snapshots"]] == [""]


def test_restore_never_calls_vagrant_and_loads_no_sample_data(outside: Outside) -> None:
    taken(outside)
    outside.vagrant_allowed = False
    result = go(outside, workflows.restore("first"))
    assert rows(result, "seed") == []
    assert "runner.seed.py" not in outside.faults.names()
    assert not outside.state.unverified.exists()


def test_restored_containers_start_again_and_keep_what_they_wrote(outside: Outside) -> None:
    taken(outside)
    before = containers(outside)
    result = go(outside, workflows.restore("first"))
    assert containers(outside) == before
    assert {row.detail.partition(":")[0] for row in rows(result, "container")} == {
        "started again",
        "unchanged",
    }
    web = outside.machines["web"].engine
    assert {one.state for one in web.all.values()} == {"running"}
    [endpoint] = web.by_name("small-site-1.sandbox").endpoints.values()
    assert endpoint["Aliases"] == ["site", "small-site-1"]


def test_what_had_completed_is_not_run_again(outside: Outside) -> None:
    taken(outside)
    go(outside, workflows.restore("first"))
    migrate = outside.machines["broker"].engine.by_name("small-migrate-1")
    assert (migrate.state, migrate.exit_code) == ("exited", 0)
    started = [call.words[1] for call in outside.faults.calls if call.name == "engine.start"]
    assert migrate.id not in started


def test_what_was_cut_off_in_its_work_is_run_again(outside: Outside) -> None:
    taken(outside)
    kept = outside.provider.snapshots.parts["first"]["broker"].engine.by_name("small-migrate-1")
    kept.state, kept.exit_code = "exited", CUT_OFF
    go(outside, workflows.restore("first"))
    migrate = outside.machines["broker"].engine.by_name("small-migrate-1")
    assert (migrate.state, migrate.exit_code) == ("exited", 0)


def test_a_second_restore_of_a_restored_lab_starts_containers_on_the_newest_network(
    outside: Outside,
) -> None:
    taken(outside)
    go(outside, workflows.restore("first"), workflows.snapshot("second"))
    go(outside, workflows.restore("second"), workflows.restore("first"))
    [cluster] = outside.clusters.values()
    [overlay] = cluster.overlays.values()
    for name in ("small-site-1", "small-site-2"):
        sandbox = outside.machines["web"].engine.by_name(f"{name}.sandbox")
        assert sandbox.networks == {"small_default": overlay.id}


@pytest.mark.parametrize("stay", [False, True])
def test_code_edited_since_then_runs_on_the_data_of_that_instant(
    outside: Outside, stay: bool
) -> None:
    staying(outside) if stay else taken(outside)
    (outside.lab.folder / "src/main.txt").write_text("source 2\n")
    result = go(outside, workflows.restore("first"))
    replaced = [row.service for row in rows(result, "container") if "replaced" in row.detail]
    assert replaced == ["site"]
    assert outside.machines["broker"].data[VOLUME] == "orders"


def test_after_a_restore_a_refresh_and_a_dev_change_nothing(outside: Outside) -> None:
    taken(outside)
    go(outside, workflows.restore("first"), workflows.REFRESH)
    assert outside.faults.changes() == []
    go(outside, workflows.DEV)
    assert outside.faults.changes() == []


def test_the_snapshots_secrets_win_over_the_laptops(outside: Outside) -> None:
    taken(outside)
    secret = outside.state.secrets / "password"
    then = secret.read_text()
    go(outside, workflows.DESTROY, workflows.DEV)
    assert secret.read_text() != then
    result = go(outside, workflows.restore("first"))
    assert secret.read_text() == then
    assert secret.stat().st_mode & 0o777 == 0o600
    assert rows(result, "secrets")[0].detail == "1 are those of the snapshot"
    assert {row.detail.partition(":")[0] for row in rows(result, "container")} == {
        "started again",
        "unchanged",
    }


def test_a_destroyed_lab_comes_back_from_a_snapshot(outside: Outside) -> None:
    taken(outside)
    result = go(outside, workflows.DESTROY)
    assert result.ok
    go(outside, workflows.dev_from("first"))
    assert outside.machines["broker"].data[VOLUME] == "orders"
    go(outside, workflows.DEV)
    assert outside.faults.changes() == []


def test_a_destroyed_lab_can_be_restored_as_well(outside: Outside) -> None:
    taken(outside)
    go(outside, workflows.DESTROY, workflows.restore("first"))
    assert outside.machines["broker"].data[VOLUME] == "orders"


def test_dev_from_a_snapshot_gives_up_no_machine(outside: Outside) -> None:
    taken(outside)
    outside.machines["broker"].data[VOLUME] = "later orders"
    error = refused(outside, workflows.dev_from("first"))
    assert error.exit_code == ExitCode.CONFIG
    assert "hashlab restore first" in error.next_step
    assert outside.machines["broker"].data[VOLUME] == "later orders"


def test_destroy_tells_that_snapshots_stay(outside: Outside) -> None:
    taken(outside)
    world = outside.world()
    for phase in workflows.destroying(box=True):
        with track_of() as track:
            phase.run(world, track, "")
    [note] = [note for note in world.facts.notes if "snapshots stay: first" in note]
    assert "still hold the lab's data and its secrets" in note
    assert saved(outside.state) == ["first"]


def test_destroy_tells_which_snapshots_went_with_their_machines(outside: Outside) -> None:
    taken(outside)
    taken(outside, "second")
    change_manifest(outside, provider="libvirt")
    outside.provider.snapshots.parts.clear()
    world = outside.world()
    for phase in workflows.DESTROY:
        with track_of() as track:
            phase.run(world, track, "")
    [note] = [note for note in world.facts.notes if "snapshots" in note]
    assert note.startswith("snapshots that went with their machines: second. ")


def test_a_dev_after_a_cut_off_restore_removes_no_machines_that_hold_the_snapshot(
    outside: Outside,
) -> None:
    taken(outside)
    outside.provider.snapshots.outlive_machines = False
    outside.faults.arm("provider.restore", when="after")
    assert run(outside, workflows.restore("first")).error is not None
    error = refused(outside, workflows.DEV)
    assert error.what.startswith("a restore of first was interrupted")
    assert error.next_step.startswith("hashlab restore first; ")
    go(outside, workflows.restore("first"))


def test_an_unknown_snapshot_is_refused_with_those_there_are(outside: Outside) -> None:
    taken(outside)
    error = refused(outside, workflows.restore("frist"))
    assert error.exit_code == ExitCode.CONFIG
    assert (error.what, error.next_step) == ("unknown snapshot 'frist'", "one of: first")


def change_manifest(outside: Outside, **changes: Any) -> None:
    path = outside.state.manifest("first")
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"lab_id": "other-123456"}, "foreign: it was taken of lab other-123456"),
        ({"provider": "libvirt"}, "foreign: it was taken on provider libvirt"),
        ({"machines": []}, "foreign: it holds the machines "),
        ({"machines": 7}, "broken: its manifest cannot be read"),
        ({"subnet": "nowhere"}, "broken: its manifest cannot be read"),
        ({"name": "second"}, "broken: its manifest cannot be read"),
    ],
)
@pytest.mark.parametrize("workflow", [workflows.restore, workflows.dev_from])
def test_a_foreign_or_broken_snapshot_is_refused_by_name_and_nothing_is_lost(
    outside: Outside, changes: dict[str, Any], told: str, workflow: Any
) -> None:
    taken(outside)
    change_manifest(outside, **changes)
    error = refused(outside, workflow("first"))
    assert error.exit_code == ExitCode.LAB
    assert error.what.startswith(f"snapshot first is {told}")
    assert document(outside)["snapshots"][0]["note"].startswith(told)


def test_a_manifest_that_is_no_json_is_a_broken_snapshot(outside: Outside) -> None:
    taken(outside)
    outside.state.manifest("first").write_text("{")
    error = refused(outside, workflows.restore("first"))
    assert error.what == "snapshot first is broken: its manifest cannot be read"


def test_a_snapshot_of_which_a_part_is_gone_is_refused(outside: Outside) -> None:
    taken(outside)
    del outside.provider.snapshots.parts["first"]["web"]
    error = refused(outside, workflows.restore("first"))
    assert error.what == "snapshot first is broken: volume web is gone"
    assert error.next_step == "hashlab snapshots prune first; the lab is as it was"


def test_a_spoilt_snapshot_is_refused_and_the_next_dev_finds_the_lab_as_it_was(
    outside: Outside,
) -> None:
    taken(outside)
    outside.provider.snapshots.spoilt.add("first")
    error = refused(outside, workflows.restore("first"))
    assert "snapshot first is broken" in error.what
    go(outside, workflows.DEV)
    assert outside.faults.changes() == []


def test_a_compile_error_refuses_a_restore_before_the_machines_go(outside: Outside) -> None:
    taken(outside)
    (outside.lab.folder / "src/main.txt").write_text("nonsense\n")
    outside.faults.arm("runner.make")
    refused(outside, workflows.restore("first"))


def test_a_machine_of_another_place_in_the_subnet_keeps_the_snapshots_address(
    outside: Outside,
) -> None:
    taken(outside)
    go(outside, workflows.DESTROY)
    machines = tuple(
        replace(m, address=IPv4Address("192.168.60.77")) if m.name == "web" else m
        for m in outside.lab.machines
    )
    outside.lab = replace(outside.lab, machines=machines)
    go(outside, workflows.dev_from("first"))
    assert outside.machines["web"].address == IPv4Address("192.168.60.6")


def test_a_subnet_that_is_taken_by_now_is_replaced_and_told(outside: Outside) -> None:
    taken(outside)
    go(outside, workflows.DESTROY)
    outside.provider.subnets_in_use = ["192.168.60.0/24"]
    go(outside, workflows.dev_from("first"))
    assert outside.network == IPv4Network("192.168.61.0/24")
    assert outside.machines["web"].address == IPv4Address("192.168.61.6")


def test_ports_that_are_taken_by_now_are_replaced(outside: Outside) -> None:
    taken(outside)
    ssh = outside.machines["web"].port
    go(outside, workflows.DESTROY)
    outside.ports_in_use |= {8080, ssh}
    go(outside, workflows.dev_from("first"))
    web = outside.machines["web"]
    assert web.forwarded[80] > 40000
    assert web.port > 40000


def test_ports_of_a_running_lab_stay_though_they_are_in_use(outside: Outside) -> None:
    taken(outside)
    web = outside.machines["web"]
    outside.ports_in_use |= {web.port, *web.forwarded.values()}
    go(outside, workflows.restore("first"))
    restored = outside.machines["web"]
    assert (restored.port, restored.forwarded) == (web.port, web.forwarded)


def test_a_service_that_moved_since_then_moves_after_the_restore(outside: Outside) -> None:
    taken(outside)
    outside.lab = change_service(outside.lab, "site", machine="spare")
    go(outside, workflows.restore("first"))
    assert not outside.machines["web"].engine.all
    assert outside.machines["spare"].engine.by_name("small-site-2").pid


# Machines that stay


def test_machines_that_stay_get_the_data_back_and_their_containers_start_again(
    outside: Outside,
) -> None:
    staying(outside)
    machines, before, clusters = dict(outside.machines), containers(outside), outside.clusters
    outside.faults.calls.clear()
    result = go(outside, workflows.restore("first"))
    assert outside.machines == machines
    assert containers(outside) == before
    assert outside.clusters == clusters
    assert outside.machines["broker"].data[VOLUME] == "orders"
    assert rows(result, "data")[0].status == "ok"
    assert {row.detail.partition(":")[0] for row in rows(result, "container")} == {
        "started again",
        "unchanged",
    }
    assert all(rows(result, name)[0].status == "ok" for name in CHECKED)
    assert rows(result, "network")[0].status == "skipped"
    called = outside.faults.names()
    assert not {"provider.adopt", "engine.connect", "engine.create"} & set(called)
    assert called.index("provider.put_back") < called.index("engine.start")
    go(outside, workflows.REFRESH, workflows.DEV)
    assert outside.machines["broker"].data[VOLUME] == "orders"


def test_data_that_came_with_new_machines_is_told_as_such(outside: Outside) -> None:
    taken(outside)
    [row] = rows(go(outside, workflows.restore("first")), "data")
    assert (row.status, row.detail) == ("skipped", "came with the machines")


@pytest.mark.parametrize("when", ["before", "after"])
def test_of_data_that_may_be_half_put_back_nothing_stays(outside: Outside, when: When) -> None:
    staying(outside)
    outside.faults.arm("provider.put_back", when=when)
    assert run(outside, workflows.restore("first")).error is not None
    assert outside.state.restoring.exists()
    machine = outside.machines["broker"]
    result = go(outside, workflows.restore("first"))
    assert rows(result, "data")[0].status == "skipped"
    assert outside.machines["broker"] is not machine
    assert outside.machines["broker"].data[VOLUME] == "orders"
    assert not outside.state.restoring.exists()


RESTORE_CALLS = [
    ("provider.restore", "before"),
    ("provider.restore", "after"),
    ("provider.adopt", "before"),
    ("engine.swarm_join", "before"),
    ("engine.disconnect", "before"),
    ("engine.disconnect", "after"),
    ("engine.connect", "before"),
    ("engine.connect", "after"),
    ("engine.start", "before"),
    ("engine.start", "after"),
    ("shell.observe", "before"),
    ("runner.verify.py", "before"),
]


@pytest.mark.parametrize(("call", "when"), RESTORE_CALLS)
def test_after_any_one_call_of_a_restore_failed_it_can_be_done_again(
    outside: Outside, call: str, when: When
) -> None:
    taken(outside)
    outside.machines["broker"].data[VOLUME] = "later orders"
    outside.faults.arm(call, when=when)
    assert run(outside, workflows.restore("first")).error is not None
    outside.faults.disarm()
    go(outside, workflows.restore("first"))
    assert outside.machines["broker"].data[VOLUME] == "orders"
    go(outside, workflows.DEV)
    assert outside.faults.changes() == []


@pytest.mark.parametrize(("call", "when"), RESTORE_CALLS)
def test_after_any_one_call_of_a_restore_failed_the_next_dev_completes(
    outside: Outside, call: str, when: When
) -> None:
    taken(outside)
    outside.faults.arm(call, when=when)
    assert run(outside, workflows.restore("first")).error is not None
    outside.faults.disarm()
    go(outside, workflows.DEV, workflows.DEV)
    assert outside.faults.changes() == []


def test_machines_of_a_restore_that_was_cut_off_are_made_anew_and_that_is_told(
    outside: Outside,
) -> None:
    taken(outside)
    outside.faults.arm("provider.restore", when="after")
    assert run(outside, workflows.restore("first")).error is not None
    register_box(outside)
    result = go(outside, workflows.DEV)
    assert rows(result, "boot")[0].status == "ok"
    assert VOLUME not in outside.machines["broker"].data
    assert not outside.state.restoring.exists()


def test_removing_a_snapshot_leaves_nothing_of_it(outside: Outside) -> None:
    taken(outside)
    go(outside, workflows.remove_snapshot("first"))
    assert document(outside)["snapshots"] == []
    error = refused(outside, workflows.remove_snapshot("first"))
    assert error.exit_code == ExitCode.CONFIG


def test_a_removal_that_was_cut_off_can_be_done_again(outside: Outside) -> None:
    taken(outside)
    outside.faults.arm("provider.remove_snapshot")
    assert run(outside, workflows.remove_snapshot("first")).error is not None
    assert document(outside)["snapshots"][0]["note"] == "unfinished: it was never complete"
    go(outside, workflows.remove_snapshot("first"))
    assert document(outside)["snapshots"] == []


def test_a_broken_snapshot_can_be_removed(outside: Outside) -> None:
    taken(outside)
    outside.state.manifest("first").write_text("{")
    go(outside, workflows.remove_snapshot("first"))
    assert document(outside)["snapshots"] == []


WORKFLOWS = {
    "snapshot": workflows.snapshot("x"),
    "remove": workflows.remove_snapshot("x"),
    "restore": workflows.restore("x"),
    "dev from": workflows.dev_from("x"),
}


@pytest.mark.parametrize("name", WORKFLOWS)
def test_every_phase_waits_for_earlier_phases_of_its_workflow_alone(name: str) -> None:
    before: set[str] = set()
    for phase in WORKFLOWS[name]:
        assert phase.earlier <= before, phase.name
        before.add(phase.name)


def test_the_application_is_restored_by_the_phases_that_start_it() -> None:
    names = {phase.name for phase in workflows.restore("x")}
    assert {phase.name for phase in workflows.REFRESH} - names == {
        *("foreign", "kept data", "leave", "recipe", "seed")
    }
