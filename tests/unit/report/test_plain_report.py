"""The report for files and pipes."""

from __future__ import annotations

import io

import pytest
from standins import Clock

from hashlab.pipeline import CancelToken, Recorder
from hashlab.report.plain import PlainReport
from hashlab.report.ticker import Ticker


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


def watched(
    stream: io.StringIO, clock: Clock, *, verbose: bool = False
) -> tuple[PlainReport, Recorder]:
    report = PlainReport(stream, verbose=verbose, clock=clock)
    return report, Recorder(report, CancelToken(), clock)


def test_each_finished_step_is_one_line(stream: io.StringIO, clock: Clock) -> None:
    _, recorder = watched(stream, clock)
    with recorder.step("upload", machine="web") as track:
        clock.now += 2.5
        track.detail("3 sent")
        with track.child("file", service="nginx"):
            clock.now += 0.5
    assert stream.getvalue().splitlines() == [
        "✓ ok             0.50 s    file web nginx",
        "✓ ok             3.00 s  upload web: 3 sent",
    ]


def test_a_short_step_does_not_give_a_sign_of_life(stream: io.StringIO, clock: Clock) -> None:
    report, recorder = watched(stream, clock)
    with recorder.step("boot"):
        clock.now += 9.9
        report.signs_of_life()
        assert stream.getvalue() == ""


def test_a_long_step_gives_a_sign_of_life_every_ten_seconds(
    stream: io.StringIO, clock: Clock
) -> None:
    report, recorder = watched(stream, clock)
    with recorder.step("download") as track:
        track.progress(12, 18, "MB")
        track.detail("box")
        for _ in range(25):
            clock.now += 1
            report.signs_of_life()
    assert stream.getvalue().splitlines()[:-1] == [
        "… running       10.00 s  download: 12.0 of 18.0 MB, box",
        "… running       20.00 s  download: 12.0 of 18.0 MB, box",
    ]


def test_of_a_long_step_with_running_parts_only_the_parts_are_named(
    stream: io.StringIO, clock: Clock
) -> None:
    report, recorder = watched(stream, clock)
    with recorder.step("start") as track, track.child("container", service="nginx"):
        clock.now += 45
        report.signs_of_life()
        report.signs_of_life()
        assert stream.getvalue().splitlines() == ["… running       45.00 s    container nginx"]


def test_tool_output_is_shown_only_when_asked_for_and_says_whose_it_is(
    stream: io.StringIO, clock: Clock
) -> None:
    _, quiet = watched(stream, clock)
    with quiet.step("build") as track:
        track.output("[INFO] ok")
    assert "[INFO]" not in stream.getvalue()
    _, verbose = watched(stream, clock, verbose=True)
    with verbose.step("connect", machine="web") as track:
        track.output("\x1b[31m[INFO]\x1b[0m ok\n")
    assert "    connect web | [INFO] ok\n" in stream.getvalue()


def test_a_failed_step_says_why(stream: io.StringIO, clock: Clock) -> None:
    _, recorder = watched(stream, clock)
    with pytest.raises(ValueError, match="no"), recorder.step("build"):
        raise ValueError("no such file\nmore")
    assert stream.getvalue() == "✗ failed         0.00 s  build: no such file\n"


def test_leaving_the_block_ends_the_report(stream: io.StringIO, clock: Clock) -> None:
    report, _ = watched(stream, clock)
    with report:
        pass
    assert stream.getvalue() == "\n"


def test_a_stopped_ticker_stops_calling() -> None:
    calls: list[None] = []
    ticker = Ticker(0.001, lambda: calls.append(None))
    ticker.stop()
    ticker.start()
    ticker.stop()
    ticker.stop()
    assert calls == []
