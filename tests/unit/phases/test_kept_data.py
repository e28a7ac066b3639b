"""dev --replace: stale machines give way one by one, and their data reach their successors."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import Outside, go, register_box, rows, run, running

from hashlab.config.model import Volume
from hashlab.errors import LaptopError
from hashlab.phases.boxes.registry import recipe_manifest
from hashlab.phases.kept_data import archive_path, load_kept, note_path, stale_machines
from hashlab.run import workflows

VOLUME = "small_data"


def newer_box(outside: Outside) -> None:
    """A running lab with data on the broker, and a box newer than its machines."""
    running(outside)
    outside.machines["broker"].data[VOLUME] = "orders"
    outside.provider.system = "system 2"
    register_box(outside)
    outside.faults.calls.clear()


def host_keys(outside: Outside) -> dict[str, str]:
    return {name: machine.host_key for name, machine in outside.machines.items()}


def kept_files(outside: Outside) -> list[str]:
    return sorted(path.name for path in outside.state.kept.glob("*"))


def test_machines_of_another_recipe_are_stale(outside: Outside) -> None:
    running(outside)
    assert stale_machines(outside.world()) == []
    outside.provider.system = "system 2"
    register_box(outside)
    assert stale_machines(outside.world()) == ["broker", "web", "spare"]


def test_no_machine_is_replaced_by_one_from_a_stale_box(outside: Outside) -> None:
    running(outside)
    outside.provider.system = "system 2"
    with pytest.raises(LaptopError) as refused:
        stale_machines(outside.world())
    assert "hashlab init-box" in refused.value.next_step


@pytest.mark.parametrize("machine", ["broker", "web", "spare"])
def test_a_machine_is_replaced_while_the_others_stay(outside: Outside, machine: str) -> None:
    newer_box(outside)
    others = {name: one for name, one in outside.machines.items() if name != machine}
    result = go(outside, workflows.replacing(machine))
    assert outside.machines[machine].recipe == recipe_manifest(outside.world()).recipe
    assert all(outside.machines[name] is one for name, one in others.items())
    assert rows(result, "verify")[0].status == "ok"
    assert stale_machines(outside.world()) == [
        name for name in ("broker", "web", "spare") if name != machine
    ]


def test_all_machines_are_replaced_one_by_one(outside: Outside) -> None:
    newer_box(outside)
    for machine in stale_machines(outside.world()):
        go(outside, workflows.replacing(machine))
    assert stale_machines(outside.world()) == []
    assert outside.machines["broker"].data == {VOLUME: "orders"}


def test_the_data_of_named_volumes_reach_the_new_machine(outside: Outside) -> None:
    newer_box(outside)
    result = go(outside, workflows.replacing("broker"))
    assert outside.machines["broker"].data == {VOLUME: "orders"}
    assert kept_files(outside) == []
    assert "1 volumes" in rows(result, "keep broker")[0].detail
    restored = {row.machine: row.status for row in rows(result, "kept data")}
    assert restored == {"broker": "ok", "web": "skipped", "spare": "skipped"}


def test_a_machine_without_volumes_keeps_nothing(outside: Outside) -> None:
    newer_box(outside)
    result = go(outside, workflows.replacing("web"))
    assert rows(result, "keep web")[0].status == "skipped"
    assert kept_files(outside) == []


def test_data_are_back_before_any_container_starts(outside: Outside) -> None:
    newer_box(outside)
    go(outside, workflows.replacing("broker"))
    changes = outside.faults.changes()
    assert changes.index("shell.feed") < changes.index("engine.start")


def test_nothing_is_touched_when_a_build_fails(outside: Outside) -> None:
    newer_box(outside)
    (outside.lab.folder / "src/main.txt").write_text("source 2\n")
    outside.runner.prepare("make", "app", code=1, stderr="no\n")
    assert run(outside, workflows.replacing("broker")).error is not None
    assert outside.faults.changes() == []


STOPS = [
    ("shell.save", "before"),
    ("shell.save", "after"),
    ("engine.stop", "after"),
    ("provider.discard_machine", "before"),
    ("provider.discard_machine", "after"),
    ("vagrant.up", "before"),
    ("shell.feed", "before"),
    ("shell.feed", "after"),
    ("engine.start", "before"),
]


@pytest.mark.parametrize(("call", "when"), STOPS)
@pytest.mark.parametrize("next_run", ["dev", "dev --replace"])
def test_no_data_are_lost_whatever_fails(
    outside: Outside, call: str, when: str, next_run: str
) -> None:
    newer_box(outside)
    outside.faults.arm(call, when=when)  # type: ignore[arg-type]
    assert run(outside, workflows.replacing("broker")).error is not None
    outside.faults.disarm()
    if next_run == "dev":
        go(outside, workflows.DEV)
    else:
        for machine in stale_machines(outside.world()):
            go(outside, workflows.replacing(machine))
        go(outside, workflows.DEV)
    assert outside.machines["broker"].data == {VOLUME: "orders"}
    assert kept_files(outside) == []


def test_data_that_were_not_restored_yet_are_not_overwritten(outside: Outside) -> None:
    newer_box(outside)
    outside.faults.arm("shell.feed")
    assert run(outside, workflows.replacing("broker")).error is not None
    outside.faults.disarm()
    outside.provider.system = "system 3"
    register_box(outside)
    result = go(outside, workflows.replacing("broker"))
    assert "kept by an earlier run" in rows(result, "keep broker")[0].detail
    assert outside.machines["broker"].data == {VOLUME: "orders"}


def test_data_kept_of_a_machine_that_stayed_are_dropped(outside: Outside) -> None:
    newer_box(outside)
    outside.faults.arm("provider.discard_machine")
    assert run(outside, workflows.replacing("broker")).error is not None
    outside.faults.disarm()
    outside.machines["broker"].data[VOLUME] = "newer orders"
    result = go(outside, workflows.DEV)
    [row] = [row for row in rows(result, "kept data") if row.machine == "broker"]
    assert "still there" in row.detail
    assert outside.machines["broker"].data == {VOLUME: "newer orders"}
    assert kept_files(outside) == []


def test_a_full_disk_leaves_the_machine_as_it_was(
    outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> int:
        raise OSError(28, "No space left on device")

    newer_box(outside)
    before = outside.machines["broker"]
    with monkeypatch.context() as patch:
        patch.setattr("fakes.machine.FakeShell.save", full)
        error = run(outside, workflows.replacing("broker")).error
    assert isinstance(error, LaptopError)
    assert "No space left on device" in error.what
    assert outside.machines["broker"] is before
    assert kept_files(outside) == []


def test_kept_data_are_for_their_owner_alone(outside: Outside) -> None:
    newer_box(outside)
    outside.faults.arm("shell.feed")
    run(outside, workflows.replacing("broker"))
    modes = {path.name: path.stat().st_mode & 0o777 for path in outside.state.kept.iterdir()}
    assert outside.state.kept.stat().st_mode & 0o777 == 0o700
    assert modes["broker.tar"] == 0o600


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"host_key": "a", "volumes": ["v"]}'])
def test_a_note_without_a_whole_archive_is_none(outside: Outside, text: str) -> None:
    note = note_path(outside.state, "web")
    note.parent.mkdir(parents=True)
    note.write_text(text)
    assert load_kept(outside.state, "web") is None


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "[" * 100_000])
def test_an_archive_whose_note_is_damaged_is_not_taken_for_missing(
    outside: Outside, text: str
) -> None:
    note = note_path(outside.state, "web")
    note.parent.mkdir(parents=True)
    note.write_text(text)
    archive_path(outside.state, "web").write_text("data")
    with pytest.raises(LaptopError, match=r"web.json.*cannot be read") as caught:
        load_kept(outside.state, "web")
    assert "web.tar" in caught.value.next_step


def test_destroy_forgets_kept_data(outside: Outside) -> None:
    newer_box(outside)
    outside.faults.arm("shell.feed")
    run(outside, workflows.replacing("broker"))
    outside.faults.disarm()
    assert kept_files(outside) == ["broker.json", "broker.tar"]
    assert "broker" in json.loads((outside.state.kept / "broker.json").read_text())["host_key"]
    go(outside, workflows.DESTROY)
    assert not outside.state.kept.exists()


def test_what_vagrant_remembers_of_the_old_machine_does_not_decide_its_box(
    outside: Outside,
) -> None:
    newer_box(outside)
    folder: Path = outside.state.vagrant / "machines/broker/docker"
    folder.mkdir(parents=True)
    for name in ("id", "box_meta", "index_uuid"):
        (folder / name).write_text("x")
    go(outside, workflows.replacing("broker"))
    assert [path.name for path in folder.iterdir()] == ["index_uuid"]


def test_external_volumes_are_kept_and_volumes_elsewhere_are_not(outside: Outside) -> None:
    newer_box(outside)
    volumes = (
        Volume("shared", "shared", external=True),
        Volume("missing", "missing", external=True),
        Volume("data", VOLUME, driver_opts=(("type", "nfs"),)),
    )
    outside.lab = replace(outside.lab, volumes=volumes)
    broker = outside.machines["broker"]
    broker.engine.create_volume("shared", {})
    broker.data["shared"] = "pictures"
    go(outside, workflows.replacing("broker"))
    assert outside.machines["broker"].data == {"shared": "pictures"}
