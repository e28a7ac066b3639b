"""`hashlab top`: what its keys do, and the lab once into a pipe."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fakes import Outside, running, track_of

from hashlab.cli import main
from hashlab.documents.logs import LogLine
from hashlab.documents.usage import MachineUsage, Usage
from hashlab.errors import ExitCode
from hashlab.phases.status import status_document
from hashlab.report.topscreen import TopView
from hashlab.run.execution import Options
from hashlab.ui import top
from hashlab.ui.feed import Feed
from hashlab.ui.top import MESSAGE_SECONDS, Top, run_text

Told = pytest.CaptureFixture[str]
USED = MachineUsage("web", 1000.0, 2.0, 0.5, 100, 500, 10, 4, None, None, True)


class Screen:
    """Keeps the frames."""

    def __init__(self) -> None:
        self.frames: list[TopView] = []
        self.said: list[str] = []

    def show(self, view: TopView) -> None:
        self.frames.append(view)

    def pause(self) -> None:
        self.said.append("pause")

    def resume(self) -> None:
        self.said.append("resume")


class Keys:
    """Keys that are pressed one after the other, then q."""

    def __init__(self, *pressed: str) -> None:
        self._pressed = list(pressed)

    def next(self, seconds: float) -> str:
        return self._pressed.pop(0) if self._pressed else "q"

    @contextmanager
    def lent(self) -> Iterator[None]:
        yield


class Actions:
    """Notes what is started."""

    def __init__(self) -> None:
        self.started: list[tuple[str, str]] = []
        self.refusal = ""

    def start(self, name: str, value: str) -> str:
        self.started.append((name, value))
        return self.refusal


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Bench:
    """A running lab in a feed, and the loop on it."""

    def __init__(self, outside: Outside) -> None:
        self.feed, self.screen, self.actions, self.clock = Feed(), Screen(), Actions(), Clock()
        world = running(outside).world()
        with track_of() as track:
            self.feed.put("status", status_document(world, track))
        world.close()

    def press(self, *keys: str) -> list[TopView]:
        """Press keys and q; return the frames."""
        loop: Any = Top(
            Options(Path("/lab")),
            self.feed,
            self.actions,  # type: ignore[arg-type]
            self.screen,  # type: ignore[arg-type]
            Keys(*keys),  # type: ignore[arg-type]
            now=self.clock,
        )
        loop.run(lambda: None)
        return self.screen.frames


@pytest.fixture
def bench(outside: Outside) -> Bench:
    return Bench(outside)


def test_q_quits(bench: Bench) -> None:
    assert len(bench.press()) == 1


def test_r_refreshes_and_t_restarts_the_chosen_service(bench: Bench) -> None:
    bench.press("r", "down", "down", "t", "x", "")
    assert bench.actions.started == [("refresh", ""), ("restart", "site")]


def test_a_refusal_is_shown_for_a_while(bench: Bench) -> None:
    bench.actions.refusal = "hashlab refresh is still running"
    assert bench.press("r")[-1].message == "hashlab refresh is still running"
    assert bench.press("r")[-1].tone == "bad"
    bench.clock.now += MESSAGE_SECONDS
    assert bench.press()[-1].message == ""


def test_the_choice_stays_within_the_services(bench: Bench) -> None:
    frames = bench.press("up", "k", *["down"] * 9)
    assert frames[2].chosen == 0
    assert frames[-1].chosen == len(bench.feed.value("status").services) - 1


def test_l_shows_the_lines_of_the_chosen_service_only(bench: Bench) -> None:
    def line(service: str) -> LogLine:
        return LogLine(0.0, "web", service, 1, None, None, None, "hello")

    bench.feed.add_logs([line("queue"), line("site")])
    frames = bench.press("l", "l")
    assert [len(each.logs) for each in frames] == [2, 1, 2]
    assert [each.only for each in frames] == ["", "queue", ""]


def test_the_end_of_a_command_is_shown(bench: Bench) -> None:
    end = {"command": "refresh", "running": False, "number": 1, "code": 4, "what": "it broke"}
    bench.feed.put("action", end)
    last = bench.press()[-1]
    assert (last.message, last.tone) == ("hashlab refresh: failed: it broke", "bad")


def test_a_problem_is_shown_until_it_is_gone(bench: Bench) -> None:
    bench.feed.put("problem", {"what": "compose.yaml is wrong", "where": "", "next_step": ""})
    assert bench.press()[-1].message == "compose.yaml is wrong"
    bench.feed.put("problem", None)
    assert bench.press()[-1].message == ""


def test_s_lends_the_terminal_to_a_shell(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[Sequence[str]] = []

    def run(command: list[str]) -> int:
        ran.append(command[3:])
        return 3

    monkeypatch.setattr(top, "run_in_terminal", run)
    monkeypatch.setattr(top, "lab_folder", lambda lab: lab)
    last = bench.press("s")[-1]
    assert ran == [["hashlab", "exec", "--lab", "/lab", "queue", "sh"]]
    assert bench.screen.said == ["pause", "resume"]
    assert last.message == "the shell in queue ended with exit code 3"


def test_the_current_run_is_named_with_its_step() -> None:
    rows = [{"name": "build", "status": "ok"}, {"name": "proof", "status": "running"}]
    run = {"command": "refresh", "started": 990.0, "phases": rows}
    assert run_text(run, 1000.0) == "hashlab refresh runs since 10.0 s: proof"
    assert run_text(None, 1000.0) == ""


class Current:
    """Stands for the samplers; the second answer has rates."""

    def __init__(self, *_: Any, **__: Any) -> None:
        self.answers = [Usage(), Usage((USED,) * 3)]

    def usage(self) -> Usage:
        return self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)

    def wait(self, seconds: float) -> None:
        pass

    def close(self) -> None:
        pass


class Past:
    def __init__(self, screen: Any) -> None:
        self._screen = screen

    def past(self) -> None:
        self._screen.show([LogLine(0.0, "web", "site", 1, None, None, None, "a last line")])


@pytest.fixture
def piped(outside: Outside, monkeypatch: pytest.MonkeyPatch) -> Outside:
    @contextmanager
    def reading(world: Any, selection: Any, screen: Any) -> Iterator[Past]:
        yield Past(screen)

    monkeypatch.setattr(Options, "world", lambda self: outside.world())
    monkeypatch.setattr(top, "CurrentUsage", Current)
    monkeypatch.setattr(top, "reading", reading)
    monkeypatch.setattr(top, "check_machines", lambda world: None)
    return outside


def typed(*words: str) -> int:
    return main.run(*main.parse(["top", *words]))


def test_into_a_pipe_it_prints_the_lab_once(piped: Outside, capsys: Told) -> None:
    running(piped)
    assert typed() == ExitCode.OK
    out = capsys.readouterr().out
    assert "3 of 3 machines" in out
    assert "0.50 of 2" in out
    assert "a last line" in out


def test_json_is_one_document(piped: Outside, capsys: Told) -> None:
    running(piped)
    assert typed("--json") == ExitCode.OK
    document = json.loads(capsys.readouterr().out)
    assert document["logs"][0]["message"] == "a last line"
    assert document["usage"]["machines"][0]["cpu_cores"] == 0.5


def test_a_lab_without_machines_is_shown_without_use(piped: Outside, capsys: Told) -> None:
    assert typed("--once") == ExitCode.OK
    assert "0 of 3 machines" in capsys.readouterr().out


def test_something_that_does_not_run_is_exit_code_4(piped: Outside, capsys: Told) -> None:
    running(piped)
    piped.machines["broker"].engine.stop("small-queue-1", timeout=1)
    assert typed("--once") == ExitCode.LAB
