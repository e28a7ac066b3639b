"""Destroy: machines, leftovers and local state go; what cannot be undone twice is done once."""

from __future__ import annotations

import pytest
from fakes import Outside, go, rows, run, running, track_of

from hashlab.errors import LabError
from hashlab.phases.destroy import look
from hashlab.run import workflows


def test_destroy_tells_what_it_destroyed_and_what_it_looked_for(outside: Outside) -> None:
    result = go(running(outside), workflows.DESTROY)
    assert rows(result, "machines")[0].detail == "broker, web, spare"
    assert rows(result, "leftovers")[0].detail == "4 removed"
    assert rows(result, "look")[0].detail == "none left: machines, volumes and networks"


def test_machines_are_stopped_before_vagrant_is_asked_to_remove_them(outside: Outside) -> None:
    go(running(outside), workflows.DESTROY)
    names = outside.faults.names()
    assert names.index("provider.halt") < names.index("vagrant.destroy")


def test_vagrant_is_not_called_for_a_lab_it_never_saw(outside: Outside) -> None:
    outside.vagrant_allowed = False
    go(outside, workflows.DESTROY)


def test_machines_are_destroyed_even_though_the_state_folder_is_lost(outside: Outside) -> None:
    running(outside)
    outside.state.root.rename(outside.root / "lost")
    go(outside, workflows.DESTROY)
    assert outside.machines == {}


def test_run_records_and_the_box_survive_destroy(outside: Outside) -> None:
    running(outside)
    outside.state.runs.mkdir()
    (outside.state.runs / "one.json").write_text("{}")
    go(outside, workflows.DESTROY)
    assert (outside.state.runs / "one.json").exists()
    assert len(outside.stores) == 1


def test_keys_secrets_and_endpoints_are_forgotten(outside: Outside) -> None:
    running(outside)
    go(outside, workflows.DESTROY)
    for path in (
        outside.state.ssh,
        outside.state.secrets,
        outside.state.machines,
        outside.state.vagrantfile,
        outside.state.vagrant,
    ):
        assert not path.exists()
    assert list(outside.state.own.iterdir()) == []


def test_what_a_killed_run_did_not_finish_writing_is_forgotten(outside: Outside) -> None:
    running(outside)
    (outside.state.own / "machines.json.4711.new").write_text("{")
    go(outside, workflows.DESTROY)
    assert list(outside.state.own.iterdir()) == []


def test_what_is_left_is_a_failure_that_names_it(outside: Outside) -> None:
    outside.provider.volumes.add("stubborn")
    match = "still there: volume stubborn"
    with pytest.raises(LabError, match=match) as failure, track_of() as track:
        look(outside.world(), track, "")
    assert failure.value.next_step == "run hashlab destroy again"


def test_machines_that_vagrant_cannot_destroy_go_with_the_leftovers(outside: Outside) -> None:
    running(outside)
    outside.faults.arm("vagrant.destroy")
    result = run(outside, workflows.DESTROY)
    assert result.error is None
    assert outside.machines == {}
    assert outside.provider.leftovers_now() == []


def test_a_lab_that_cannot_be_destroyed_keeps_what_is_needed_to_try_again(
    outside: Outside,
) -> None:
    running(outside)
    outside.faults.arm("provider.discard")
    run(outside, workflows.DESTROY)
    assert outside.state.key.exists()
    assert outside.state.vagrantfile.exists()


def test_secrets_stay_while_the_lab_has_machines_of_another_provider(outside: Outside) -> None:
    running(outside)
    outside.state.secrets.mkdir(parents=True, exist_ok=True)
    (outside.state.secrets / "token").write_text("x")
    elsewhere = outside.state.root / "libvirt" / "Vagrantfile"
    elsewhere.parent.mkdir()
    elsewhere.write_text("")
    run(outside, workflows.DESTROY)
    assert (outside.state.secrets / "token").exists()
    elsewhere.unlink()
    run(outside, workflows.DESTROY)
    assert not outside.state.secrets.exists()


def test_a_machine_that_takes_no_key_is_destroyed_all_the_same(outside: Outside) -> None:
    running(outside)
    outside.faults.arm("provider.adopt", always=True)
    run(outside, workflows.DESTROY)
    assert outside.machines == {}


def test_a_vagrantfile_that_made_no_machine_is_not_run(outside: Outside) -> None:
    """It may have come with a cloned folder, and would run as a program of the user's."""
    state = outside.state
    state.vagrant.mkdir(parents=True)
    state.vagrantfile.write_text("system('touch /tmp/owned')")
    outside.vagrant_allowed = False
    go(outside, workflows.DESTROY)
    assert not state.vagrantfile.exists()
