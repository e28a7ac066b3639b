"""Proof: each way in which what runs is not what was built is caught, and named."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fakes import Behaviour, Outside, change_service, connected, go, run, running, write_files
from fakes.machine import Folder
from fakes.outside import Silent

from hashlab.config.model import TmpfsMount, Volume
from hashlab.errors import LabError
from hashlab.phases.containers import readiness
from hashlab.phases.proof import prove
from hashlab.phases.upload.transfer import upload
from hashlab.pipeline import CancelToken, Recorder
from hashlab.protocols import Completed
from hashlab.run import workflows


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
    wheres = ("what runs is not what was built", "not all that should run runs")
    assert failure.value.where in wheres
    return failure.value.what


def test_a_lab_that_runs_what_was_built_is_proved_by_looking_into_each_container(
    outside: Outside,
) -> None:
    assert proof(running(outside)) == "4 containers run what was built"
    assert sorted(asked_inside(outside)) == ["broker", "web"]


def asked_inside(outside: Outside) -> list[str]:
    """Machines that were asked what their containers see, each time."""
    return [str(c.words[0]) for c in outside.faults.calls if c.name == "shell.read_inside"]


def test_a_refresh_asks_each_machine_once_where_nothing_changes_in_between(
    outside: Outside,
) -> None:
    running(outside).faults.calls.clear()
    go(outside, workflows.REFRESH)
    assert sorted(asked_inside(outside)) == ["broker", "web"]
    assert outside.faults.names().count("engine.containers") == 3


def test_after_a_change_every_machine_is_asked_again(outside: Outside) -> None:
    running(outside).faults.calls.clear()
    write_files(outside.lab.folder, {"static/index.html": "edited"})
    go(outside, workflows.REFRESH)
    assert sorted(asked_inside(outside)) == sorted(2 * ["broker", "web"])


def test_after_a_service_was_waited_for_every_machine_is_asked_again(outside: Outside) -> None:
    """What it runs may have been started anew meanwhile."""
    running(outside).faults.calls.clear()
    outside.machines["broker"].engine.by_name("small-queue-1").looks = 0
    go(outside, workflows.REFRESH)
    assert sorted(asked_inside(outside)) == sorted(2 * ["broker", "web"])


def test_a_service_that_gets_healthy_again_in_time_is_waited_for(outside: Outside) -> None:
    """It was unhealthy while the machine of a service that it needs was away."""
    running(outside)
    queue = outside.machines["broker"].engine.by_name("small-queue-1")
    outside.behaviours["queue"] = Behaviour(health=("unhealthy", "unhealthy", "healthy"))
    queue.looks = 0
    assert proof(outside) == "4 containers run what was built"
    assert sorted(asked_inside(outside))[:4] == sorted(2 * ["broker", "web"])


def test_a_service_that_stays_unhealthy_is_caught(
    outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "KEPT_SECONDS", 0)
    running(outside)
    outside.behaviours["queue"] = Behaviour(health=("unhealthy",))
    assert refused(outside) == "queue on broker: it is unhealthy"


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
    how = f"it ended with exit code {code} and was not started again"
    assert refused(outside) == f"queue on broker: {how}"


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
    how = "it ended with exit code 1 and was not started again"
    assert refused(outside) == f"migrate on broker: {how}"


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
    said = "sudo: no\n"
    monkeypatch.setattr("fakes.machine.FakeShell._read_all", lambda *_: Completed(1, "", said))
    with pytest.raises(LabError, match="cannot read the containers") as failure:
        proof(outside)
    assert said in str(failure.value)


# Files are compared by what tells one from another; only what is another one is hashed.

FILES = "/var/lib/hashlab/small/files"


def looks(outside: Outside) -> list[str]:
    """Names of the calls that looked at files' content."""
    wanted = ("shell.hash", "shell.hash_inside")
    return [name for name in outside.faults.names() if name in wanted]


def test_a_process_that_sees_the_very_files_of_its_machine_hashes_nothing(
    outside: Outside,
) -> None:
    proof(running(outside))
    assert looks(outside) == []


def test_another_file_of_the_same_content_is_looked_at_and_is_fine(outside: Outside) -> None:
    running(outside).machines["web"].inside["small-site-1", "/etc/site.conf"] = b"workers 1\n"
    assert proof(outside) == "4 containers run what was built"
    assert looks(outside) == ["shell.hash_inside"]


def test_a_secret_that_a_container_does_not_see_is_caught(outside: Outside) -> None:
    target = "/run/secrets/password"
    running(outside).machines["web"].inside["small-site-1", target] = b"another"
    assert refused(outside) == f"site on web: it sees another {target}"


@pytest.mark.parametrize("name", ["out/app", "static"])
def test_a_mount_that_shows_another_folder_is_caught(outside: Outside, name: str) -> None:
    """As after somebody removed the folder on the machine and made it again."""
    running(outside).machines["web"].disk.folders[f"{FILES}/{name}"] = Folder()
    assert refused(outside).count("site on web: ") == 2


def test_a_file_below_another_mount_of_the_service_is_not_expected(outside: Outside) -> None:
    write_files(outside.lab.folder, {"static/cache/hidden.txt": "x", "static/cached.txt": "y"})
    outside.lab = change_service(outside.lab, "site", tmpfs=(TmpfsMount("/static/cache"),))
    running(outside)
    assert proof(outside) == "4 containers run what was built"


def test_a_mount_that_hides_files_and_is_not_in_the_compose_file_is_caught(
    outside: Outside,
) -> None:
    """A volume of the image, or one that somebody made in the container."""
    running(outside).machines["web"].inside["small-site-1", "/static/style"] = b""
    assert "site on web: it runs build" in refused(outside)


def test_a_file_changed_behind_hashlabs_back_with_the_same_size_is_caught(
    outside: Outside,
) -> None:
    file = running(outside).machines["web"].disk.files[f"{FILES}/out/app/main.bin"]
    file.content = file.content.replace(b"source 1", b"source 7")
    assert refused(outside).count("site on web: it sees another /app/main.bin") == 2


def test_a_synchronised_file_changed_behind_hashlabs_back_with_the_same_size_is_caught(
    outside: Outside,
) -> None:
    file = running(outside).machines["web"].disk.files[f"{FILES}/static/index.html"]
    file.content = bytes(reversed(file.content))
    assert refused(outside).count("site on web: it runs build") == 2


def test_a_file_that_became_executable_behind_hashlabs_back_is_caught(outside: Outside) -> None:
    running(outside).machines["web"].disk.files[f"{FILES}/out/app/main.bin"].mode = 0o755
    assert "it sees another /app/main.bin" in refused(outside)


def test_a_manifest_that_tells_a_lie_about_a_changed_file_is_not_believed(
    outside: Outside,
) -> None:
    """It speaks of another file than the one that lies there now."""
    disk = running(outside).machines["web"].disk
    disk.put(f"{FILES}/out/app/main.bin", b"compiled by nobody")
    manifest = disk.files["/var/lib/hashlab/small/manifest"].content
    assert b"files/out/app/main.bin" in manifest
    assert "it sees another /app/main.bin" in refused(outside)


def uploaded(outside: Outside) -> None:
    """Files are brought to the machine, and nothing is restarted."""
    world = connected(outside)
    with Recorder(Silent(), CancelToken()).step("upload") as track:
        upload(world, track, "web")


def test_a_container_that_was_not_restarted_after_its_files_changed_is_caught(
    outside: Outside,
) -> None:
    """Its mount shows the new files, but its process was started with the old ones."""
    running(outside)
    write_files(outside.lab.folder, {"out/app/main.bin": "compiled by hand"})
    uploaded(outside)
    assert refused(outside).count("site on web: it runs build") == 2


def test_one_replica_that_was_forgotten_is_caught(outside: Outside) -> None:
    running(outside)
    write_files(outside.lab.folder, {"conf/site.conf": "workers 2\n"})
    engine = outside.machines["web"].engine
    old = replace(engine.by_name("small-site-2"))
    go(outside, workflows.REFRESH)
    new = engine.by_name("small-site-2")
    new.body, new.binds = old.body, old.binds
    found = refused(outside)
    assert found == "site on web: it sees another /etc/site.conf"


def test_a_file_that_is_left_over_is_caught(outside: Outside) -> None:
    """A class that was deleted, and that the program would still find."""
    write_files(outside.lab.folder, {"static/old.html": "old"})
    running(outside)
    kept = outside.machines["web"].disk.files[f"{FILES}/static/old.html"]
    (outside.lab.folder / "static/old.html").unlink()
    uploaded(outside)
    proof(outside)
    # As it would be, had the upload forgotten to delete it.
    write_files(outside.lab.folder, {"static/old.html": "old"})
    uploaded(outside)
    outside.machines["web"].disk.files[f"{FILES}/static/old.html"] = kept
    (outside.lab.folder / "static/old.html").unlink()
    assert refused(outside).count("site on web: it still sees static/old.html") == 2


def test_a_file_that_a_container_wrote_itself_is_no_leftover(outside: Outside) -> None:
    running(outside).machines["web"].disk.put(f"{FILES}/static/log", b"mine")
    proof(outside)


def test_a_leftover_that_no_container_mounts_is_none(outside: Outside) -> None:
    """Of a mount that was taken away the upload has still to clean up; nobody sees it."""
    running(outside)
    site = next(service for service in outside.lab.services if service.name == "site")
    outside.lab = change_service(outside.lab, "site", binds=site.binds[:1])
    assert "it still sees" not in refused(outside)


def test_a_volume_that_keeps_its_old_options_is_noted_in_each_run(outside: Outside) -> None:
    running(outside)
    options = (("type", "tmpfs"), ("device", "tmpfs"))
    name = outside.lab.volume("data").name
    changed = Volume("data", name, driver_opts=options)
    outside.lab = replace(outside.lab, volumes=(changed,))
    for _ in range(2):
        world = outside.world()
        assert run(outside, workflows.REFRESH, world).error is None
        [note] = [note for note in world.facts.notes if note.startswith("volume")]
        assert f"volume {name} on broker keeps the options that it was made with: none." in note
        assert "The Compose file has: type=tmpfs, device=tmpfs." in note
        assert f"docker volume rm {name}" in note
    engine = outside.machines["broker"].engine
    engine.volume_labels.pop(name)
    outside.lab = replace(outside.lab, volumes=(replace(changed, labels=(("new", "1"),)),))
    world = outside.world()
    assert run(outside, workflows.REFRESH, world).error is None
    assert not [note for note in world.facts.notes if note.startswith("volume")]


def test_options_that_went_are_noted_when_their_container_is_replaced(outside: Outside) -> None:
    name = outside.lab.volume("data").name
    made = Volume("data", name, driver_opts=(("type", "tmpfs"),))
    outside.lab = replace(outside.lab, volumes=(made,))
    running(outside)
    outside.lab = replace(outside.lab, volumes=(Volume("data", name),))
    world = outside.world()
    assert run(outside, workflows.REFRESH, world).error is None
    assert any("made with: type=tmpfs. The Compose file has: none" in n for n in world.facts.notes)


def test_a_lab_without_options_of_volumes_asks_no_machine_for_them(outside: Outside) -> None:
    running(outside)
    assert run(outside, workflows.REFRESH).error is None
    assert "engine.volume_options" not in outside.faults.names()
