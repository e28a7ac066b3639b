"""What has happened to machines and containers since they were last observed, and its record."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest
from fakes import Outside, go, running, track_of

from hashlab.documents import unix_time
from hashlab.documents.events import LabEvent
from hashlab.documents.run import RunRecord, run_record
from hashlab.errors import LabError, LaptopError
from hashlab.phases import happened, status
from hashlab.phases.changes import note_changes, note_machine
from hashlab.phases.happened import events_of_run, last_change, read_events, record_events
from hashlab.phases.stop import save_stopped
from hashlab.pipeline import Row, RunResult
from hashlab.protocols import ContainerState
from hashlab.run import workflows

STARTED = "2026-11-23T12:00:00Z"
NOON = unix_time(STARTED) or 0.0
LABELS = {"hashlab.service": "site", "hashlab.build": "b1"}
RAN = ContainerState("1", "small-site-1", "running", "healthy", 0, "image", LABELS, 7, STARTED)


class Looks:
    """Looks at one container, one after the other."""

    def __init__(self, outside: Outside) -> None:
        self.outside, self.now = outside, NOON + 10

    def __call__(self, container: ContainerState | None = RAN, **machines: str) -> float | None:
        """Look once, a minute later; return since when the container is healthy."""
        self.now += 60
        found = {} if container is None else {"web": [container]}
        healthy = note_changes(self.outside.world(), machines, found, now=lambda: self.now)
        return healthy.get(("web", "small-site-1"))

    @property
    def events(self) -> list[tuple[str, float, str]]:
        found = [event for _, event in read_events(self.outside.state)]
        return [(event.event, event.time - NOON, event.text) for event in found]


@pytest.fixture
def look(outside: Outside) -> Looks:
    return Looks(outside)


def test_a_container_that_runs_and_stays_the_same_has_no_events(look: Looks) -> None:
    assert look() == NOON + 70
    assert look() == NOON + 70
    assert look.events == []


def test_a_container_that_ended_is_recorded_once(look: Looks) -> None:
    look()
    ended = replace(
        RAN, state="exited", health="", exit_code=3, finished_at="2026-11-23T12:01:00Z", pid=0
    )
    assert look(ended) is None
    look(ended)
    assert look.events == [("ended", 60.0, "exit code 3")]
    [(number, event)] = read_events(look.outside.state)
    assert (number, event.machine, event.service, event.replica) == (1, "web", "site", 1)
    assert event.build == "b1"


def test_one_that_was_restarted_between_two_looks_is_recorded(look: Looks) -> None:
    look()
    again = replace(
        RAN, started_at="2026-11-23T12:02:00Z", finished_at="2026-11-23T12:01:59Z", restarts=2
    )
    assert look(again) == NOON + 130
    assert look.events == [
        ("ended", 119.0, "and runs again"),
        ("restarted", 120.0, "2 times"),
    ]


def test_health_that_is_lost_and_found_is_recorded(look: Looks) -> None:
    assert look() == NOON + 70
    assert look(replace(RAN, health="unhealthy")) is None
    assert look() == NOON + 190
    assert look.events == [("unhealthy", 130.0, ""), ("healthy", 190.0, "")]


def test_a_new_container_is_healthy_since_a_run_saw_it_so(look: Looks) -> None:
    events = [
        LabEvent(NOON + 3, "healthy", machine="web", service="site"),
        LabEvent(NOON + 5, "healthy", machine="web", service="other"),
    ]
    record_events(look.outside.state, events)
    assert look() == NOON + 3
    later = replace(RAN, id="2", started_at="2026-11-23T12:00:20Z")
    assert look(later) == NOON + 130


def test_a_container_that_was_replaced_did_not_end_by_itself(look: Looks) -> None:
    look()
    look(replace(RAN, id="2", started_at="2026-11-23T12:01:00Z"))
    assert look.events == []


def test_a_service_that_a_person_stopped_has_no_events(look: Looks) -> None:
    look()
    save_stopped(look.outside.world(), ["site"])
    look(replace(RAN, state="exited", finished_at="2026-11-23T12:01:00Z", pid=0))
    assert look.events == []


@pytest.mark.parametrize(
    "steps",
    [
        [workflows.stopping(["site"])],
        [workflows.stopping(["site"]), workflows.REFRESH],
        [workflows.restarting(["site"])],
    ],
)
def test_a_container_that_hashlab_ended_did_not_end_by_itself(
    outside: Outside, steps: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    running(outside)
    engine = outside.machines["web"].engine
    end = engine._end

    def ends_at_noon(container: Any, code: int) -> None:
        end(container, code)
        container.finished_at = "2026-11-23T12:01:00Z"

    monkeypatch.setattr(engine, "_end", ends_at_noon)
    with track_of() as track:
        status.status_document(outside.world(), track)
    for workflow in steps:
        go(outside, workflow)
    assert engine.by_name("small-site-1").finished_at
    with track_of() as track:
        status.status_document(outside.world(), track)
    assert [event.event for _, event in read_events(outside.state) if event.event == "ended"] == []


def test_machines_that_go_away_and_come_back_are_recorded(look: Looks) -> None:
    for state in ("running", "unreachable", "stopped", "running", "not created", "running"):
        look(None, web=state)
    assert look.events == [("away", 130.0, "unreachable"), ("back", 250.0, "")]
    note_machine(look.outside.world(), "web", "running")
    note_machine(look.outside.world(), "web", "unreachable")
    note_machine(look.outside.world(), "web", "unreachable")
    assert [kind for kind, _, _ in look.events] == ["away", "back", "away"]


@pytest.mark.parametrize("text", ["", "[]", '{"containers": {"a": 1}}', "{"])
def test_a_damaged_memory_is_none(look: Looks, text: str) -> None:
    look.outside.state.seen.parent.mkdir(parents=True, exist_ok=True)
    look.outside.state.seen.write_text(text)
    assert look() == NOON + 70
    assert look.events == []


def result(*rows: Row, error: LabError | None = None) -> RunRecord:
    return run_record("refresh", "small", "docker", RunResult(rows, NOON, 1.5, error))


def row(name: str, **more: Any) -> Row:
    given = {"machine": "web", "service": "site", "started": NOON, "seconds": 0.5, "status": "ok"}
    return Row(name, **{**given, **more})


def test_a_refresh_that_changed_a_service_marks_its_build() -> None:
    done = result(
        row("artifacts", machine=None, service=None),
        row("container", detail="replaced"),
        row("healthy", started=NOON + 0.5, detail="healthy"),
        row("healthy", service="queue"),
        row("container", service="queue", status="skipped"),
    )
    changed, healthy, run = events_of_run(done, {"site": "b2"})
    assert (changed.event, changed.service, changed.build, changed.text) == (
        *("changed", "site", "b2", "replaced"),
    )
    assert (healthy.event, healthy.time, healthy.text) == ("healthy", NOON + 1, "")
    assert (run.event, run.command, run.ok, run.time, run.text) == (
        *("run", "refresh", True, NOON + 1.5, "1.5 s: site"),
    )


def test_a_refresh_that_changed_nothing_is_no_event_unless_it_failed() -> None:
    assert events_of_run(result(row("containers", service=None)), {}) == []
    [run] = events_of_run(result(error=LabError("it broke\nand more")), {})
    assert (run.ok, run.text) == (False, "1.5 s: it broke")


def test_the_last_change_is_when_the_containers_of_one_run_began_to_change(
    outside: Outside,
) -> None:
    assert last_change(outside.state) is None
    run = LabEvent(NOON + 1, "run", command="refresh", ok=True)
    first = LabEvent(NOON, "changed", service="a")
    ended = LabEvent(NOON + 2, "ended", service="a")
    record_events(outside.state, [first, run, ended])
    assert last_change(outside.state) == NOON
    second = [LabEvent(NOON + each, "changed", service="a") for each in (9, 8)]
    record_events(outside.state, [*second, replace(run, time=NOON + 10), ended])
    assert last_change(outside.state) == NOON + 8


def test_the_record_keeps_the_newest_events_and_their_numbers(
    outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(happened, "MOST_EVENTS", 10)
    for number in range(1, 15):
        record_events(outside.state, [LabEvent(NOON + number, "run", text=str(number))])
    found = read_events(outside.state)
    assert [number for number, _ in found] == list(range(7, 15))
    assert all(event.text == str(number) for number, event in found)
    assert [number for number, _ in read_events(outside.state, after=12)] == [13, 14]


def test_processes_that_record_at_once_lose_nothing(outside: Outside) -> None:
    def record(name: str) -> None:
        for _ in range(20):
            record_events(outside.state, [LabEvent(NOON, "run", text=name)])

    threads = [threading.Thread(target=record, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [number for number, _ in read_events(outside.state)] == list(range(1, 61))


def test_lines_of_other_versions_and_damaged_ones_are_left_out(outside: Outside) -> None:
    record_events(outside.state, [LabEvent(NOON, "run")])
    with outside.state.events.open("a") as stream:
        stream.write('{"number": 2, "time": "2026-11-23T12:00:00Z", "event": "new"}\nhalf\n')
    record_events(outside.state, [LabEvent(NOON, "run")])
    assert len(read_events(outside.state)) == 2


def test_destroy_keeps_the_record_and_forgets_how_things_were(look: Looks) -> None:
    running(look.outside)
    look(None, web="running")
    record_events(look.outside.state, [LabEvent(NOON, "run")])
    go(look.outside, workflows.DESTROY)
    assert len(look.events) == 1
    assert not look.outside.state.seen.exists()


def test_status_works_where_nothing_can_be_recorded(
    outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise LaptopError("no space left", where="events.jsonl")

    monkeypatch.setattr(status, "note_changes", full)
    with track_of() as track:
        document = status.status_document(running(outside).world(), track)
    assert any("no space left" in note for note in document.notes)
