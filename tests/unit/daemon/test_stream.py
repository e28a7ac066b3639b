"""The stream of events: slow readers, readers that leave, readers that come late."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from hashlab.daemon import stream
from hashlab.daemon.stream import Stream
from hashlab.run.events import Ending, RowChanged, RunEnded, RunStarted

SECONDS = 10.0
STARTED = RunStarted("1", "refresh", 1, 1, "now")


def row(number: int, change: str = "begin") -> RowChanged:
    return RowChanged("1", str(number), None, change, "containers", None, None, "d" * 500)


@pytest.fixture
def made() -> Stream:
    return Stream()


@pytest.fixture
def connect(made: Stream) -> Iterator[Callable[[], socket.socket]]:
    """Connects one more reader and returns its end."""
    with ExitStack() as opened:

        def connected() -> socket.socket:
            ours, theirs = map(opened.enter_context, socket.socketpair())
            made.add(theirs)
            ours.settimeout(SECONDS)
            return ours

        yield connected


def all_of(sock: socket.socket, *, last: str) -> list[dict[str, Any]]:
    events = []
    with sock.makefile("rb") as lines:
        for line in lines:
            events.append(json.loads(line))
            if events[-1]["event"] == last:
                return events
    raise AssertionError(events)


def test_a_reader_that_does_not_read_loses_the_oldest_events_and_is_told_how_many(
    made: Stream, connect: Callable[[], socket.socket]
) -> None:
    slow = connect()
    number = stream.MOST_WAITING * 3
    made.publish(STARTED)
    for each in range(number):
        made.publish(row(each))
    made.publish(RunEnded("1", "refresh", 1, 1, None))
    events = all_of(slow, last="run-ended")
    lost = [event for event in events if event["event"] == "lost"]
    assert sum(event["count"] for event in lost) + len(events) - len(lost) == number + 2
    assert lost
    assert events[-2]["row"] == str(number - 1)
    made.close(Ending("done"))


def test_a_late_reader_learns_of_the_run_and_its_open_rows(
    made: Stream, connect: Callable[[], socket.socket]
) -> None:
    made.publish(STARTED)
    made.publish(row(1))
    made.publish(row(2))
    made.publish(row(1, "end"))
    late = connect()
    made.close(Ending("done"))
    events = all_of(late, last="ending")
    assert [event.get("row") for event in events] == [None, "2", None]


def test_a_reader_that_left_is_forgotten(
    made: Stream, connect: Callable[[], socket.socket]
) -> None:
    gone, stays = connect(), connect()
    gone.close()
    made.publish(STARTED)
    made.close(Ending("done"))
    assert len(all_of(stays, last="ending")) == 2
    assert made.readers == 1


def test_the_end_does_not_wait_for_a_reader_that_does_not_read(
    made: Stream, connect: Callable[[], socket.socket]
) -> None:
    connect()
    for each in range(stream.MOST_WAITING):
        made.publish(row(each))
    made.close(Ending("done"))
