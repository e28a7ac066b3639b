"""What a person sees while a workflow runs, in terminals of several sizes."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from rich.console import Console
from standins import Clock

from hashlab.errors import LabError
from hashlab.pipeline import CancelToken, Recorder, Track
from hashlab.report.live import LiveReport
from hashlab.report.livedraw import frame

MACHINES = ("broker", "web", "worker")


class Screen:
    """A live report on a terminal of a given size, drawn only when asked."""

    def __init__(self, clock: Clock, *, width: int = 80, height: int = 24, verbose: bool = False):
        self.clock = clock
        self.width, self.height = width, height
        self.stream = io.StringIO()
        self.console = Console(
            file=self.stream,
            width=width,
            height=height,
            force_terminal=True,
            color_system=None,
            highlight=False,
            legacy_windows=False,
            _environ={"TERM": "xterm"},
        )
        self.report = LiveReport(self.stream, verbose=verbose, clock=clock, console=self.console)
        self.recorder = Recorder(self.report, CancelToken(), clock)

    def lines(self) -> list[str]:
        """The frame as it is drawn now."""
        still = io.StringIO()
        Console(file=still, width=self.width, color_system=None).print(self.report._frame())
        return [line.rstrip() for line in still.getvalue().splitlines()]

    def line(self, word: str) -> str:
        """The first line with that word in it."""
        return next(line for line in self.lines() if word in line)


@contextmanager
def on_machines(screen: Screen, name: str) -> Iterator[dict[str, Track]]:
    """A phase that runs on every machine at once."""
    with ExitStack() as stack:
        yield {
            machine: stack.enter_context(screen.recorder.step(name, machine=machine))
            for machine in MACHINES
        }


def finish(screen: Screen, *names: str) -> None:
    for name in names:
        with screen.recorder.step(name):
            screen.clock.now += 1


def test_a_running_step_shows_its_detail_and_how_long_it_has_run(clock: Clock) -> None:
    screen = Screen(clock)
    with screen.recorder.step("build") as track:
        track.detail("maven: user")
        clock.now += 3.21
        line = screen.line("build")
    assert line.split()[1:] == ["build", "maven:", "user", "3.2", "s"]


def test_a_known_amount_is_a_bar_and_an_unknown_one_a_number(clock: Clock) -> None:
    screen = Screen(clock, width=120)
    with screen.recorder.step("upload") as track:
        track.progress(9.2, 18.4, "MB")
        known = screen.line("upload")
        track.progress(9.2, None, "MB")
        unknown = screen.line("upload")
    assert "━" in known
    assert known.count("━") == known.count("─")
    assert "9.2 of 18.4 MB" in known
    assert "━" not in unknown
    assert "9.2 MB" in unknown


def test_machines_stand_below_their_phase_until_all_are_done(clock: Clock) -> None:
    screen = Screen(clock)
    with on_machines(screen, "connect") as tracks:
        tracks["web"].detail("the machine is not up yet")
        lines = screen.lines()
        assert "0 of 3 machines done" in lines[0]
        assert [line.split()[1] for line in lines[1:4]] == list(MACHINES)
        assert "not up yet" in lines[2]
        clock.now += 4
    lines = screen.lines()
    assert lines[0].split() == ["✓", "connect", "3", "machines", "4.0", "s"]
    assert len(lines) == 2


def test_parts_of_a_running_step_do_not_repeat_the_names_above_them(clock: Clock) -> None:
    screen = Screen(clock)
    with screen.recorder.step("start") as track:
        with track.child("container", machine="web", service="nginx") as part:
            part.detail("waiting until healthy")
            assert screen.lines()[1].split()[1:4] == ["web", "nginx", "waiting"]
        assert screen.lines()[1].startswith("  ✓ web nginx")
    assert "nginx" not in "\n".join(screen.lines())


def test_a_failed_machine_stays_visible_with_its_reason(clock: Clock) -> None:
    screen = Screen(clock)
    with pytest.raises(LabError), on_machines(screen, "connect"):
        raise LabError("no answer from the machine")
    said = "\n".join(screen.lines())
    assert "✗ connect" in said
    assert said.count("no answer from the machine") >= len(MACHINES)


@pytest.mark.parametrize("width", [32, 40, 60, 80, 120])
def test_no_line_is_wider_than_the_terminal_and_the_clock_is_never_cut(
    clock: Clock, width: int
) -> None:
    screen = Screen(clock, width=width)
    with screen.recorder.step("a-phase-with-a-name-of-some-length") as track:
        track.progress(9.2, 18.4, "MB")
        track.detail("a detail that is much longer than any terminal " * 5)
        clock.now += 12
        lines = screen.lines()
    assert all(len(line) <= width for line in lines)
    assert len(lines) == 2
    assert lines[0].endswith("12.0 s")


@pytest.mark.parametrize("height", [5, 6, 8, 15])
def test_a_short_terminal_keeps_what_runs_and_folds_what_is_done(clock: Clock, height: int) -> None:
    screen = Screen(clock, height=height)
    finish(screen, *(f"phase-{number}" for number in range(20)))
    with screen.recorder.step("seed"):
        lines = screen.lines()
    assert len(lines) < height
    assert any("seed" in line for line in lines)
    assert any("phases done" in line for line in lines)


def test_where_even_running_steps_do_not_fit_the_rest_is_counted(clock: Clock) -> None:
    screen = Screen(clock, height=10)
    with ExitStack() as stack:
        for number in range(20):
            stack.enter_context(screen.recorder.step(f"running-{number}"))
        lines = screen.lines()
    assert len(lines) == 8
    assert "… and 14 more" in lines[-2]


def test_finished_parts_leave_first_where_it_is_tight(clock: Clock) -> None:
    screen = Screen(clock, height=9)
    finish(screen, "prepare")
    with screen.recorder.step("start") as track:
        for number in range(6):
            with track.child("container", service=f"done-{number}"):
                pass
        with track.child("container", service="running"):
            said = "\n".join(screen.lines())
    assert "prepare" in said
    assert "running" in said
    assert "done-0" not in said
    assert "done-5" in said


def test_tool_output_appears_above_the_tree_only_when_asked_for(clock: Clock) -> None:
    for verbose in (False, True):
        screen = Screen(clock, verbose=verbose)
        with screen.report, screen.recorder.step("connect", machine="web") as track:
            track.output("\x1b[31mhello [bold]\x1b[0m\r\n")
        assert ("connect web │ hello [bold]\n" in screen.stream.getvalue()) is verbose


def test_a_long_line_of_output_is_never_cut(clock: Clock) -> None:
    screen = Screen(clock, width=40, verbose=True)
    with screen.report, screen.recorder.step("build") as track:
        track.output("x" * 300)
    assert "x" * 300 in screen.stream.getvalue()


def test_every_line_of_a_flood_of_output_is_shown_in_order(clock: Clock) -> None:
    screen = Screen(clock, verbose=True)
    with screen.report, screen.recorder.step("build") as track:
        for number in range(2000):
            track.output(f"line {number};")
    said = screen.stream.getvalue()
    places = [said.index(f"line {number};") for number in range(2000)]
    assert places == sorted(places)


def test_after_a_bug_the_last_frame_stays_on_the_screen(clock: Clock) -> None:
    erased, kept = Screen(clock), Screen(clock)
    with erased.report, erased.recorder.step("build"):
        pass
    with pytest.raises(ZeroDivisionError), kept.report, kept.recorder.step("build"):
        raise ZeroDivisionError("bug")
    assert erased.stream.getvalue().endswith("\x1b[2K")
    assert "bug" in kept.stream.getvalue().rpartition("\x1b[2K")[2]


def test_the_cursor_is_back_when_the_block_is_left(clock: Clock) -> None:
    screen = Screen(clock)
    with screen.report:
        assert screen.stream.getvalue().count("\x1b[?25l") == 1
    assert screen.stream.getvalue().count("\x1b[?25h") == 1


def test_events_from_many_threads_and_frames_between_them_do_not_clash(clock: Clock) -> None:
    screen = Screen(clock)

    def work(number: int) -> None:
        for part in range(20):
            step = screen.recorder.step(f"phase-{part}", machine=str(number))
            with step as track, track.child("part"):
                track.progress(1, 2)

    with screen.report:
        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            screen.report.tick()
        for thread in threads:
            thread.join()
    assert len(screen.recorder.rows()) == 160


def test_a_frame_takes_little_of_a_processor(clock: Clock) -> None:
    screen = Screen(clock, width=120, height=50)
    finish(screen, *(f"phase-{number}" for number in range(10)))
    with on_machines(screen, "upload") as tracks:
        for track in tracks.values():
            track.progress(9, 18, "MB")
        screen.report.tick()
        begun = time.thread_time()
        for _ in range(20):
            screen.report.tick()
            screen.console.print(frame([], width=80, turn=0, spent=0))
        spent = (time.thread_time() - begun) / 20
    # Five frames a second: even ten times slower than measured is a tenth of one core.
    assert spent < 0.02
