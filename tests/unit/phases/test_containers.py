"""Containers: what is kept, replaced, removed, and in which order they start and become ready."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fakes import (
    Behaviour,
    Outside,
    carry_out,
    change_service,
    connected,
    go,
    phase_of,
    run,
    running,
    track_of,
)
from fakes.outside import Silent

from hashlab.config.model import Dependency, Healthcheck, Service, Volume
from hashlab.errors import LabError
from hashlab.phases import proof
from hashlab.phases.builds import Build
from hashlab.phases.containers import phase, readiness
from hashlab.phases.containers.actions import Action, after_dependency, decide
from hashlab.phases.containers.readiness import is_one_shot, keeps_ending, wait_ready
from hashlab.phases.upload.machine import MachineFiles, Process
from hashlab.phases.upload.transfer import upload
from hashlab.pipeline import Cancelled, CancelToken, Recorder, Row
from hashlab.protocols import Completed, ContainerState
from hashlab.run import workflows

BUILD = Build("site", "abc", {}, {})
ONE_SHOT = Service("site", "web", "site:1", restart="no")


def state(**changes: object) -> ContainerState:
    """A container that runs the build; ``changes`` say what is different."""
    running_one = ContainerState(
        id="1" * 64,
        name="small-site-1",
        state="running",
        health="",
        exit_code=0,
        image="site:1",
        labels={"hashlab.build": "abc"},
        pid=1,
        started_at="now",
    )
    return replace(running_one, **changes)  # type: ignore[arg-type]


def started_again(code: int) -> Action:
    return Action("start", f"started again: it had ended with exit code {code}")


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        (None, Action("create", "started")),
        (state(), Action("keep")),
        (state(health="unhealthy"), Action("keep")),
        (state(labels={"hashlab.build": "old"}), "its build changed"),
        (state(labels={}), "its build changed"),
        (state(state="exited", exit_code=1), started_again(1)),
        (state(state="exited", exit_code=0), started_again(0)),
        (state(state="created"), "it was created"),
        (state(state="dead"), "it was dead"),
        (state(state="paused"), "it was paused"),
        (state(state="restarting"), "it was restarting"),
        (state(state="exited", labels={"hashlab.build": "old"}), "its build changed"),
    ],
)
def test_what_happens_to_a_container(there: ContainerState | None, expected: Action | str) -> None:
    if isinstance(expected, str):
        expected = Action("replace", f"replaced: {expected}")
    assert decide(BUILD, there) == expected


@pytest.mark.parametrize(
    ("restart", "expected"),
    [
        ("no", True),
        ("on-failure", True),
        ("on-failure:3", True),
        ("always", False),
        ("unless-stopped", False),
    ],
)
def test_a_service_that_docker_does_not_restart_may_end(restart: str, expected: bool) -> None:
    assert is_one_shot(replace(ONE_SHOT, restart=restart)) is expected


def start(outside: Outside) -> tuple[Row, ...]:
    """Run the phase in a new world on machines that are up; return its rows."""
    world = connected(outside)
    recorder = Recorder(Silent(), CancelToken())
    with recorder.step("containers") as track:
        carry_out(world, phase_of(workflows.REFRESH, "containers"), track)
    return recorder.rows()


def created(outside: Outside) -> list[str]:
    names = [str(c.words[1]) for c in outside.faults.calls if c.name == "engine.create"]
    return [name for name in names if not name.endswith(".sandbox")]


def names_on(outside: Outside, machine: str) -> list[str]:
    """The names of all containers of a machine, sandboxes too."""
    return [container.name for container in outside.machines[machine].engine.all.values()]


def removed(outside: Outside) -> list[str]:
    return [str(c.words[1]) for c in outside.faults.calls if c.name == "engine.remove"]


def test_nothing_is_touched_when_nothing_changed(outside: Outside) -> None:
    rows = start(running(outside))
    assert (rows[0].status, rows[0].detail) == ("skipped", "3 unchanged")
    assert outside.faults.changes() == []


def test_a_row_tells_why_a_service_was_started_anew(outside: Outside) -> None:
    running(outside)
    before = outside.machines["web"].engine.by_name("small-site-2")
    outside.machines["web"].engine.die("small-site-2")
    rows = start(outside)
    told = {(row.name, row.service): row.detail for row in rows if row.status == "ok"}
    assert told["container", "site"] == "started again: it had ended with exit code 1"
    assert told["healthy", "site"] == "healthy"
    assert outside.machines["web"].engine.by_name("small-site-2").id == before.id


def test_a_replaced_container_was_stopped_within_its_grace_period(outside: Outside) -> None:
    outside.lab = change_service(outside.lab, "site", stop_grace_period=2.4)
    running(outside)
    outside.lab = change_service(outside.lab, "site", environment=(("GREETING", "hi"),))
    start(outside)
    stopped = [call.words[2] for call in outside.faults.calls if call.name == "engine.stop"]
    assert stopped == [2, 2]


def test_without_a_grace_period_it_is_composes_ten_seconds(outside: Outside) -> None:
    running(outside)
    outside.lab = change_service(outside.lab, "site", environment=(("GREETING", "hi"),))
    start(outside)
    stopped = [call.words[2] for call in outside.faults.calls if call.name == "engine.stop"]
    assert stopped == [10, 10]


def test_a_container_whose_network_was_made_anew_is_replaced(outside: Outside) -> None:
    running(outside)
    outside.clusters["192.168.60.5"].overlays.clear()
    rows = start(outside)
    told = {row.service: row.detail for row in rows if row.name == "container"}
    assert told["queue"] == told["site"] == "replaced: the network is a new one"


@pytest.mark.parametrize("sent_again", [False, True])
def test_a_container_whose_mounted_folder_was_removed_by_hand_is_replaced(
    outside: Outside, sent_again: bool
) -> None:
    """Its mount shows the removed folder for ever, also when the files are there again."""
    disk = running(outside).machines["web"].disk
    disk.delete_tree("/var/lib/hashlab/small/files/static")
    if sent_again:
        with track_of() as track:
            upload(connected(outside), track, "web")
    result = go(outside, workflows.REFRESH)
    told = [r for r in result.rows if r.name == "container" and r.status == "ok"]
    assert [(r.service, r.detail) for r in told] == [
        ("site", "replaced: the folder at /static was removed on its machine")
    ]
    outside.faults.calls.clear()
    go(outside, workflows.REFRESH)
    assert created(outside) == []


def test_containers_nobody_wants_any_more_are_removed(outside: Outside) -> None:
    running(outside)
    outside.lab = replace(
        outside.lab, services=tuple(s for s in outside.lab.services if s.name != "site")
    )
    rows = start(outside)
    assert rows[0].detail == "2 removed"
    assert not outside.machines["web"].engine.all


def test_containers_of_others_on_a_machine_stay(outside: Outside) -> None:
    running(outside)
    engine = outside.machines["web"].engine
    engine.create("by-hand", {"Image": "small/site", "Labels": {"hashlab.lab": "another-123456"}})
    start(outside)
    assert engine.container("by-hand") is not None


def test_fewer_replicas_means_that_the_last_are_removed(outside: Outside) -> None:
    running(outside)
    outside.lab = change_service(outside.lab, "site", replicas=1)
    start(outside)
    assert sorted(names_on(outside, "web")) == ["small-site-1", "small-site-1.sandbox"]


def test_more_replicas_means_that_only_new_ones_are_started(outside: Outside) -> None:
    running(outside)
    outside.lab = change_service(outside.lab, "site", replicas=4)
    start(outside)
    assert created(outside) == ["small-site-3", "small-site-4"]


def test_no_replicas_means_no_containers(outside: Outside) -> None:
    outside.lab = change_service(outside.lab, "site", replicas=0)
    running(outside)
    assert not outside.machines["web"].engine.all


def chain(outside: Outside, condition: str) -> None:
    """Two services on two machines: ``second`` depends on ``first``."""
    first = Service(
        "first", "broker", "small/queue", healthcheck=Healthcheck(("CMD", "ok")), restart="always"
    )
    dependency = Dependency("first", condition)  # type: ignore[arg-type]
    second = Service("second", "web", "small/queue", depends_on=(dependency,), restart="always")
    # The dependent stands first in the file, so that only the dependency puts it second.
    outside.lab = replace(outside.lab, services=(second, first))


def order(outside: Outside) -> list[str]:
    """The creations, and the looks at container first until it is ready."""
    told = []
    for call in outside.faults.calls:
        if call.name == "engine.create" or call.words[1:2] == ("small-first-1",):
            told.append(f"{call.name.removeprefix('engine.')} {call.words[1]}")
    return told


def test_service_started_waits_for_the_start_and_not_for_health(outside: Outside) -> None:
    chain(outside, "service_started")
    outside.behaviours["first"] = Behaviour(health=("starting",) * 100 + ("healthy",))
    go(outside, workflows.INIT_BOX, workflows.DEV)
    told = order(outside)
    second = told.index("create small-second-1")
    assert told.index("create small-first-1") < second
    assert told.count("container small-first-1") >= 100
    assert told[:second].count("container small-first-1") < 100


def test_service_healthy_waits_until_it_is_healthy(outside: Outside) -> None:
    chain(outside, "service_healthy")
    outside.behaviours["first"] = Behaviour(health=("starting",) * 5 + ("healthy",))
    go(outside, workflows.INIT_BOX, workflows.DEV)
    told = order(outside)
    before = told[: told.index("create small-second-1")]
    assert before.count("container small-first-1") == 5


def test_service_completed_waits_until_it_ended_well(outside: Outside) -> None:
    chain(outside, "service_completed_successfully")
    outside.lab = change_service(outside.lab, "first", restart="no")
    outside.behaviours["first"] = Behaviour(exits=0)
    go(outside, workflows.INIT_BOX, workflows.DEV)
    told = order(outside)
    assert told.index("container small-first-1") < told.index("create small-second-1")


def test_a_dependency_that_fails_keeps_its_dependents_from_starting(outside: Outside) -> None:
    running(outside)
    outside.behaviours["queue"] = Behaviour(exits=1, log="disk full\n")
    outside.lab = change_service(outside.lab, "queue", environment=(("A", "1"),))
    with pytest.raises(LabError, match="service queue: it ended with exit code 1"):
        start(outside)
    assert created(outside) == ["small-queue-1"]


def test_services_of_inactive_profiles_are_not_waited_for(outside: Outside) -> None:
    outside.lab = change_service(outside.lab, "site", depends_on=(Dependency("profiled"),))
    running(outside)
    assert {"small-site-1", "small-site-2"} <= set(names_on(outside, "web"))


def test_a_completed_one_shot_is_not_run_again(outside: Outside) -> None:
    running(outside)
    rows = start(outside)
    told = {row.service: row.status for row in rows if row.name == "container"}
    assert told["migrate"] == "skipped"


def test_a_one_shot_whose_build_changed_runs_again(outside: Outside) -> None:
    running(outside)
    outside.lab = change_service(outside.lab, "migrate", command=("migrate", "--all"))
    start(outside)
    assert created(outside) == ["small-migrate-1"]


def test_a_one_shot_that_failed_runs_again(outside: Outside) -> None:
    running(outside)
    outside.machines["broker"].engine.die("small-migrate-1", code=1)
    rows = start(outside)
    told = {row.service: row.detail for row in rows if row.name == "container"}
    assert told["migrate"] == "started again: it had ended with exit code 1"


def ready(outside: Outside, name: str = "queue") -> None:
    """Wait for one service, as the phase does."""
    world = connected(outside)
    service = next(one for one in outside.lab.services if one.name == name)
    with Recorder(Silent(), CancelToken()).step("healthy") as step:
        wait_ready(world, service, f"small-{name}-1", step)


def test_a_container_without_health_check_is_ready_once_it_runs(outside: Outside) -> None:
    outside.lab = change_service(outside.lab, "queue", healthcheck=None)
    ready(running(outside))


SEEN = Process("now", "abc", "", {}, finished_at="then")


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        ({}, "keep"),
        # Its machine restarted since a run saw it end, or it ended another way.
        ({"finished_at": "later"}, "start"),
        ({"started_at": "later"}, "start"),
        ({"exit_code": 1}, "start"),
        ({"id": "2" * 64}, "start"),
    ],
)
def test_only_the_very_exit_that_a_run_saw_is_believed(
    there: dict[str, object], expected: str
) -> None:
    ended = state(**{"state": "exited", "finished_at": "then", **there})
    files = MachineFiles(processes={"1" * 64: SEEN})
    assert decide(BUILD, ended, files=files).kind == expected


def test_a_service_that_ended_with_its_machine_is_started_again(outside: Outside) -> None:
    """It ends with 0 on TERM, as Redis does; nothing restarts it."""
    outside.lab = change_service(outside.lab, "queue", restart="no", healthcheck=None)
    running(outside)
    outside.machines["broker"].engine.die("small-queue-1", code=0)
    error = run(outside, workflows.VERIFY).error
    assert error is not None
    assert error.what == "queue on broker: it ended with exit code 0 and was not started again"
    result = go(outside, workflows.REFRESH)
    details = {row.service: row.detail for row in result.rows if row.name == "container"}
    assert details["queue"] == "started again: it had ended with exit code 0"
    assert outside.machines["broker"].engine.by_name("small-queue-1").pid
    go(outside, workflows.VERIFY)


def test_a_job_that_ends_while_its_first_run_looks_is_not_run_again(outside: Outside) -> None:
    """Nothing waits for it, and it ends after it was ready."""
    outside.lab = change_service(outside.lab, "queue", restart="no", healthcheck=None)
    engine = running(outside).machines["broker"].engine
    outside.lab = change_service(outside.lab, "queue", environment=(("A", "1"),))
    world = connected(outside)
    recorder = Recorder(Silent(), CancelToken())
    with recorder.step("containers") as track:
        carry_out(world, phase_of(workflows.REFRESH, "containers"), track)
        engine.die("small-queue-1", code=0)
        proof.prove(world, track, "")
    assert not start(outside)[0].detail.endswith("started")
    go(outside, workflows.VERIFY)


def test_a_container_that_ends_again_and_again_is_a_failure(outside: Outside) -> None:
    outside.lab = change_service(outside.lab, "queue", healthcheck=None)
    running(outside)
    queue = outside.machines["broker"].engine.by_name("small-queue-1")

    class Restarting:
        """Counts one more restart at each look."""

        def __get__(self, one: object, kind: object) -> int:
            queue.looks += 1
            return queue.looks

        def __set__(self, one: object, value: int) -> None:
            pass

    kind = type(queue)
    queue.__class__ = type("Looping", (kind,), {"restarts": Restarting()})
    with pytest.raises(LabError, match="it ends again and again"):
        ready(outside)


def test_a_recent_restart_by_policy_is_no_proof_that_it_runs() -> None:
    now = datetime.now(UTC)
    young, old = (now - timedelta(seconds=age) for age in (2, 20))
    assert not keeps_ending(state(restarts=0, started_at=now.isoformat()))
    assert keeps_ending(state(restarts=1, started_at=young.isoformat()))
    assert not keeps_ending(state(restarts=1, started_at=old.isoformat()))
    assert not keeps_ending(state(restarts=1, started_at=young.isoformat(), checked=True))
    # As an engine writes it.
    assert not keeps_ending(state(restarts=1, started_at="2026-01-01T00:00:00.123456789Z"))


def test_what_was_only_started_again_and_stays_unwell_is_replaced(
    outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    running(outside)
    outside.machines["broker"].engine.die("small-queue-1", code=1)
    outside.behaviours["queue"] = Behaviour(health=("starting",))
    monkeypatch.setattr(phase, "KEPT_SECONDS", 0)
    monkeypatch.setattr(readiness, "READY_SECONDS", 0)
    with pytest.raises(LabError, match="not ready after 0 s"):
        start(outside)
    assert created(outside) == ["small-queue-1"]


@pytest.mark.parametrize("move", ["left", "moved"])
def test_a_container_that_is_not_wanted_any_more_gets_its_own_grace_period(
    outside: Outside, move: str
) -> None:
    outside.lab = change_service(outside.lab, "site", stop_grace_period=42)
    running(outside)
    if move == "moved":
        outside.lab = change_service(outside.lab, "site", machine="broker")
    else:
        services = tuple(s for s in outside.lab.services if s.name != "site")
        outside.lab = replace(outside.lab, services=services)
    start(outside)
    stopped = [call.words[2] for call in outside.faults.calls if call.name == "engine.stop"]
    assert stopped == [42, 42]


def test_a_failed_wait_shows_state_health_log_and_what_to_type(
    outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    running(outside)
    outside.behaviours["queue"] = Behaviour(health=("unhealthy",), log="line 1\nline 2\n")
    monkeypatch.setattr(readiness, "READY_SECONDS", -1)
    with pytest.raises(LabError) as failure:
        ready(outside)
    error = failure.value
    assert error.what == "service queue: not ready after -1 s (last state: running unhealthy)"
    assert error.where == "broker"
    assert error.output == "line 1\nline 2\n"
    assert error.next_step == "hashlab logs queue"


def test_a_container_that_vanished_while_it_was_waited_for_is_a_failure(outside: Outside) -> None:
    running(outside)
    engine = outside.machines["broker"].engine
    engine.remove("small-queue-1")
    with pytest.raises(LabError, match="service queue: the container is gone"):
        ready(outside)


def test_a_container_that_ended_with_an_error_is_a_failure_at_once(outside: Outside) -> None:
    running(outside)
    outside.machines["broker"].engine.die("small-queue-1", code=7)
    with pytest.raises(LabError, match=r"exit code 7 \(last state: exited unhealthy\)"):
        ready(outside)


def test_a_lasting_service_that_ended_with_zero_is_a_failure(outside: Outside) -> None:
    running(outside)
    outside.machines["broker"].engine.die("small-queue-1", code=0)
    with pytest.raises(LabError, match="exit code 0, but is meant to keep running"):
        ready(outside)


def test_a_container_that_dies_while_its_health_is_asked_for_is_explained(
    outside: Outside,
) -> None:
    """Asking fails then; what counts is how it ended and what it printed."""
    running(outside)
    engine = outside.machines["broker"].engine
    outside.behaviours["queue"] = Behaviour(health=("starting",), log="disk full\n")

    def die_when_asked(_: object) -> Completed:
        engine.die("small-queue-1", code=9)
        raise LabError("cannot run ready in container: it is not running")

    engine.executes[("ready",)] = die_when_asked
    with pytest.raises(LabError, match="service queue: it ended with exit code 9") as failure:
        ready(outside)
    assert failure.value.output == "disk full\n"


@pytest.mark.parametrize(
    ("test", "asked"),
    [
        (("CMD", "curl", "-f", "localhost"), ["curl", "-f", "localhost"]),
        (("CMD-SHELL", "curl -f localhost"), ["/bin/sh", "-c", "curl -f localhost"]),
    ],
)
def test_a_services_own_health_check_is_asked_without_waiting_for_its_interval(
    outside: Outside, test: tuple[str, ...], asked: list[str]
) -> None:
    check = Healthcheck(test, interval=3600.0)
    outside.lab = change_service(outside.lab, "queue", healthcheck=check)
    go(outside, workflows.INIT_BOX, workflows.DEV)
    words = [c.words[2] for c in outside.faults.calls if c.name == "engine.execute"]
    assert tuple(asked) in words


def test_a_container_that_was_kept_and_does_not_get_well_is_started_anew_once(
    outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    running(outside)
    kept = outside.machines["broker"].engine.by_name("small-queue-1")
    # Only a new one is ever well, as its first look tells.
    outside.behaviours["queue"] = Behaviour(health=("healthy", "starting"))
    monkeypatch.setattr(phase, "KEPT_SECONDS", 0)
    rows = start(outside)
    assert outside.machines["broker"].engine.by_name("small-queue-1").id != kept.id
    assert [row.service for row in rows if row.name == "healthy"] == ["queue"]


def test_another_failure_to_start_is_not_tried_again(outside: Outside) -> None:
    running(outside)
    outside.lab = change_service(outside.lab, "queue", environment=(("A", "1"),))
    told = outside.faults.arm("engine.start")
    with pytest.raises(LabError) as failure:
        start(outside)
    assert failure.value is told


def test_waiting_ends_when_the_run_is_cancelled(outside: Outside) -> None:
    running(outside)
    world = connected(outside)
    outside.behaviours["queue"] = Behaviour(health=("starting",))
    cancel = CancelToken()
    service = outside.lab.services[0]
    cancel.cancel()
    recorder = Recorder(Silent(), cancel)
    with pytest.raises(Cancelled), recorder.step("healthy") as step:
        wait_ready(world, service, "small-queue-1", step)
    assert recorder.rows()[0].status == "cancelled"


def test_an_external_volume_has_to_exist_on_its_machine(outside: Outside) -> None:
    running(outside)
    outside.lab = replace(outside.lab, volumes=(Volume("data", "shared", external=True),))
    before = outside.machines["broker"].engine.by_name("small-queue-1").id
    result = run(outside, workflows.REFRESH)
    assert result.error is not None
    assert "mounts the external volume shared, which does not exist" in result.error.what
    assert "docker volume create shared" in result.error.next_step
    engine = outside.machines["broker"].engine
    assert engine.by_name("small-queue-1").id == before
    engine.create_volume("shared", {})
    assert run(outside, workflows.REFRESH).error is None
    assert engine.volume_labels["shared"] == {}


@pytest.mark.parametrize("restart", [True, False])
def test_a_service_is_restarted_with_a_dependency_if_it_says_so(
    outside: Outside, restart: bool
) -> None:
    depends_on = (Dependency("queue", "service_healthy", restart=restart),)
    outside.lab = change_service(outside.lab, "site", depends_on=depends_on)
    running(outside)
    web = outside.machines["web"].engine
    before = {c.id: c.started_at for c in web.all.values()}
    outside.lab = change_service(outside.lab, "queue", environment=(("NEW", "1"),))
    result = run(outside, workflows.REFRESH)
    assert result.error is None
    assert {c.id for c in web.all.values()} == before.keys()
    restarted = [c.id for c in web.all.values() if c.started_at != before[c.id]]
    assert bool(restarted) is restart
    details = [r.detail for r in result.rows if (r.name, r.service) == ("container", "site")]
    assert details == ["restarted: queue was replaced" if restart else "unchanged"]
    assert run(outside, workflows.REFRESH).error is None


def test_a_service_whose_process_took_files_in_is_replaced_with_its_dependency() -> None:
    service = replace(
        ONE_SHOT, restart="unless-stopped", depends_on=(Dependency("queue", restart=True),)
    )
    keep = Action("keep")
    assert after_dependency(keep, service, BUILD, {"queue"}).kind == "restart"
    assert after_dependency(keep, service, BUILD, {"other"}) is keep
    reloadable = replace(BUILD, reloadable={"/a": Path("a")})
    assert after_dependency(keep, service, reloadable, {"queue"}).kind == "replace"
    replaced = Action("replace", "its build changed")
    assert after_dependency(replaced, service, BUILD, {"queue"}) is replaced


def test_where_services_run_is_saved_until_the_lab_is_destroyed(outside: Outside) -> None:
    running(outside)
    saved = json.loads(outside.state.places.read_text())
    assert saved == {"queue": "broker", "migrate": "broker", "site": "web"}
    go(outside, workflows.DESTROY)
    assert not outside.state.places.exists()


def test_data_that_stay_behind_when_a_service_moves_are_noted(outside: Outside) -> None:
    running(outside)
    outside.lab = change_service(outside.lab, "queue", machine="spare")
    moved = "queue moved from broker to spare; the data of data stay on broker"
    for noted in (True, False):
        world = outside.world()
        assert run(outside, workflows.REFRESH, world).error is None
        assert (moved in world.facts.notes) is noted
