"""The run that goes on, row by row, and past runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes import MORNING, past_run, save_runs

from hashlab.errors import LabError
from hashlab.pipeline import Row
from hashlab.run.events import Lost, RowChanged, RunEnded, RunStarted
from hashlab.state.files import StateFolder
from hashlab.ui.feed import Feed
from hashlab.ui.runs import RunFollower, past_runs
from hashlab.ui.runs import past_run as one_run

STARTED = RunStarted("r1", "refresh", 7, 8, "2026-11-30T10:00:00+00:00")
BEGAN = 1_796_032_800.0


class Clock:
    def __init__(self) -> None:
        self.now = BEGAN + 0.4

    def __call__(self) -> float:
        return self.now


def row(change: str, **more: object) -> RowChanged:
    return RowChanged("r1", "1", None, change, "build", None, "web", **more)  # type: ignore[arg-type]


@pytest.fixture
def clock() -> Clock:
    return Clock()


def follower(clock: Clock) -> tuple[RunFollower, Feed, list[str]]:
    feed, ends = Feed(), list[str]()
    return RunFollower(feed, ended=lambda: ends.append("end"), now=clock), feed, ends


def test_rows_have_their_place_in_time_as_they_arrive(clock: Clock) -> None:
    follow, feed, _ = follower(clock)
    follow.take(STARTED)
    clock.now += 1.5
    follow.take(row("begin"))
    follow.take(RowChanged("r1", "2", "1", "begin", "part", "front", None))
    run = feed.value("run")
    assert run["command"] == "refresh"
    assert [(each["name"], each["offset"], each["depth"]) for each in run["phases"]] == [
        ("build", 1.5, 0),
        ("part", 1.5, 1),
    ]
    assert run["phases"][0]["status"] == "running"
    follow.take(row("end", status="ok", seconds=0.7, detail="1 built"))
    first = feed.value("run")["phases"][0]
    assert (first["status"], first["seconds"], first["detail"]) == ("ok", 0.7, "1 built")
    assert first["offset"] == 1.5


def test_a_run_that_began_long_ago_keeps_its_start(clock: Clock) -> None:
    follow, feed, _ = follower(clock)
    clock.now = BEGAN + 60
    follow.take(STARTED)
    assert feed.value("run")["started"] == BEGAN


@pytest.mark.parametrize("end", [RunEnded("r1", "refresh", 7, 8, None), Lost(0)])
def test_after_the_end_no_run_goes_on_and_the_past_ones_are_read(
    clock: Clock, end: RunEnded | Lost
) -> None:
    follow, feed, ends = follower(clock)
    follow.follow([STARTED, row("begin"), end])
    assert feed.value("run") is None
    assert ends == ["end"]


def test_rows_without_a_run_are_left_out(clock: Clock) -> None:
    follow, feed, _ = follower(clock)
    follow.take(row("begin"))
    assert feed.value("run") is None


@pytest.fixture
def state(tmp_path: Path) -> StateFolder:
    rows = [Row("boot", None, None, MORNING + 60, 4.0, "ok", "two machines")]
    error = LabError("it broke", next_step="hashlab status")
    save_runs(
        tmp_path / "runs",
        [past_run(number=0), past_run("dev", number=1, rows=rows, seconds=4.0, error=error)],
    )
    (tmp_path / "runs" / "2030-broken.json").write_text("{")
    return StateFolder(tmp_path, "docker")


def test_past_runs_are_listed_newest_first_without_broken_ones(state: StateFolder) -> None:
    newest, oldest = past_runs(state)
    assert (newest["command"], newest["ok"], newest["error"]) == ("dev", False, "it broke")
    assert (oldest["command"], oldest["ok"]) == ("refresh", True)


def test_one_run_is_read_by_its_name_only(state: StateFolder) -> None:
    name = past_runs(state)[0]["name"]
    found = one_run(state, name)
    assert found is not None
    assert found["phases"][0]["name"] == "boot"
    assert found["phases"][0]["offset"] == pytest.approx(0.0, abs=61)
    for other in ("", "x.json", "../runs/" + name, "2030-broken.json", name[:-5]):
        assert one_run(state, other) is None
