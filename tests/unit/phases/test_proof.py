"""Proof: each way in which what runs is not what was built is caught, and named."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fakes import Outside, change_service, connected, running, write_files
from fakes.outside import Silent

from hashlab.errors import LabError
from hashlab.phases.files import upload
from hashlab.phases.proof import prove
from hashlab.pipeline import CancelToken, Recorder
from hashlab.protocols import Completed


def proof(outside: Outside) -> str:
    """Run the phase in a new world; return its detail."""
    world = connected(outside)
    recorder = Recorder(Silent(), CancelToken())
    with recorder.step("proof") as track:
        prove(world, track, "")
    return recorder.rows()[0].detail


def refused(outside: Outside) -> str:
    """What the phase finds wrong."""
    with pytest.raises(LabError) as failure:
        proof(outside)
    assert failure.value.where == "what runs is not what was built"
    return failure.value.what


def test_a_lab_that_runs_what_was_built_is_proved_by_looking_into_each_container(
    outside: Outside,
) -> None:
    assert proof(running(outside)) == "4 containers run what was built"
    asked = [c.words[0] for c in outside.faults.calls if c.name == "shell.read_inside"]
    assert sorted(map(str, asked)) == ["broker", "web"]


def test_a_container_that_still_sees_an_old_file_is_caught(outside: Outside) -> None:
    running(outside).machines["web"].inside["small-site-1", "/app/main.bin"] = b"old"
    assert refused(outside) == "site on web: it sees another /app/main.bin"


def test_a_container_that_still_sees_an_old_synchronised_file_is_caught(outside: Outside) -> None:
    running(outside).machines["web"].inside["small-site-2", "/static/index.html"] = b"old"
    assert "site on web: it runs build" in refused(outside)


def test_a_file_that_is_missing_inside_is_caught(outside: Outside) -> None:
    disk = running(outside).machines["web"].disk
    disk.delete("/var/lib/hashlab/small/files/out/app/main.bin")
    assert "it sees another /app/main.bin" in refused(outside)


def test_a_mount_that_shows_the_file_of_its_start_is_caught(outside: Outside) -> None:
    """A bind mount of one file keeps the old file when that is replaced by a rename."""
    site = next(service for service in outside.lab.services if service.name == "site")
    watched = replace(site.watch[1], path=outside.lab.folder / "conf/site.conf")
    outside.lab = change_service(outside.lab, "site", watch=(*site.watch, watched))
    running(outside)
    write_files(outside.lab.folder, {"conf/site.conf": "workers 2\n"})
    world = connected(outside)
    with Recorder(Silent(), CancelToken()).step("upload") as track:
        upload(world, track, "web")
    assert "site on web: it sees another /etc/site.conf" in refused(outside)


def test_a_process_started_as_an_older_build_is_caught(outside: Outside) -> None:
    running(outside)
    outside.lab = change_service(outside.lab, "queue", environment=(("A", "1"),))
    found = refused(outside)
    assert found.startswith("queue on broker: it runs build ")
    assert ", built was " in found


def test_an_edit_that_was_not_refreshed_is_caught(outside: Outside) -> None:
    running(outside)
    write_files(outside.lab.folder, {"out/app/main.bin": "compiled by hand"})
    assert refused(outside).count("site on web: it sees another /app/main.bin") == 2


def test_a_changed_image_that_was_not_refreshed_is_caught(outside: Outside) -> None:
    running(outside)
    write_files(outside.lab.folder, {"site/run.sh": "exec run --faster\n"})
    assert "site on web: it runs build" in refused(outside)


def test_a_synchronised_file_that_was_deleted_on_the_laptop_only_is_caught(
    outside: Outside,
) -> None:
    running(outside)
    (outside.lab.folder / "static/index.html").unlink()
    assert refused(outside).count("site on web: it still sees static/index.html") == 2


@pytest.mark.parametrize("code", [0, 1, 137])
def test_a_lasting_service_that_ended_is_caught_whatever_its_exit_code(
    outside: Outside, code: int
) -> None:
    running(outside).machines["broker"].engine.die("small-queue-1", code=code)
    assert refused(outside) == "queue on broker: it is exited"


@pytest.mark.parametrize("state", ["created", "dead", "restarting"])
def test_a_container_without_a_process_is_caught(outside: Outside, state: str) -> None:
    container = running(outside).machines["broker"].engine.by_name("small-queue-1")
    container.state, container.pid = state, 0
    assert refused(outside) == f"queue on broker: it is {state}"


def test_a_paused_container_answers_nobody_and_is_caught(outside: Outside) -> None:
    running(outside).machines["broker"].engine.by_name("small-queue-1").state = "paused"
    assert refused(outside) == "queue on broker: it is paused"


def test_a_replica_that_is_not_there_is_caught(outside: Outside) -> None:
    running(outside).machines["web"].engine.remove("small-site-2")
    assert "site on web" in refused(outside)


def test_a_service_that_is_not_there_at_all_is_caught(outside: Outside) -> None:
    running(outside).machines["broker"].engine.remove("small-queue-1")
    assert "queue on broker" in refused(outside)


def test_a_one_shot_that_never_ran_is_caught(outside: Outside) -> None:
    running(outside).machines["broker"].engine.remove("small-migrate-1")
    assert "migrate on broker" in refused(outside)


def test_a_completed_one_shot_of_this_build_is_fine(outside: Outside) -> None:
    running(outside)
    assert outside.machines["broker"].engine.by_name("small-migrate-1").pid == 0
    proof(outside)


def test_a_one_shot_that_failed_is_caught(outside: Outside) -> None:
    running(outside).machines["broker"].engine.die("small-migrate-1", code=1)
    assert refused(outside) == "migrate on broker: it is exited"


def test_a_one_shot_that_completed_as_an_older_build_is_caught(outside: Outside) -> None:
    running(outside)
    outside.lab = change_service(outside.lab, "migrate", command=("migrate", "--all"))
    assert "migrate on broker: it ran build" in refused(outside)


def test_a_process_that_wrote_over_its_environment_is_judged_by_how_it_was_started(
    outside: Outside,
) -> None:
    running(outside).machines["broker"].clobbered.add("queue")
    proof(outside)
    outside.lab = change_service(outside.lab, "queue", environment=(("A", "1"),))
    assert "queue on broker: it runs build" in refused(outside)


def test_a_label_is_not_believed_where_the_process_says_otherwise(outside: Outside) -> None:
    container = running(outside).machines["broker"].engine.by_name("small-queue-1")
    container.body = {**container.body, "Env": ["HASHLAB_BUILD=000000000000"]}
    assert "queue on broker: it runs build 000000000000" in refused(outside)


def test_everything_that_is_wrong_is_told_at_once(outside: Outside) -> None:
    running(outside).machines["broker"].engine.die("small-queue-1")
    outside.machines["web"].inside["small-site-1", "/app/main.bin"] = b"old"
    found = refused(outside)
    assert "queue on broker" in found
    assert "site on web" in found


def test_a_machine_that_cannot_be_looked_into_is_a_failure(
    outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    running(outside)
    monkeypatch.setattr(
        "fakes.machine.FakeShell._read_inside", lambda *_: Completed(1, "", "sudo: no\n")
    )
    with pytest.raises(LabError, match="cannot look inside the containers") as failure:
        proof(outside)
    assert "sudo: no" in str(failure.value)
