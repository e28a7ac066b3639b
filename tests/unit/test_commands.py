"""Commands: exit codes, one JSON document, a saved record, the lock, on fakes."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import traceback
from typing import Any

import pytest
from fakes import Outside, change_service, go, running

from hashlab.commands import destroy, dev, doctor, snapshots, ssh, status
from hashlab.daemon import client
from hashlab.errors import ConfigError, ExitCode, FilesChanged, LabError, LaptopError, Problem
from hashlab.phases import connect
from hashlab.pipeline import Phase
from hashlab.protocols import KvmProbe, Probe
from hashlab.run import execution, provider, wiring, workflows
from hashlab.run.execution import Options
from hashlab.run.lock import held
from hashlab.run.provider import Survey

Told = pytest.CaptureFixture[str]
JSON = Options(json=True)
PEOPLE = Options()


@pytest.fixture(autouse=True)
def _on_fakes(outside: Outside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution, "open_lab", lambda lab, provider=None: outside.lab)
    monkeypatch.setattr(provider, "survey", lambda lab, provider=None: surveyed(outside))
    for module in (execution, wiring):
        monkeypatch.setattr(module, "make_world", lambda lab, **_: outside.world())


def surveyed(outside: Outside, *, none: bool = False) -> Survey:
    """What is found where docker may work, libvirt does not, and the lab takes docker."""
    probes = {
        "docker": outside.provider.probe(),
        "libvirt": Probe(False, 0, "not found: virsh", "install libvirt-clients"),
    }
    kvm = KvmProbe(False, "a guest hangs")
    return Survey(probes, kvm, None if none else outside.lab, "hashlab.toml says so")


def records(outside: Outside) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(outside.state.runs.glob("*.json"))]


def test_a_good_run_is_shown_recorded_and_ends_with_zero(outside: Outside, capsys: Told) -> None:
    assert execution.run("init-box", workflows.INIT_BOX, PEOPLE) == ExitCode.OK
    assert execution.run("dev", workflows.DEV, PEOPLE) == ExitCode.OK
    told = capsys.readouterr()
    assert "containers" in told.out
    assert "http://127.0.0.1:8080" in told.out
    commands_recorded = {record["command"]: record["ok"] for record in records(outside)}
    assert commands_recorded == {"init-box": True, "dev": True}


def test_json_prints_exactly_one_document_on_stdout(outside: Outside, capsys: Told) -> None:
    go(outside, workflows.INIT_BOX)
    assert execution.run("dev", workflows.DEV, JSON) == ExitCode.OK
    told = capsys.readouterr()
    document = json.loads(told.out)
    assert document == records(outside)[-1]
    assert document["ok"] is True
    usual = {phase.name for phase in workflows.DEV if phase.where is None}
    assert {phase["name"] for phase in document["phases"]} >= usual
    assert "containers" in told.err


def test_json_stays_one_document_when_a_tool_underneath_talks(
    outside: Outside, capsys: Told
) -> None:
    go(outside, workflows.INIT_BOX)
    execution.run("dev", workflows.DEV, Options(json=True, verbose=True))
    told = capsys.readouterr()
    json.loads(told.out)
    assert "10 loaded" in told.err


@pytest.mark.parametrize("options", [PEOPLE, JSON], ids=["people", "json"])
@pytest.mark.parametrize(
    ("call", "error", "code"),
    [
        ("provider.check", LaptopError("no engine"), ExitCode.LAPTOP),
        ("vagrant.up", LabError("no boot"), ExitCode.LAB),
        ("runner.verify.py", LabError("no answer"), ExitCode.LAB),
    ],
)
def test_a_failed_run_has_its_exit_code_and_is_recorded(
    outside: Outside, capsys: Told, options: Options, call: str, error: Any, code: ExitCode
) -> None:
    go(outside, workflows.INIT_BOX)
    outside.faults.arm(call, error)
    assert execution.run("dev", workflows.DEV, options) == code
    told = capsys.readouterr()
    [record] = records(outside)
    assert record["ok"] is False
    assert record["error"]["exit_code"] == code
    assert error.what in record["error"]["what"]
    assert error.what in told.out + told.err
    if options.json:
        assert json.loads(told.out) == record


def test_a_run_under_which_files_change_is_run_again(outside: Outside, capsys: Told) -> None:
    go(outside, workflows.INIT_BOX, workflows.DEV)
    outside.faults.arm("build_context", FilesChanged("site/run.sh changed"))
    assert execution.run("refresh", workflows.REFRESH, PEOPLE) == ExitCode.OK
    [record] = records(outside)
    assert record["ok"] is True


def test_files_that_go_on_changing_are_named_in_the_end(outside: Outside, capsys: Told) -> None:
    go(outside, workflows.INIT_BOX, workflows.DEV)
    outside.faults.arm("build_context", FilesChanged("site/run.sh changed"), always=True)
    outside.faults.calls.clear()
    assert execution.run("refresh", workflows.REFRESH, PEOPLE) == ExitCode.LAB
    assert outside.faults.names().count("build_context") == 1 + execution.REPEATS
    assert "site/run.sh changed" in capsys.readouterr().out


def test_a_run_without_a_box_names_the_command_that_makes_one(
    outside: Outside, capsys: Told
) -> None:
    assert execution.run("dev", workflows.DEV, PEOPLE) == ExitCode.LAPTOP
    told = capsys.readouterr()
    assert "hashlab init-box" in told.out + told.err


def test_the_lock_is_held_by_another_run(outside: Outside, capsys: Told) -> None:
    with held(outside.state.lock, "dev"):
        assert execution.run("refresh", workflows.REFRESH, JSON) == ExitCode.LOCKED
    told = capsys.readouterr()
    document = json.loads(told.out)
    assert document["ok"] is False
    assert document["error"]["exit_code"] == 5
    assert "another run is at work" in told.err
    assert outside.faults.calls == []


def test_the_lock_is_free_after_a_failed_run(outside: Outside) -> None:
    execution.run("dev", workflows.DEV, PEOPLE)
    with held(outside.state.lock, "next"):
        pass


@pytest.mark.parametrize("options", [PEOPLE, JSON], ids=["people", "json"])
def test_mistakes_in_the_users_files_are_told_before_anything_is_done(
    outside: Outside, capsys: Told, monkeypatch: pytest.MonkeyPatch, options: Options
) -> None:
    def wrong(*_: object, **__: object) -> None:
        raise ConfigError([Problem("hashlab.toml", 3, "no name", "Write one.")])

    monkeypatch.setattr(execution, "open_lab", wrong)
    monkeypatch.setattr(provider, "survey", wrong)
    for command in (
        lambda: execution.run("dev", workflows.DEV, options),
        lambda: status.run(options, follow=False, services=False),
        lambda: doctor.run(options),
        lambda: ssh.run(options, machine="web", command=""),
    ):
        assert command() == ExitCode.CONFIG
        told = capsys.readouterr()
        assert "hashlab.toml:3: no name. Write one." in told.err
        if options.json:
            assert json.loads(told.out)["error"]["exit_code"] == 2
    assert not outside.state.root.exists()


def test_what_a_killed_run_left_at_work_is_ended_and_told(outside: Outside, capsys: Told) -> None:
    running(outside)
    outside.runner.orphans = ["mvn"]
    assert execution.run("refresh", workflows.REFRESH, PEOPLE) == ExitCode.OK
    assert "ended mvn, left at work by a run that was killed" in capsys.readouterr().out
    assert outside.runner.orphans == []


def stack_of_main() -> list[str]:
    """Names of the functions the main thread is in."""
    frame = sys._current_frames()[threading.main_thread().ident or 0]
    return [entry.name for entry in traceback.extract_stack(frame)]


def test_a_polite_kill_ends_the_run_in_order_and_names_what_is_half_done(
    outside: Outside, capsys: Told
) -> None:
    def waits(world: object, track: Any, machine: str) -> None:
        while "run_graph" not in stack_of_main():  # the run waits for its phases there
            track.cancel.wait(0.001)
        os.kill(os.getpid(), signal.SIGTERM)
        track.cancel.wait(30)

    before = signal.getsignal(signal.SIGTERM)
    assert execution.run("dev", [Phase("build", waits)], JSON) == ExitCode.INTERRUPTED
    document = json.loads(capsys.readouterr().out)
    assert document["phases"][0]["status"] == "cancelled"
    assert "Half done: build" in document["error"]["what"]
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_bug_of_hashlab_stays_visible_and_frees_the_lock(outside: Outside) -> None:
    def buggy(*_: object) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        execution.run("dev", [Phase("build", buggy)], PEOPLE)
    with held(outside.state.lock, "next"):
        pass


def test_links_are_closed_whatever_happens(outside: Outside) -> None:
    running(outside)
    outside.faults.arm("shell.read_inside", always=True)
    for machine in outside.machines.values():
        machine.engine.closed = False
    execution.run("refresh", workflows.REFRESH, PEOPLE)
    assert all(machine.engine.closed for machine in outside.machines.values())


def test_two_runs_in_one_second_are_two_records(outside: Outside) -> None:
    running(outside)
    execution.run("refresh", workflows.REFRESH, PEOPLE)
    execution.run("refresh", workflows.REFRESH, PEOPLE)
    assert len(records(outside)) == 2


def test_status_tells_people_a_page_and_programs_one_document(
    outside: Outside, capsys: Told
) -> None:
    running(outside)
    assert status.run(PEOPLE, follow=False, services=False) == ExitCode.OK
    assert "192.168.60.6" in capsys.readouterr().out
    assert status.run(JSON, follow=False, services=False) == ExitCode.OK
    told = capsys.readouterr()
    assert json.loads(told.out)["lab"] == "small"
    assert told.err == ""


@pytest.mark.parametrize(
    ("happened", "expected"),
    [
        ("a container ended", ExitCode.LAB),
        ("a machine stopped", ExitCode.LAB),
        ("a container is gone", ExitCode.LAB),
        ("all machines stopped", ExitCode.OK),
        ("an edit", ExitCode.OK),
    ],
)
def test_the_exit_code_of_status_says_whether_all_runs_that_should(
    outside: Outside, capsys: Told, happened: str, expected: ExitCode
) -> None:
    engine = running(outside).machines["broker"].engine
    if happened == "a container ended":
        engine.die("small-queue-1", code=0)
    elif happened == "a container is gone":
        engine.remove("small-queue-1")
    elif happened == "an edit":
        outside.lab = change_service(outside.lab, "queue", environment=(("A", "1"),))
    else:
        for machine in ["web"] if happened == "a machine stopped" else list(outside.machines):
            outside.machines[machine].state = "stopped"
    assert status.run(JSON, follow=False, services=False) == expected


def test_the_status_of_a_lab_that_was_never_created_is_no_failure(
    outside: Outside, capsys: Told
) -> None:
    assert status.run(JSON, follow=False, services=False) == ExitCode.OK


def test_status_needs_no_lock_and_leaves_no_record(outside: Outside) -> None:
    running(outside)
    with held(outside.state.lock, "dev"):
        assert status.run(PEOPLE, follow=False, services=False) == ExitCode.OK
    assert records(outside) == []


@pytest.mark.parametrize("options", [PEOPLE, JSON], ids=["people", "json"])
def test_a_status_that_fails_is_told_like_any_failure(
    outside: Outside, capsys: Told, options: Options
) -> None:
    outside.faults.arm("provider.machines", LaptopError("no engine answers"))
    assert status.run(options, follow=False, services=False) == ExitCode.LAPTOP
    told = capsys.readouterr()
    assert "no engine answers" in told.err
    if options.json:
        assert json.loads(told.out)["ok"] is False


def test_doctor_shows_every_check_and_ends_by_the_worst(outside: Outside, capsys: Told) -> None:
    assert doctor.run(PEOPLE) == ExitCode.OK
    (outside.root / "bin/mmdebstrap").unlink()
    assert doctor.run(PEOPLE) == ExitCode.LAPTOP
    told = capsys.readouterr().out
    assert "not found: mmdebstrap" in told
    assert "provider docker works" in told
    assert "docker: hashlab.toml says so" in told


def test_doctor_shows_the_other_providers_which_nobody_needs(
    outside: Outside, capsys: Told
) -> None:
    assert doctor.run(PEOPLE) == ExitCode.OK
    told = capsys.readouterr().out
    assert "not found: virsh" in told
    assert "libvirt: install libvirt-clients" in told
    assert "a guest hangs" in told


def test_doctor_is_not_well_when_the_labs_own_provider_does_not_work(
    outside: Outside, capsys: Told
) -> None:
    outside.provider.broken = LaptopError("no engine answers", next_step="start Docker")
    assert doctor.run(PEOPLE) == ExitCode.LAPTOP
    assert "docker: start Docker" in capsys.readouterr().out


def test_doctor_shows_all_providers_where_none_works(
    outside: Outside, capsys: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside.provider.broken = LaptopError("no engine answers", next_step="start Docker")
    found = surveyed(outside, none=True)
    monkeypatch.setattr(provider, "survey", lambda lab, provider=None: found)
    assert doctor.run(JSON) == ExitCode.LAPTOP
    document = json.loads(capsys.readouterr().out)
    assert (document["ok"], document["provider"]) == (False, None)
    names = [check["name"] for check in document["checks"]]
    assert names == ["provider", "docker", "libvirt", "kvm"]


def test_doctor_tells_programs_one_document(outside: Outside, capsys: Told) -> None:
    assert doctor.run(JSON) == ExitCode.OK
    told = capsys.readouterr()
    document = json.loads(told.out)
    assert (document["ok"], document["provider"]) == (True, "docker")
    assert document["why"] == "hashlab.toml says so"
    libvirt = next(check for check in document["checks"] if check["name"] == "libvirt")
    assert libvirt == {
        "name": "libvirt",
        "ok": False,
        "detail": "not found: virsh",
        "next_step": "install libvirt-clients",
        "needed": False,
        "bytes": {},
    }
    assert told.err == ""


@pytest.fixture
def spawned(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What was spawned in place of a real ssh, which ends with 7."""
    asked: list[list[str]] = []

    def spawn(mode: int, file: str, words: list[str]) -> int:
        asked.append(words)
        return 7

    monkeypatch.setattr(os, "spawnvp", spawn)
    return asked


def test_ssh_runs_openssh_with_the_labs_own_config(
    outside: Outside, spawned: list[list[str]]
) -> None:
    running(outside)
    assert ssh.run(PEOPLE, machine="web", command="") == 7
    assert ssh.run(PEOPLE, machine="web", command="docker ps -a") == 7
    config = str(outside.state.ssh_config)
    assert spawned == [
        ["ssh", "-F", config, "--", "web"],
        ["ssh", "-F", config, "--", "web", "docker ps -a"],
    ]


def test_ssh_to_an_unknown_machine_names_the_known_ones(
    outside: Outside, spawned: list[list[str]], capsys: Told
) -> None:
    assert ssh.run(PEOPLE, machine="wbe", command="") == ExitCode.CONFIG
    assert "one of: broker, web, spare" in capsys.readouterr().err
    assert spawned == []


def test_ssh_finds_the_machines_again_without_local_state(
    outside: Outside, spawned: list[list[str]]
) -> None:
    running(outside)
    outside.state.machines.unlink()
    assert ssh.run(PEOPLE, machine="web", command="") == 7
    assert outside.state.machines.exists()


def test_ssh_to_a_machine_that_is_not_there_is_a_failure(
    outside: Outside, spawned: list[list[str]], monkeypatch: pytest.MonkeyPatch, capsys: Told
) -> None:
    monkeypatch.setattr(connect, "CONNECT_SECONDS", 0)
    assert ssh.run(PEOPLE, machine="web", command="") == ExitCode.LAB
    assert "hashlab dev" in capsys.readouterr().err


def test_dev_knows_what_it_can_store(outside: Outside, capsys: Told) -> None:
    code = dev.run(
        PEOPLE, replace=False, snapshot="", images=False, observed=("traces",), yes=False
    )
    assert code == ExitCode.CONFIG
    assert "--with traces: unknown" in capsys.readouterr().err
    assert not outside.world().observed


def test_snapshots_are_taken_listed_and_restored_by_commands(
    outside: Outside, capsys: Told
) -> None:
    running(outside)
    assert execution.run("snapshot", workflows.snapshot("first"), PEOPLE) == ExitCode.OK
    capsys.readouterr()
    assert snapshots.run(JSON) == ExitCode.OK
    [listed] = json.loads(capsys.readouterr().out)["snapshots"]
    assert listed["name"] == "first"
    assert snapshots.run(PEOPLE) == ExitCode.OK
    assert "first" in capsys.readouterr().out
    assert (
        dev.run(PEOPLE, replace=False, snapshot="first", images=False, observed=(), yes=False)
        == ExitCode.CONFIG
    )
    assert "hashlab restore first" in capsys.readouterr().out
    go(outside, workflows.DESTROY)
    assert (
        dev.run(PEOPLE, replace=False, snapshot="first", images=False, observed=(), yes=False)
        == ExitCode.OK
    )
    assert records(outside)[-1]["command"] == "dev-from"


def test_snapshots_of_a_provider_without_any_is_an_expected_failure(
    outside: Outside, capsys: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outside.provider, "snapshots", None)
    assert snapshots.run(JSON) == ExitCode.LAPTOP
    assert "has no snapshots" in json.loads(capsys.readouterr().out)["error"]["what"]


def from_first(options: Options, *, replace: bool = False) -> int:
    return dev.run(options, replace=replace, snapshot="first", images=False, observed=(), yes=False)


def test_from_and_replace_exclude_each_other(outside: Outside, capsys: Told) -> None:
    assert (
        dev.run(JSON, replace=True, snapshot="first", images=False, observed=(), yes=False)
        == ExitCode.CONFIG
    )
    assert "exclude" in json.loads(capsys.readouterr().out)["error"]["what"]
    assert outside.faults.calls == []


@pytest.mark.parametrize("fails", [False, True])
def test_destroy_ends_the_daemon_of_the_lab_it_was_about(
    outside: Outside, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    running(outside)
    stopped: list[str] = []
    monkeypatch.setattr(client, "stop", stopped.append)
    monkeypatch.chdir(outside.lab.folder)
    (outside.lab.folder / "hashlab.toml").touch()
    if fails:
        outside.faults.arm("provider.machines", LabError("it does not go"))
    code = destroy.run(PEOPLE, yes=True, box=False, keep_observed=False)
    assert code == (ExitCode.LAB if fails else ExitCode.OK)
    assert (
        destroy.run(Options(lab=outside.root), yes=True, box=False, keep_observed=False)
        == ExitCode.OK
    )
    assert stopped == [str(outside.lab.folder), str(outside.root)]
