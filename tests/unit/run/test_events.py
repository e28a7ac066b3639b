"""The events of a run: their JSON form, and when a run publishes them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hashlab.pipeline import CancelToken, Recorder
from hashlab.report import Silent
from hashlab.run.events import (
    Ending,
    Event,
    Lost,
    Restarting,
    RowChanged,
    RunEnded,
    RunStarted,
    ServiceChanged,
    event_json,
    event_of,
)
from hashlab.run.publishing import PublishingListener, RunEvents, run_events

EVENTS: list[Event] = [
    RunStarted("1-2", "refresh", 1, 2, "2026-11-28T10:00:00+00:00"),
    RowChanged("1-2", "1.1", None, "begin", "artifacts", None, None),
    RowChanged(
        "1-2", "1.2", "1.1", "end", "container", "web", "site", "started", 1, 2, "B", "ok", 1
    ),
    RunEnded("1-2", "refresh", 1, 2, {"ok": True}, ("the box is stale",)),
    RunEnded("1-2", "refresh", 1, 2, None),
    ServiceChanged("1-2", "site", "web", "replaced", "ok"),
    Lost(3),
    Restarting("upgrade"),
    Ending("idle"),
]


@pytest.mark.parametrize("event", EVENTS)
def test_an_event_is_the_same_after_its_way_through_json(event: Event) -> None:
    assert event_of(json.loads(json.dumps(event_json(event)))) == event


def test_an_event_of_a_newer_version_is_ignored_and_a_new_field_too() -> None:
    assert event_of({"event": "not known yet"}) is None
    assert event_of({"event": "lost", "count": 1, "since": "x"}) == Lost(1)


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {},
        {"event": 1},
        {"event": "lost"},
        {"event": "lost", "count": "3"},
        {"event": "lost", "count": True},
        {**event_json(EVENTS[0]), "pid": None},
        {**event_json(EVENTS[3]), "record": []},
        {**event_json(EVENTS[3]), "notes": "x"},
    ],
)
def test_anything_else_is_refused(value: object) -> None:
    with pytest.raises(ValueError):
        event_of(value)


def test_a_row_is_published_from_its_begin_to_its_end_and_its_updates_now_and_then() -> None:
    published: list[Event] = []
    events = RunEvents("refresh", published.append)
    events.next_attempt()
    recorder = Recorder(PublishingListener(Silent(), events), CancelToken())
    with recorder.step("containers") as track:
        for number in range(100):
            track.progress(number, 100, "MB")
        with track.child("container", machine="web", service="site") as part:
            part.detail("replaced: its build changed")
    rows = [event for event in published if isinstance(event, RowChanged)]
    phase = [row.change for row in rows if row.row == "1.1"]
    assert (phase[0], phase[-1]) == ("begin", "end")
    assert 1 <= phase.count("update") < 20
    last = next(row for row in rows if row.row == "1.2" and row.change == "end")
    assert (last.parent, last.status, last.service) == ("1.1", "ok", "site")
    [service] = [event for event in published if isinstance(event, ServiceChanged)]
    assert (service.service, service.machine) == ("site", "web")
    assert service.change == "replaced: its build changed"


def test_a_container_that_was_left_alone_is_not_a_change_of_its_service() -> None:
    published: list[Event] = []
    events = RunEvents("refresh", published.append)
    recorder = Recorder(PublishingListener(Silent(), events), CancelToken())
    with recorder.step("container", machine="web", service="site") as track:
        track.skip("runs already")
    assert not [event for event in published if isinstance(event, ServiceChanged)]


def test_a_run_that_never_had_the_lock_publishes_nothing(tmp_path: Path) -> None:
    published: list[Event] = []
    with run_events("refresh", tmp_path, published.append):
        pass
    assert published == []


def test_a_run_that_ends_by_a_bug_has_ended_for_its_readers(tmp_path: Path) -> None:
    published: list[Event] = []
    with (
        pytest.raises(ZeroDivisionError),
        run_events("refresh", tmp_path, published.append) as events,
    ):
        events.start()
        raise ZeroDivisionError
    started, ended = published
    assert isinstance(started, RunStarted)
    assert isinstance(ended, RunEnded)
    assert (ended.run, ended.record) == (started.run, None)
