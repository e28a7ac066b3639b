"""The workflows as a whole on fakes: they run, change nothing twice, and survive any failure."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from fakes import Behaviour, Outside, change_service, go, rows, run, write_files
from fakes.faults import When
from fakes.running import register_box, running

from hashlab.config.model import Artifact, Observe
from hashlab.errors import LabError
from hashlab.phases import connect
from hashlab.phases.artifacts import feed_images
from hashlab.phases.containers.phase import mounts_artifacts
from hashlab.phases.kept_data import archive_path, note_path
from hashlab.phases.selfcontained.images import lab_of_images
from hashlab.pipeline import RunResult, Where
from hashlab.run import workflows
from hashlab.state.files import write_json, write_text

VOLUME = "small_data"

WORKFLOWS = {
    name: value
    for name, value in vars(workflows).items()
    if name.isupper() and isinstance(value, tuple)
}
# These look anew at every run; all others say "skipped" when there is nothing to do.
ALWAYS_LOOK = {"doctor", "hash images", "connect", "proof", "seed", "verify", "names"}


def status_of(result: RunResult) -> dict[str, str]:
    return {row.name: row.status for row in result.rows if row.depth == 0}


@pytest.mark.parametrize("name", WORKFLOWS)
def test_every_phase_waits_only_for_phases_of_its_own_workflow(name: str) -> None:
    names = {phase.name for phase in WORKFLOWS[name]}
    for phase in WORKFLOWS[name]:
        assert phase.earlier | set(phase.after_end) <= names, phase.name


@pytest.mark.parametrize("name", WORKFLOWS)
def test_no_name_of_a_phase_stands_twice_in_a_workflow(name: str) -> None:
    names = [phase.name for phase in WORKFLOWS[name]]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("name", WORKFLOWS)
def test_phases_never_wait_for_each_other_in_a_circle(name: str) -> None:
    waiting = {phase.name: phase.earlier | set(phase.after_end) for phase in WORKFLOWS[name]}
    while waiting:
        free = [phase for phase, after in waiting.items() if not after & set(waiting)]
        assert free, f"a circle among {sorted(waiting)}"
        for phase in free:
            del waiting[phase]


# Rows that one module makes together, and rows whose name a variable holds.
ELSEWHERE = {
    "machines": "destroy",
    "leftovers": "destroy",
    "local state": "destroy",
    "look": "destroy",
    "box": "destroy",
    "keep web": "kept_data",
    "remove web": "kept_data",
    "check": "snapshots.restore",
    "data": "snapshots.restore",
    "remove": "snapshots.take",
    "resume": "suspend",
}


def test_a_row_on_the_screen_leads_to_its_module() -> None:
    made = (
        workflows.replacing("web"),
        workflows.restore("before"),
        workflows.snapshot("before"),
        workflows.remove_snapshot("before"),
        workflows.stopping(["site"]),
        workflows.building(["site"]),
        workflows.destroying_on_hosts(unprepare=True),
    )
    for phase in (phase for workflow in (*WORKFLOWS.values(), *made) for phase in workflow):
        function = phase.run.func if isinstance(phase.run, partial) else phase.run
        module = function.__module__.removeprefix("hashlab.phases.")
        guessed = {word.rstrip("s") for word in ("_".join(phase.name.split()), *phase.name.split())}
        told = {part.rstrip("s") for part in module.split(".")}
        # Phases of hosts that are there already are in one module.
        own = module == "hosts" or ELSEWHERE.get(phase.name) == module
        assert guessed & told or own, (phase.name, module)


def test_every_phase_has_a_docstring_that_promises_something() -> None:
    for workflow in WORKFLOWS.values():
        for phase in workflow:
            said = phase.run.__doc__ or ""
            assert said.startswith(("Promise: ", "As ")), phase.name


def test_dev_brings_up_the_whole_lab_from_nothing_but_a_box(outside: Outside) -> None:
    result = go(outside, workflows.INIT_BOX, workflows.DEV)
    assert set(status_of(result).values()) <= {"ok", "skipped"}
    broker, web, spare = (outside.machines[name].engine for name in ("broker", "web", "spare"))
    assert {c.name: c.state for c in broker.all.values()} == {
        "small-queue-1": "running",
        "small-queue-1.sandbox": "running",
        "small-migrate-1": "exited",
        "small-migrate-1.sandbox": "running",
    }
    replicas = {"small-site-1", "small-site-2"}
    assert {c.name.removesuffix(".sandbox") for c in web.all.values()} == replicas
    assert len(web.all) == 4
    assert not spare.all
    assert rows(result, "verify")[0].detail == "all well"


def test_dev_starts_services_only_after_what_they_depend_on(outside: Outside) -> None:
    go(outside, workflows.INIT_BOX, workflows.DEV)
    made = [str(call.words[1]) for call in outside.faults.calls if call.name == "engine.create"]
    started = [name for name in made if not name.endswith(".sandbox")]
    assert started[:2] == ["small-queue-1", "small-migrate-1"]
    assert set(started[2:]) == {"small-site-1", "small-site-2"}


def test_a_second_dev_skips_every_phase_that_acts_and_changes_nothing(outside: Outside) -> None:
    result = go(outside, workflows.INIT_BOX, workflows.DEV, workflows.DEV)
    statuses = status_of(result)
    acting = {name: status for name, status in statuses.items() if name not in ALWAYS_LOOK}
    assert set(acting.values()) == {"skipped"}, acting
    assert outside.faults.changes() == []


def test_a_second_init_box_skips_every_phase_but_the_doctor(outside: Outside) -> None:
    result = go(outside, workflows.INIT_BOX, workflows.INIT_BOX)
    statuses = status_of(result)
    assert statuses.pop("doctor") == "ok"
    assert set(statuses.values()) == {"skipped"}
    assert outside.faults.changes() == []


def test_a_box_built_beforehand_spares_dev_all_building_of_images(outside: Outside) -> None:
    go(outside, workflows.INIT_BOX, workflows.DEV)
    assert "laptop.build_image" not in outside.faults.names()
    assert "engine.load_images" not in outside.faults.names()


def test_refresh_never_calls_vagrant_and_never_asks_the_provider(outside: Outside) -> None:
    go(outside, workflows.INIT_BOX, workflows.DEV)
    outside.vagrant_allowed = False
    (outside.lab.folder / "src/main.txt").write_text("source 2\n")
    go(outside, workflows.REFRESH)
    asked = [name for name in outside.faults.names() if name.startswith(("provider.", "vagrant."))]
    assert asked == []


def test_refresh_rebuilds_sends_and_restarts_only_what_an_edit_touched(outside: Outside) -> None:
    go(outside, workflows.INIT_BOX, workflows.DEV)
    (outside.lab.folder / "src/main.txt").write_text("source 2\n")
    before = {name: dict(machine.disk.files) for name, machine in outside.machines.items()}
    result = go(outside, workflows.REFRESH)
    written = {
        path.partition("small/")[2]
        for name, machine in outside.machines.items()
        for path, file in machine.disk.files.items()
        if before[name].get(path) is not file
    }
    assert written == {"files/out/app/main.bin", "manifest"}
    assert outside.faults.names().count("shell.place") == 1
    created = [call.words[1] for call in outside.faults.calls if call.name == "engine.create"]
    assert sorted(created) == ["small-site-1", "small-site-2"]
    assert rows(result, "containers")[0].detail == "1 started"
    web = outside.machines["web"].disk.files["/var/lib/hashlab/small/files/out/app/main.bin"]
    assert web.content == b"compiled source 2\n"


def test_refresh_of_a_synchronised_file_restarts_nothing_and_proves_it_all_the_same(
    outside: Outside,
) -> None:
    go(outside, workflows.INIT_BOX, workflows.DEV)
    (outside.lab.folder / "static/index.html").write_text("<h1>two</h1>\n")
    result = go(outside, workflows.REFRESH)
    assert outside.faults.changes() == ["shell.place", "shell.record"]
    assert status_of(result)["containers"] == "skipped"
    assert rows(result, "proof")[0].detail == "4 containers run what was built"


def test_refresh_of_a_changed_image_builds_it_once_and_sends_it(outside: Outside) -> None:
    go(outside, workflows.INIT_BOX, workflows.DEV)
    (outside.lab.folder / "site/run.sh").write_text("exec run --faster\n")
    go(outside, workflows.REFRESH)
    built = [call.words[1] for call in outside.faults.calls if call.name == "laptop.build_image"]
    loaded = [call.words[0] for call in outside.faults.calls if call.name == "engine.load_images"]
    assert built == ["small/site"]
    assert loaded == ["web"]


def test_an_image_two_machines_miss_is_built_once(outside: Outside) -> None:
    outside.lab = change_service(outside.lab, "migrate", machine="web", image="small/queue")
    go(outside, workflows.INIT_BOX, workflows.DEV)
    (outside.lab.folder / "queue/queue.conf").write_text("other\n")
    go(outside, workflows.REFRESH)
    assert outside.faults.names().count("laptop.build_image") == 1
    assert outside.faults.names().count("engine.load_images") == 2


def test_refresh_after_the_state_folder_was_deleted_recovers_without_vagrant(
    outside: Outside, tmp_path: Path
) -> None:
    go(outside, workflows.INIT_BOX, workflows.DEV)
    password = (outside.state.secrets / "password").read_text()
    outside.state.root.rename(tmp_path / "taken away")
    outside.vagrant_allowed = False
    go(outside, workflows.REFRESH)
    assert (outside.state.secrets / "password").read_text() == password
    assert "engine.create" not in outside.faults.names()


def test_refresh_of_machines_that_do_not_run_says_dev(outside: Outside) -> None:
    go(outside, workflows.INIT_BOX, workflows.DEV)
    outside.machines["web"].state = "stopped"
    error = run(outside, workflows.REFRESH).error
    assert isinstance(error, LabError)
    assert (error.what, error.where, error.next_step) == (
        "the machine is stopped",
        "web",
        "hashlab dev",
    )


def test_what_the_others_can_do_without_a_dead_machine_is_done_and_the_rest_named(
    outside: Outside,
) -> None:
    outside.lab = change_service(outside.lab, "migrate", machine="spare")
    go(outside, workflows.INIT_BOX, workflows.DEV)
    outside.machines["spare"].state = "stopped"
    for name in ("queue", "site", "migrate"):
        outside.lab = change_service(outside.lab, name, environment=(("EDIT", "1"),))
    write_text(outside.lab.folder / "static/index.html", "edited")
    world = outside.world()
    result = run(outside, workflows.REFRESH, world)
    assert result.error is not None
    assert "spare: the machine is stopped" in str(result.error)
    assert [row.machine for row in rows(result, "connect") if row.status == "failed"] == ["spare"]
    sent = outside.machines["web"].disk.files["/var/lib/hashlab/small/files/static/index.html"]
    assert sent.content == b"edited"
    assert [row.service for row in rows(result, "container")] == ["queue"]
    assert rows(result, "proof")[0].status == "failed"
    assert {row.status for row in rows(result, "verify")} == {"not-reached"}
    assert world.facts.notes[-1] == (
        "spare did not answer. Left as it was: migrate; and what needs it: site"
    )
    outside.machines["spare"].state = "running"
    go(outside, workflows.REFRESH)


def test_a_secret_that_a_dead_machine_may_hold_is_not_made_anew(outside: Outside) -> None:
    go(outside, workflows.INIT_BOX, workflows.DEV)
    (outside.state.secrets / "password").unlink()
    outside.machines["web"].state = "stopped"
    error = run(outside, workflows.REFRESH).error
    assert "secret password is not on the laptop, and web, which may hold it" in str(error)


def test_dev_starts_machines_that_were_stopped(outside: Outside) -> None:
    go(outside, workflows.INIT_BOX, workflows.DEV)
    outside.machines["web"].state = "stopped"
    result = go(outside, workflows.DEV)
    assert rows(result, "boot")[0].detail == "web up"


def test_destroy_leaves_nothing_and_dev_begins_anew(outside: Outside) -> None:
    go(outside, workflows.INIT_BOX, workflows.DEV, workflows.DESTROY)
    assert outside.provider.leftovers_now() == []
    assert not outside.state.secrets.exists()
    go(outside, workflows.DEV)
    assert len(outside.machines) == 3


def test_destroy_of_nothing_is_fine(outside: Outside) -> None:
    result = go(outside, workflows.DESTROY)
    assert status_of(result)["machines"] == "skipped"


def test_destroying_the_box_too_makes_dev_ask_for_init_box(outside: Outside) -> None:
    go(outside, workflows.INIT_BOX, workflows.DEV, workflows.destroying(box=True))
    error = run(outside, workflows.DEV).error
    assert error is not None
    assert error.next_step == "hashlab init-box"


def test_seed_and_verify_run_by_themselves(outside: Outside) -> None:
    go(outside, workflows.INIT_BOX, workflows.DEV)
    assert rows(go(outside, workflows.SEED), "seed")[0].detail == "10 loaded"
    assert rows(go(outside, workflows.VERIFY), "verify")[0].detail == "all well"


def test_verify_changes_nothing(outside: Outside) -> None:
    go(outside, workflows.INIT_BOX, workflows.DEV, workflows.VERIFY)
    assert outside.faults.changes() == []


def test_a_service_that_moved_to_another_machine_is_gone_from_the_first(outside: Outside) -> None:
    go(outside, workflows.INIT_BOX, workflows.DEV)
    outside.lab = change_service(outside.lab, "site", machine="spare")
    go(outside, workflows.REFRESH)
    assert not outside.machines["web"].engine.all
    assert outside.machines["spare"].engine.by_name("small-site-2").pid


def box_and_edit(outside: Outside) -> None:
    """An image that changed since the box was built gives phase images something to do."""
    register_box(outside)
    (outside.lab.folder / "site/run.sh").write_text("exec run --faster\n")
    outside.faults.calls.clear()


# Where each phase of DEV touches the outside world, so that a test can break it there.
BREAKS = {
    "doctor": "provider.check",
    "artifacts": "runner.make",
    "hash images": "build_context",
    "assemble": "laptop.save_images",
    "leave": "provider.discard_machine",
    "prepare": "provider.prepare",
    "disks": "provider.fill_disks",
    "boot": "vagrant.up",
    "connect": "provider.host_key",
    "network": "engine.swarm_join",
    "sandboxes": "engine.import_image",
    "ports": "runner.ssh",
    "secrets": "shell.read_secret",
    "kept data": "shell.feed",
    "images": "engine.load_images",
    "containers": "shell.place",
    "names": "shell.ask_names",
    "proof": "shell.read_inside",
    "seed": "runner.seed.py",
    "verify": "runner.verify.py",
    "stores": "runner.go",
    "observe": "observer.start",
}


def forward_over_ssh(outside: Outside) -> None:
    """The provider leaves it to hashlab to forward ports."""
    outside.provider.publishes_ports = False
    outside.runner.prepare("ssh", "-F")


def keep_data_of_a_replaced_machine(outside: Outside) -> None:
    """An earlier run kept data of a machine whose successor is still to come."""
    state = outside.state
    write_text(archive_path(state, "broker"), json.dumps({f"{VOLUME}/_data": "orders"}))
    write_json(note_path(state, "broker"), {"host_key": "ssh-ed25519 OLD", "volumes": [VOLUME]})


# What must be so before these phases touch anything.
def lose_secrets(outside: Outside) -> None:
    """The laptop has lost what machines that run still hold."""
    go(outside, workflows.DEV)
    shutil.rmtree(outside.state.secrets)


def store_logs(outside: Outside) -> None:
    """The lab stores its logs, and the store's program is still to be built."""
    outside.lab = replace(outside.lab, observe=Observe(logs=True))
    (outside.root / "bin/go").write_text("#!/bin/false\n")
    (outside.root / "bin/go").chmod(0o755)
    outside.environ["XDG_CACHE_HOME"] = str(outside.root / "cache")

    def build(_: object) -> None:
        made = Path(outside.runner.ran[-1].env["GOBIN"]) / "victoria-logs"
        made.write_text("built")
        made.chmod(0o755)

    outside.runner.prepare("go", effect=build)


def run_from_images(outside: Outside) -> None:
    """The lab runs from self-contained images."""
    outside.runner.prepare("git", code=1)
    outside.lab = lab_of_images(outside.lab)


def drop_a_machine(outside: Outside) -> None:
    """hashlab.toml no longer has a machine that runs."""
    go(outside, workflows.DEV)
    outside.lab = replace(outside.lab, machines=outside.lab.machines[:-1])


OCCASIONS = {
    "leave": drop_a_machine,
    "assemble": run_from_images,
    "stores": store_logs,
    "observe": store_logs,
    "ports": forward_over_ssh,
    "secrets": lose_secrets,
    "kept data": keep_data_of_a_replaced_machine,
}


def test_the_table_of_breaks_names_every_phase_of_dev() -> None:
    assert set(BREAKS) == {phase.name for phase in workflows.DEV}


@pytest.mark.parametrize("phase", BREAKS)
def test_a_failure_in_a_phase_of_dev_is_a_failed_row_and_the_next_run_completes(
    outside: Outside, phase: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if phase == "connect":
        monkeypatch.setattr(connect, "CONNECT_SECONDS", 0)
    box_and_edit(outside)
    OCCASIONS.get(phase, lambda _: None)(outside)
    told = outside.faults.arm(BREAKS[phase], always=True)
    failed = run(outside, workflows.DEV)
    assert failed.error is not None
    # Phase connect may give up before the machines are there to be asked.
    assert told.what in str(failed.error) or phase == "connect"
    assert "failed" in [row.status for row in rows(failed, phase)]
    parted = any(p.name == phase and p.parts for p in workflows.DEV)
    for later in (p for p in workflows.DEV if phase in (p.earlier if p.parts else p.after)):
        # Parts of another machine may have begun.
        ends = {"not-reached", "cancelled"} if later.parts or parted else {"not-reached"}
        if parted and later.per == "machine":
            ends.add("ok")
        assert {row.status for row in rows(failed, later.name)} <= ends

    outside.faults.disarm()
    monkeypatch.setattr(connect, "CONNECT_SECONDS", 60)
    go(outside, workflows.DEV)


CALLS = [
    "build_context",
    "connector.answers",
    "connector.connect",
    "connector.copy",
    "engine.container",
    "engine.containers",
    "engine.create",
    "engine.create_overlay",
    "engine.execute",
    "engine.image_labels",
    "engine.import_image",
    "engine.layers",
    "engine.load_images",
    "engine.networks_with",
    "engine.start",
    "engine.swarm",
    "engine.swarm_init",
    "engine.swarm_join",
    "engine.swarm_ready",
    "engine.swarm_token",
    "laptop.build_image",
    "laptop.image_labels",
    "laptop.save_images",
    "provider.box_present",
    "provider.check",
    "provider.discard_half_built",
    "provider.fill_disks",
    "provider.host_key",
    "provider.machine",
    "provider.machines",
    "provider.own_subnet",
    "provider.prepare",
    "provider.used_subnets",
    "runner.make",
    "runner.seed.py",
    "runner.ssh-keygen",
    "runner.verify.py",
    "shell.ask_names",
    "shell.free_gossip_port",
    "shell.hash",
    "shell.observe",
    "shell.place",
    "shell.read_inside",
    "shell.record",
    "vagrant.up",
]


# The same with the failure after the effect: the answer was lost, the deed is done.
DEEDS = [
    "connector.copy",
    "engine.create",
    "engine.create_overlay",
    "engine.import_image",
    "engine.load_images",
    "engine.start",
    "engine.swarm_init",
    "engine.swarm_join",
    "laptop.build_image",
    "provider.fill_disks",
    "provider.prepare",
    "runner.make",
    "runner.ssh-keygen",
    "shell.place",
    "shell.record",
    "vagrant.up",
]


def test_the_list_of_calls_is_every_call_dev_makes(outside: Outside) -> None:
    box_and_edit(outside)
    run(outside, workflows.DEV)
    assert sorted(set(outside.faults.names())) == CALLS


@pytest.mark.parametrize(
    ("call", "when"), [(c, "before") for c in CALLS] + [(c, "after") for c in DEEDS]
)
def test_after_any_one_call_failed_the_next_dev_completes_and_the_one_after_changes_nothing(
    outside: Outside, call: str, when: When
) -> None:
    box_and_edit(outside)
    outside.faults.arm(call, when=when)
    run(outside, workflows.DEV)
    outside.faults.disarm()
    go(outside, workflows.DEV, workflows.DEV)
    assert outside.faults.changes() == []


@pytest.mark.parametrize("step", ["seed", "verify"])
def test_a_step_that_failed_in_a_refresh_runs_again_in_the_next(
    outside: Outside, step: str
) -> None:
    go(outside, workflows.INIT_BOX, workflows.DEV)
    (outside.lab.folder / "src/main.txt").write_text("source 2\n")
    outside.faults.arm(f"runner.{step}.py")
    assert run(outside, workflows.REFRESH).error is not None
    assert rows(go(outside, workflows.REFRESH), step)[0].status == "ok"


def test_a_refresh_in_which_nothing_changed_neither_seeds_nor_verifies(outside: Outside) -> None:
    result = go(outside, workflows.INIT_BOX, workflows.DEV, workflows.REFRESH)
    assert [rows(result, step)[0].status for step in ("seed", "verify")] == ["skipped"] * 2
    assert not [name for name in outside.faults.names() if name.startswith("runner.")]


@pytest.mark.parametrize(
    ("name", "seeded"),
    [("static/index.html", "skipped"), ("src/main.txt", "ok"), ("site/run.sh", "ok")],
)
def test_after_an_edit_a_refresh_seeds_what_a_restart_may_have_lost_and_verifies(
    outside: Outside, name: str, seeded: str
) -> None:
    running(outside)
    (outside.lab.folder / name).write_text("edited\n")
    result = go(outside, workflows.REFRESH)
    assert [rows(result, step)[0].status for step in ("seed", "verify")] == [seeded, "ok"]
    result = go(outside, workflows.REFRESH)
    assert [rows(result, step)[0].status for step in ("seed", "verify")] == ["skipped"] * 2


REFRESH_CALLS = [
    *(("connector.copy", when) for when in ("before", "after")),
    *(("engine.create", when) for when in ("before", "after")),
    *(("engine.start", when) for when in ("before", "after")),
    *(("engine.stop", when) for when in ("before", "after")),
    *(("engine.remove", when) for when in ("before", "after")),
    *(("shell.place", when) for when in ("before", "after")),
    *(("shell.record", when) for when in ("before", "after")),
    ("shell.hash", "before"),
    ("engine.container", "before"),
    ("shell.observe", "before"),
    ("shell.read_inside", "before"),
    ("runner.seed.py", "before"),
    ("runner.verify.py", "before"),
]


@pytest.mark.parametrize(("call", "when"), REFRESH_CALLS)
@pytest.mark.parametrize("edited", ["sync", "restart"])
def test_after_any_one_call_of_a_refresh_failed_the_next_one_verifies(
    outside: Outside, call: str, when: When, edited: str
) -> None:
    running(outside)
    folder = outside.lab.folder
    if edited == "restart":
        (folder / "src/main.txt").write_text("source 2\n")
    (folder / "static/index.html").write_text("<h1>two</h1>\n")
    (folder / "static/style/site.css").unlink()
    outside.faults.arm(call, when=when)
    failed = run(outside, workflows.REFRESH)
    outside.faults.disarm()
    result = go(outside, workflows.REFRESH)
    expected = "skipped" if failed.error is None else "ok"
    assert rows(result, "verify")[0].status == expected
    go(outside, workflows.REFRESH)
    assert outside.faults.changes() == []


@pytest.mark.parametrize("call", ["provider.halt", "provider.discard"])
def test_after_a_failed_destroy_the_next_one_leaves_nothing(outside: Outside, call: str) -> None:
    go(outside, workflows.INIT_BOX, workflows.DEV)
    outside.faults.arm(call)
    assert run(outside, workflows.DESTROY).error is not None
    go(outside, workflows.DESTROY)
    assert outside.provider.leftovers_now() == []


def test_a_failed_container_names_its_last_state_and_shows_its_log(outside: Outside) -> None:
    outside.behaviours["queue"] = Behaviour(exits=3, log="no disk\n")
    go(outside, workflows.INIT_BOX)
    error = run(outside, workflows.DEV).error
    assert error is not None
    assert "queue: it ended with exit code 3 (last state: exited" in error.what
    assert error.output == "no disk\n"


def test_a_failed_build_is_told_before_a_refresh_touches_anything(outside: Outside) -> None:
    running(outside)
    (outside.lab.folder / "src/main.txt").write_text("source 2\n")
    outside.lab = change_service(outside.lab, "queue", environment=(("LEVEL", "2"),))
    outside.runner.prepare("make", "app", code=2, stderr="line 3: no\n")
    outside.faults.calls.clear()
    assert run(outside, workflows.REFRESH).error is not None
    assert outside.faults.changes() == []


def test_in_dev_what_mounts_no_artifact_starts_while_others_are_built(outside: Outside) -> None:
    register_box(outside)
    outside.runner.prepare("make", "app", code=2, stderr="line 3: no\n")
    phase = next(p for p in workflows.DEV if p.name == "containers")
    waits = {
        kind: {one for one in after if isinstance(one, Where)}
        for kind, after in phase.parts_after.items()
    }
    built = Where("artifacts", mounts_artifacts)
    assert (waits.pop("conditions"), waits.pop("renew")) == (set(), set())
    assert all(where == {built} for where in waits.values())
    world = outside.world()
    assert [m for m in world.machine_names() if mounts_artifacts(world, m)] == ["web"]


def made_inside_of_a_context(outside: Outside) -> None:
    """The site's image is built from what another artifact makes."""
    lab = outside.lab
    part = Artifact("part", ("src",), lab.folder / "site/app", command=("make", "part"))
    outside.lab = replace(lab, artifacts=(*lab.artifacts, part))

    def make(_: Sequence[str]) -> None:
        source = (lab.folder / "src/main.txt").read_text()
        write_files(lab.folder, {"site/app/main.bin": f"compiled {source}"})

    outside.runner.prepare("make", "part", stdout="made\n", effect=make)


def test_an_image_holds_what_its_artifact_is_in_the_same_run(outside: Outside) -> None:
    made_inside_of_a_context(outside)
    go(outside, workflows.INIT_BOX, workflows.DEV)
    assert "laptop.build_image" not in outside.faults.names()
    (outside.lab.folder / "src/main.txt").write_text("source 2\n")
    go(outside, workflows.REFRESH)
    assert outside.faults.names().count("laptop.build_image") == 1
    go(outside, workflows.REFRESH)
    assert outside.faults.changes() == []


def test_where_no_image_is_built_from_an_artifact_nothing_waits_for_it(outside: Outside) -> None:
    assert not feed_images(outside.world())
    result = go(outside, workflows.INIT_BOX)
    assert rows(result, "artifacts") == []


@pytest.mark.parametrize(
    ("workflow", "does"),
    [
        (workflows.DEV_ON_HOSTS, True),
        (workflows.REFRESH, True),
        (workflows.PREPARE_HOSTS, True),
        (workflows.destroying_on_hosts(), True),
        (workflows.stopping(["site"]), True),
        (workflows.building(["site"]), False),
        (workflows.SELF_CONTAINED, False),
        (workflows.pulling(["site"]), False),
    ],
)
def test_only_work_on_machines_needs_the_lock_of_hosts(
    workflow: tuple[workflows.P, ...], does: bool
) -> None:
    assert workflows.changes_machines(workflow) is does
