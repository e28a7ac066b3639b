"""Text from outside cannot make a terminal obey, whichever screen shows it."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from standins import Terminal

from hashlab.documents.doctor import Check
from hashlab.documents.forward import ForwardedTarget, Forwards
from hashlab.documents.logs import LogLine
from hashlab.errors import LabError
from hashlab.pipeline import CancelToken, Recorder, RunResult
from hashlab.report import (
    ForwardScreen,
    LogScreen,
    make_report,
    show_checks,
    show_error,
    show_result,
    terminal,
)
from hashlab.report.rounds import Rounds
from hashlab.report.view import Alarm, Cell, Column, Lines, Table

# Title, answer-back, clipboard, 8-bit escapes, cursor, bell, reading order; and rich's own words.
EVIL = (
    "a\x1b]0;title\x07b\x1b[6nc\x1b]52;c;cm0=\x07d\x9b31me\x90q\x9cf\x1b[2J\x08g\x07h\u202ei\u2066j"
    "\x1bPk\x1b\\\x1b(0l [bold red]m[/] [link=http://x]n[/link] :smile: \x00\x7f\x85o\u2028p"
)
FORBIDDEN = re.compile("[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f\u2028\u202a-\u202e\u2066-\u2069]")
# What rich itself sends: colours, the cursor's place, erasing a line.
OWN = re.compile(r"\x1b\[(\?25[lh]|[0-9;]*m|\d*[AKJ]|2K)|\r(?=\x1b)")
Show = Callable[[io.StringIO], None]


def run(stream: io.StringIO) -> None:
    with make_report(stream, verbose=True) as listener:
        recorder = Recorder(listener, CancelToken())
        with recorder.step(EVIL, machine=EVIL) as track:
            track.detail(EVIL)
            track.output(EVIL)
            with track.child(EVIL, service=EVIL) as step:
                step.output(EVIL)
                step.progress(1, 2, EVIL)
    rows = recorder.rows()
    error = LabError(EVIL, where=EVIL, output=EVIL, next_step=EVIL)
    show_result(RunResult(rows, 0.0, 1.0, error), stream=stream, notes=(EVIL,), urls={EVIL: EVIL})


def round_trip(stream: io.StringIO) -> None:
    rounds = Rounds(stream)
    rounds.say(EVIL)
    rounds.watching(EVIL, [EVIL])
    rounds.note([EVIL])


def logs(stream: io.StringIO) -> None:
    screen = LogScreen(stream, notices=stream, replicas={EVIL: 1}, style="text")
    screen.notice(EVIL)
    for service, unit in ((EVIL, None), (None, EVIL)):
        screen.show([LogLine(1e9, EVIL, service, 1, EVIL, unit, "error", f"{EVIL}\n{EVIL}")])
    screen.show([LogLine(1e9, "web", "x", 1, None, None, None, json.dumps({EVIL: 1, "msg": EVIL}))])


def forwards(stream: io.StringIO) -> None:
    port = ForwardedTarget(EVIL, EVIL, "web", 80, EVIL)
    screen = ForwardScreen(Forwards(EVIL, (port,)), stream, notices=stream)
    screen.away("web", EVIL)
    screen.ready("web")


SCREENS: dict[str, Show] = {
    "a run with the tools' output": run,
    "an error": lambda stream: show_error(LabError(EVIL, output=EVIL), stream),
    "checks": lambda stream: show_checks([Check(EVIL, False, EVIL, EVIL)] * 2, stream=stream),
    "a watch": round_trip,
    "logs": logs,
    "forwarded ports": forwards,
    "any table": lambda stream: terminal.show(
        [
            Table(
                title=EVIL,
                columns=(Column(EVIL), Column(EVIL, long=True), Column(EVIL, right=True)),
                rows=((Cell(EVIL), Cell(EVIL, "bad"), Cell(EVIL)),) * 2,
            )
        ],
        stream,
    ),
    "lines and alarms": lambda stream: terminal.show(
        [Lines((Cell(EVIL),)), Alarm(EVIL, EVIL)], stream
    ),
}


@pytest.fixture(params=["terminal", "narrow terminal", "dumb terminal", "pipe"])
def stream(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    monkeypatch.setenv("TERM", "dumb" if "dumb" in request.param else "xterm-256color")
    monkeypatch.setenv("COLUMNS", "30" if "narrow" in request.param else "300")
    return io.StringIO() if request.param == "pipe" else Terminal()


@pytest.mark.parametrize("show", SCREENS.values(), ids=SCREENS)
def test_a_screen_never_passes_control_characters_on(show: Show, stream: io.StringIO) -> None:
    show(stream)
    shown = OWN.sub("", stream.getvalue())
    assert "title" not in shown
    assert "\x1b" not in shown, repr(shown[max(0, shown.index("\x1b") - 40) :][:120])
    assert not FORBIDDEN.search(shown), repr(FORBIDDEN.search(shown))


def test_words_in_brackets_are_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "300")
    page: Any = Terminal()
    terminal.show([Lines((Cell("[bold]x[/] :smile: [link=http://y]z[/link]"),))], page)
    assert "[bold]x[/] :smile: [link=http://y]z[/link]" in OWN.sub("", page.getvalue())
    assert "\x1b]8" not in page.getvalue()


def test_a_value_goes_as_it_is_into_a_pipe_and_clean_to_a_terminal() -> None:
    pipe, screen = io.StringIO(), Terminal()
    for each in (pipe, screen):
        terminal.write_value(each, "/lab/\x1b[31mred")
    assert pipe.getvalue() == "/lab/\x1b[31mred\n"
    assert screen.getvalue() == "/lab/red\n"
