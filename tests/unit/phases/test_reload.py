"""Reload: changed files go into a running process, and nobody believes it without asking it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
from fakes import (
    Outside,
    carry_out,
    change_service,
    connected,
    go,
    phase_of,
    rows,
    run,
    running,
    track_of,
)
from fakes.engine import Container

from hashlab.config.model import Debugger, Reload
from hashlab.errors import LabError
from hashlab.phases.builds import Build
from hashlab.phases.containers.actions import Action, decide
from hashlab.phases.containers.phase import wanted_builds
from hashlab.phases.containers.reload import after_swap, differs, process_of, started
from hashlab.phases.containers.sandbox import Fault
from hashlab.phases.proof import read_back
from hashlab.phases.status import status_document
from hashlab.phases.upload.machine import MachineFiles, Process
from hashlab.pipeline import CancelToken, RunResult
from hashlab.protocols import ContainerState
from hashlab.run import workflows

TOOL = ("hotswap", "site")
HOME = "/var/lib/hashlab/small"
A, B = "/app/A.class", "/app/B.class"


def build(start_id: str = "new", fixed: str = "fixed", **files: str) -> Build:
    """A build of two files that can be reloaded; ``a`` and ``b`` are their content."""
    content = {A: files.get("a", "1"), B: files.get("b", "1")}
    places = {path: Path("/lab") / path[1:] for path in content}
    return Build("site", start_id, {**content, "/conf": "1"}, {}, {}, places, fixed)


OLD = Process("now", "old", "fixed", {A: "1", B: "1"})
THERE = ContainerState(
    id="1" * 64,
    name="small-site-1",
    state="running",
    health="",
    exit_code=0,
    image="site:1",
    labels={"hashlab.build": "old"},
    pid=1,
    started_at="now",
)


def known(process: Process | None) -> MachineFiles:
    """What a machine says of the container's process."""
    return MachineFiles(processes={THERE.id: process} if process else {})


REPLACED = Action("replace", "replaced: its build changed")


@pytest.mark.parametrize(
    ("wanted", "process", "expected"),
    [
        (build(a="2"), OLD, Action("reload", "reloaded", (A,))),
        (build(a="2", b="2"), OLD, Action("reload", "reloaded", (A, B))),
        (build(a="2"), None, REPLACED),
        # Something else of the service differs too, or nothing but that.
        (build(fixed="other", a="2"), OLD, REPLACED),
        (build(fixed="other"), OLD, REPLACED),
        # A file came, one went.
        (build(a="2"), replace(OLD, files={A: "1"}), REPLACED),
        (build(a="2"), replace(OLD, files={**OLD.files, "/app/C.class": "1"}), REPLACED),
        # What it was started as is not what it runs by now.
        (build("old"), OLD, Action("keep")),
        (build("new", a="2"), after_swap(build(a="2"), OLD, (A,)), Action("keep")),
        (build("old"), after_swap(build(a="2"), OLD, (A,)), Action("reload", "reloaded", (A,))),
        # It was found not to run what was put into it.
        (build("old"), replace(OLD, build="", fixed="", reloaded=(A,)), REPLACED),
        (build("new", a="2"), replace(OLD, build="", fixed="", reloaded=(A,)), REPLACED),
        # What was put into it can be proved no longer.
        (build("old"), replace(OLD, reloaded=("/app/gone",)), REPLACED),
    ],
)
def test_only_files_that_a_process_may_take_in_are_reloaded(
    wanted: Build, process: Process | None, expected: Action
) -> None:
    assert decide(wanted, THERE, files=known(process)) == expected


@pytest.mark.parametrize("kind", ["replace", "restart"])
def test_a_container_that_is_not_in_its_network_is_replaced_and_not_reloaded(
    kind: Literal["replace", "restart"],
) -> None:
    fault = Fault(kind, "its sandbox was started again")
    found = decide(build(a="2"), THERE, files=known(OLD), fault=fault)
    assert found.kind == "replace"
    # What it took in would be lost by a restart.
    assert decide(build("old"), THERE, files=known(OLD), fault=fault).kind == "replace"


def test_nothing_differs_where_all_is_the_same() -> None:
    assert differs(build(), OLD) == ()
    assert differs(build(), None) == ()


@pytest.mark.parametrize(
    "there",
    [
        replace(THERE, started_at="later"),
        replace(THERE, state="exited"),
        replace(THERE, state="paused"),
        replace(THERE, id="2" * 64),
    ],
    ids=["restarted by itself", "ended", "paused", "another container"],
)
def test_what_was_written_down_counts_for_that_one_process_only(there: ContainerState) -> None:
    files = MachineFiles(processes={THERE.id: OLD})
    assert process_of(THERE, files) is OLD
    assert process_of(there, files) is None


def test_what_took_files_in_and_was_started_anew_runs_no_build_that_is_known() -> None:
    reloaded = after_swap(build("one", a="2"), OLD, (A,))
    found = process_of(
        replace(THERE, started_at="later"), MachineFiles(processes={THERE.id: reloaded})
    )
    assert found is not None
    assert (found.build, differs(build(), found)) == ("", ())


def test_what_was_taken_is_remembered_with_what_was_taken_before() -> None:
    first = after_swap(build("one", a="2"), started(build("zero"), THERE), (A,))
    second = after_swap(build("two", a="2", b="2"), first, (B,))
    assert second == Process("now", "two", "fixed", {A: "2", B: "2"}, (A, B))


# On a lab of fakes


def answers(outside: Outside, word: str, said: object, *, code: int = 0, stderr: str = "") -> None:
    text = said if isinstance(said, str) else json.dumps(said)
    outside.runner.prepare(*TOOL, word, stdout=text, code=code, stderr=stderr)


@pytest.fixture
def lab(outside: Outside) -> Outside:
    """A lab that runs; service site takes changed files of /app into its process."""
    one = change_service(outside.lab, "site", replicas=1)
    reload = Reload("site", TOOL, (outside.lab.folder / "out/app",))
    outside.lab = replace(one, reloads=(reload,))
    answers(outside, "swap", {"taken": True, "detail": "1 class"})
    answers(outside, "prove", {"stale": {}})
    return running(outside)


def edit(outside: Outside, text: str) -> None:
    """Change the source of what /app is built from."""
    (outside.lab.folder / "src/main.txt").write_text(text)


def refresh(outside: Outside) -> RunResult:
    return go(outside, workflows.REFRESH)


def site(outside: Outside) -> Container:
    return outside.machines["web"].engine.by_name("small-site-1")


def told(result: RunResult) -> str:
    return next(row.detail for row in rows(result, "container") if row.service == "site")


def asked(outside: Outside, word: str) -> list[dict[str, Any]]:
    """What the command was given to read, each time it was asked this."""
    return [json.loads(r.stdin) for r in outside.runner.ran if r.command == (*TOOL, word)]


def record(outside: Outside, machine: str = "web") -> dict[str, Any]:
    """What the machine remembers of its processes."""
    file = outside.machines[machine].disk.files.get(f"{HOME}/processes")
    return json.loads(file.content) if file else {}


def replaced(outside: Outside) -> bool:
    return "engine.create" in outside.faults.names()


def test_a_process_is_written_down_when_it_starts_and_only_where_it_can_be_reloaded(
    lab: Outside,
) -> None:
    noted = record(lab)
    assert set(noted) == {site(lab).id}
    (process,) = noted.values()
    assert process["started_at"] == site(lab).started_at
    assert process["build"] == site(lab).labels["hashlab.build"]
    assert set(process["files"]) == {"/app/main.bin"}
    assert process["reloaded"] == []
    (completed,) = record(lab, "broker").values()
    assert completed["finished_at"]
    assert asked(lab, "prove") == []


def test_a_changed_file_is_put_into_the_process_that_goes_on_running(lab: Outside) -> None:
    before = site(lab)
    edit(lab, "source 2\n")
    result = refresh(lab)
    assert site(lab) is before
    assert told(result) == "reloaded: 1 class"
    assert not {"engine.create", "engine.stop", "engine.start"} & set(lab.faults.names())
    assert rows(result, "proof")[0].detail == "3 containers run what was built"
    assert rows(result, "seed")[0].status == "skipped"
    assert rows(result, "verify")[0].status == "ok"


def test_the_command_is_told_the_build_the_files_and_every_address(lab: Outside) -> None:
    edit(lab, "source 2\n")
    refresh(lab)
    (question,) = asked(lab, "swap")
    path = lab.lab.folder / "out/app/main.bin"
    assert question == {
        "service": "site",
        "build": record(lab)[site(lab).id]["build"],
        "files": {"/app/main.bin": str(path)},
    }
    ran = next(r for r in lab.runner.ran if r.command == (*TOOL, "swap"))
    assert ran.cwd == lab.lab.folder
    assert ran.env["HASHLAB_URL_SITE"] == "http://127.0.0.1:8080"
    assert ran.env["HASHLAB_PATIENCE"] == "1"
    assert asked(lab, "prove") == [question]


def test_a_service_with_a_debugger_gives_its_command_a_private_way_to_it(lab: Outside) -> None:
    debugger = Debugger("jdwp", 5005, lab.lab.folder / "src")
    lab.lab = change_service(lab.lab, "site", debugger=debugger)
    refresh(lab)
    edit(lab, "source 2\n")
    found: list[Path] = []

    def look(words: Sequence[str]) -> None:
        [path] = [Path(r.env["HASHLAB_DEBUGGER"]) for r in lab.runner.ran if r.command == words]
        assert path.exists() and path.parent.stat().st_mode & 0o777 == 0o700
        found.append(path)

    lab.runner.prepare(*TOOL, "swap", stdout='{"taken": true}', effect=look)
    assert told(refresh(lab)) == "reloaded: taken"
    served = next(call for call in lab.faults.calls if call.name == "shell.serve")
    assert served.words[-1] == "TCP:127.0.0.1:5005,nodelay"
    [path] = found
    assert not path.parent.exists()


def test_the_file_is_on_the_machine_before_the_process_is_asked_to_take_it(lab: Outside) -> None:
    edit(lab, "source 2\n")
    refresh(lab)
    names = lab.faults.names()
    assert names.index("shell.place") < names.index("runner.hotswap")


def test_what_was_taken_is_written_down_and_the_next_refresh_changes_nothing(lab: Outside) -> None:
    edit(lab, "source 2\n")
    refresh(lab)
    process = record(lab)[site(lab).id]
    assert process["reloaded"] == ["/app/main.bin"]
    assert process["build"] != site(lab).labels["hashlab.build"]
    refresh(lab)
    assert lab.faults.changes() == []
    assert len(asked(lab, "swap")) == 1
    assert len(asked(lab, "prove")) == 2


def test_an_edit_and_its_undoing_are_both_reloaded(lab: Outside) -> None:
    """After it the build is that of the label again, and yet not what the label speaks of."""
    before = site(lab)
    for text in ("source 2\n", "source 1\n", "source 2\n"):
        edit(lab, text)
        assert told(refresh(lab)) == "reloaded: 1 class"
    assert site(lab) is before
    assert [len(asked(lab, word)) for word in ("swap", "prove")] == [3, 3]


def test_a_process_that_took_files_in_is_started_again_with_what_its_container_shows(
    lab: Outside,
) -> None:
    edit(lab, "source 2\n")
    assert told(refresh(lab)).startswith("reloaded")
    go(lab, workflows.stopping(["site"]))
    edit(lab, "source 1\n")
    assert told(refresh(lab)).startswith("started again")
    assert record(lab)[site(lab).id]["reloaded"] == []
    edit(lab, "source 3\n")
    assert told(refresh(lab)).startswith("reloaded"), "the new process takes files in, too"


def test_an_undone_edit_is_proved_too_although_the_label_is_right(lab: Outside) -> None:
    for text in ("source 2\n", "source 1\n"):
        edit(lab, text)
        refresh(lab)
    assert record(lab)[site(lab).id]["build"] == site(lab).labels["hashlab.build"]
    answers(lab, "prove", {"stale": {"/app/main.bin": "the old one runs"}})
    assert "the old one runs" in failure_of(lab)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"taken": False, "why": "it adds the method foo()"}, "it adds the method foo()"),
        ({"taken": False}, "it was not taken"),
        ({}, "it was not taken"),
        ({"taken": "yes"}, "it was not taken"),
    ],
)
def test_what_is_not_taken_replaces_the_container_and_says_why(
    lab: Outside, said: object, why: str
) -> None:
    before = site(lab)
    answers(lab, "swap", said)
    edit(lab, "source 2\n")
    result = refresh(lab)
    assert told(result) == f"replaced: {why}"
    assert site(lab).id != before.id
    assert set(record(lab)) == {site(lab).id}
    assert asked(lab, "prove") == []
    assert rows(result, "seed")[0].status == "ok"


@pytest.mark.parametrize(
    ("code", "said", "what"),
    [
        (3, "", "the reload command failed with exit code 3"),
        (0, "no JSON", "the reload command printed no JSON object"),
        (0, "", "the reload command printed no JSON object"),
        (0, "[]", "the reload command printed no JSON object"),
        (0, '"taken"', "the reload command printed no JSON object"),
    ],
)
def test_where_the_command_fails_the_container_is_replaced(
    lab: Outside, code: int, said: str, what: str
) -> None:
    answers(lab, "swap", said, code=code, stderr="Traceback\n")
    edit(lab, "source 2\n")
    assert told(refresh(lab)) == f"replaced: {what}"
    assert replaced(lab)


def test_a_command_that_fails_is_noted_with_its_service(lab: Outside) -> None:
    answers(lab, "swap", "", code=3)
    edit(lab, "source 2\n")
    world = connected(lab)
    with track_of() as track:
        for name in ("artifacts", "containers"):
            carry_out(world, phase_of(workflows.REFRESH, name), track)
    assert world.facts.notes == [
        "site: the reload command failed with exit code 3 (hotswap site swap)"
    ]


def test_a_command_that_does_not_answer_in_time_is_noted_and_the_container_replaced(
    lab: Outside,
) -> None:
    lab.faults.arm("runner.hotswap", LabError("hotswap did not finish within 60 s"))
    edit(lab, "source 2\n")
    assert told(refresh(lab)) == "replaced: hotswap did not finish within 60 s"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda folder: (folder / "conf/site.conf").write_text("workers 2\n"),
        lambda folder: (folder / "site/run.sh").write_text("exec run --faster\n"),
        lambda folder: (folder / "out/app/new.bin").write_text("new"),
    ],
    ids=["another file", "the image", "a file was added"],
)
def test_where_more_than_reloadable_files_changed_nobody_is_asked(lab: Outside, spoil: Any) -> None:
    spoil(lab.lab.folder)
    edit(lab, "source 2\n")
    refresh(lab)
    assert asked(lab, "swap") == []
    assert replaced(lab)


def test_a_synchronised_file_that_changed_too_does_not_hinder_a_reload(lab: Outside) -> None:
    edit(lab, "source 2\n")
    (lab.lab.folder / "static/index.html").write_text("<h1>two</h1>\n")
    result = refresh(lab)
    assert told(result) == "reloaded: 1 class"
    assert rows(result, "proof")[0].status == "ok"


def restart(outside: Outside) -> None:
    """As the engine does with a container whose process ended."""
    engine = outside.machines["web"].engine
    engine.die("small-site-1")
    engine.start(site(outside).id)


def test_after_the_container_restarted_by_itself_what_was_written_down_counts_no_more(
    lab: Outside,
) -> None:
    edit(lab, "source 2\n")
    refresh(lab)
    restart(lab)
    before = site(lab).id
    result = refresh(lab)
    assert told(result) == "replaced: its build changed"
    assert site(lab).id != before
    assert len(asked(lab, "swap")) == 1


def test_a_process_that_restarted_by_itself_is_found_out_when_the_edit_is_taken_back(
    lab: Outside,
) -> None:
    """Its container is of the very build that is wanted again, but it has read the other files."""
    edit(lab, "source 2\n")
    refresh(lab)
    restart(lab)
    before = site(lab).id
    edit(lab, "source 1\n")
    assert told(refresh(lab)) == "replaced: its build changed"
    assert site(lab).id != before


def test_a_process_that_restarted_by_itself_is_not_reloaded(lab: Outside) -> None:
    restart(lab)
    edit(lab, "source 2\n")
    assert told(refresh(lab)) == "replaced: its build changed"
    assert asked(lab, "swap") == []


def test_containers_that_are_gone_are_forgotten(lab: Outside) -> None:
    first = site(lab).id
    (lab.lab.folder / "conf/site.conf").write_text("workers 2\n")
    refresh(lab)
    assert first not in record(lab)
    assert set(record(lab)) == {site(lab).id}


def failure_of(outside: Outside) -> str:
    """What the proof of a refresh finds wrong."""
    error = run(outside, workflows.REFRESH).error
    assert error is not None
    assert error.where == "what runs is not what was built"
    return error.what


@pytest.mark.parametrize(
    ("said", "code", "what"),
    [
        ({"stale": {"/app/main.bin": "the old one runs"}}, 0, "/app/main.bin: the old one runs"),
        ({}, 0, "what was reloaded cannot be proved: the command printed no 'stale'"),
        ({"stale": []}, 0, "what was reloaded cannot be proved: the command printed no 'stale'"),
        ({"stale": None}, 0, "what was reloaded cannot be proved: the command printed no 'stale'"),
        ("", 0, "what was reloaded cannot be proved: the reload command printed no JSON object"),
        ("[]", 0, "what was reloaded cannot be proved: the reload command printed no JSON object"),
        ("{}", 9, "what was reloaded cannot be proved: the reload command failed with exit code 9"),
    ],
)
def test_a_reload_that_the_process_does_not_confirm_is_caught_and_mended_by_the_next_refresh(
    lab: Outside, said: object, code: int, what: str
) -> None:
    answers(lab, "prove", said, code=code)
    edit(lab, "source 2\n")
    assert failure_of(lab) == f"site on web: {what}"
    before = site(lab).id
    result = refresh(lab)
    assert told(result) == "replaced: its build changed"
    assert site(lab).id != before
    assert rows(result, "verify")[0].status == "ok"


def test_a_reload_that_was_told_and_never_applied_is_caught_after_an_undone_edit_too(
    lab: Outside,
) -> None:
    """The label then says the right build, so it alone must not keep the container."""
    answers(lab, "prove", {"stale": {"/app/main.bin": "no"}})
    edit(lab, "source 2\n")
    failure_of(lab)
    edit(lab, "source 1\n")
    assert told(refresh(lab)) == "replaced: its build changed"


def test_a_reload_that_hashlab_toml_has_no_longer_replaces_what_was_reloaded(lab: Outside) -> None:
    edit(lab, "source 2\n")
    refresh(lab)
    lab.lab = replace(lab.lab, reloads=())
    assert told(refresh(lab)) == "replaced: its build changed"


def test_the_build_that_is_read_back_is_the_one_that_was_reloaded(lab: Outside) -> None:
    edit(lab, "source 2\n")
    refresh(lab)
    world = connected(lab)
    wanted = wanted_builds(world)
    found = {one.service: one for one in read_back(world, wanted, CancelToken())}
    assert (found["site"].build, found["site"].stale) == (wanted["site"].id, "")
    assert wanted["site"].start_id != site(lab).labels["hashlab.build"]


def test_status_tells_the_reloaded_build_and_what_the_process_says_of_it(lab: Outside) -> None:
    edit(lab, "source 2\n")
    refresh(lab)

    def status() -> tuple[str, str | None, str | None]:
        lab.faults.calls.clear()
        with track_of() as track:
            services = status_document(lab.world(), track).services
        one = next(service for service in services if service.name == "site")
        return one.build, one.running_build, one.stale

    build, running_build, stale = status()
    assert (running_build, stale) == (build, None)
    answers(lab, "prove", {"stale": {"/app/main.bin": "the old one runs"}})
    assert status()[2] == "/app/main.bin: the old one runs"
    assert lab.faults.changes() == []


def test_a_run_that_was_killed_between_taking_and_writing_down_is_mended(lab: Outside) -> None:
    edit(lab, "source 2\n")
    lab.faults.arm("engine.container", always=True)
    assert run(lab, workflows.REFRESH).error is not None
    lab.faults.disarm()
    result = refresh(lab)
    assert told(result).startswith(("reloaded", "replaced"))
    assert rows(result, "proof")[0].status == "ok"
    refresh(lab)
    assert lab.faults.changes() == []


@pytest.mark.parametrize("call", ["shell.record", "runner.hotswap", "shell.place", "shell.observe"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_after_any_one_call_of_a_reload_failed_the_next_refresh_is_right(
    lab: Outside, call: str, when: Any
) -> None:
    edit(lab, "source 2\n")
    lab.faults.arm(call, when=when)
    run(lab, workflows.REFRESH)
    lab.faults.disarm()
    result = refresh(lab)
    assert rows(result, "proof")[0].status == "ok"
    assert lab.machines["web"].disk.files[f"{HOME}/files/out/app/main.bin"].content == (
        b"compiled source 2\n"
    )
    refresh(lab)
    assert lab.faults.changes() == []


def test_a_broken_record_of_processes_means_that_the_container_is_replaced(lab: Outside) -> None:
    lab.machines["web"].disk.files[f"{HOME}/processes"].content = b"{broken"
    edit(lab, "source 2\n")
    assert told(refresh(lab)) == "replaced: its build changed"
    assert set(record(lab)) == {site(lab).id}
