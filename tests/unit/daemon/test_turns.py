"""One run at a time: who has the turn, who is refused at once, who waits."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from typing import cast

import pytest

from hashlab.commands import load
from hashlab.daemon import client, turns
from hashlab.daemon.listener import Request
from hashlab.daemon.turns import Busy, Job, Occupied, Turns


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Iterator[Turns]:
    monkeypatch.setattr(turns, "WAIT_SECONDS", 0.01)
    yield Turns()


def job(command: str = "refresh", *, locks: bool = True) -> Job:
    request = Request(client.RUN, 1, command, {}, "/lab", "1", "/", 0, {}, ())
    return Job(cast(socket.socket, None), request, load(command), (), locks=locks)


def test_a_run_beside_another_one_is_refused_at_once(made: Turns) -> None:
    first = job()
    made.take(first)
    assert made.next(0) is first
    with pytest.raises(Occupied) as refused:
        made.take(job("verify"))
    assert refused.value.job is first


def test_without_the_lock_it_is_done_elsewhere(made: Turns) -> None:
    made.take(job())
    with pytest.raises(Busy) as busy:
        made.take(job("status", locks=False))
    assert not busy.value.ending


def test_a_run_is_not_refused_because_of_one_without_the_lock(made: Turns) -> None:
    made.take(job("status", locks=False))
    with pytest.raises(Busy):
        made.take(job())


def test_a_run_that_comes_when_another_one_is_over_waits_for_its_turn(
    made: Turns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "WAIT_SECONDS", 10.0)
    made.take(job())
    made.over()
    threading.Timer(0.05, made.free).start()
    second = job()
    made.take(second)
    assert made.next(0) is second


def test_no_run_begins_after_the_end_and_the_one_that_goes_on_is_finished(made: Turns) -> None:
    made.take(job())
    assert made.end("upgrade", restart=True)
    with pytest.raises(Occupied):
        made.take(job())
    made.free()
    assert made.next(10.0) is None
    with pytest.raises(Busy) as busy:
        made.take(job())
    assert busy.value.ending
    assert (made.ending, made.restarting) == ("upgrade", True)


def test_without_a_run_the_end_comes_at_once(made: Turns) -> None:
    assert not made.end("stop", restart=False)
    assert made.next(10.0) is None
