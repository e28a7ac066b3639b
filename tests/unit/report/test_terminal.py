"""Which stream gets what, and that the choice costs nothing where nobody looks."""

from __future__ import annotations

import io
import subprocess
import sys

import pytest
from standins import Terminal

from hashlab.errors import LabError
from hashlab.pipeline import RunResult
from hashlab.report import make_report, show_error, show_result, terminal
from hashlab.report.live import LiveReport
from hashlab.report.plain import PlainReport


@pytest.mark.parametrize("name", ["", "dumb", "unknown"])
def test_a_terminal_without_a_movable_cursor_gets_plain_lines(name: str) -> None:
    assert not terminal.is_rich(Terminal(), {"TERM": name})


def test_a_terminal_that_lacks_the_signs_gets_plain_lines() -> None:
    assert not terminal.is_rich(Terminal("iso-8859-1"), {"TERM": "xterm"})


def test_a_closed_stream_is_not_a_terminal() -> None:
    stream = Terminal()
    stream.close()
    assert not terminal.is_rich(io.StringIO(), {"TERM": "xterm"})
    terminal.write(stream, "nobody reads this")


def test_a_terminal_gets_the_live_report_and_a_pipe_the_plain_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    assert isinstance(make_report(Terminal()), LiveReport)
    assert isinstance(make_report(io.StringIO()), PlainReport)


def test_no_color_keeps_the_layout_and_removes_the_colours(
    monkeypatch: pytest.MonkeyPatch, good: RunResult
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.delenv("NO_COLOR", raising=False)
    coloured, bare = Terminal(), Terminal()
    show_result(good, coloured)
    monkeypatch.setenv("NO_COLOR", "1")
    show_result(good, bare)
    assert "\x1b[32mok" in coloured.getvalue()
    assert "\x1b[32m" not in bare.getvalue()
    assert "✓" in bare.getvalue()


def test_a_reader_that_went_away_does_not_stop_a_run() -> None:
    class Broken(io.StringIO):
        def write(self, _: str) -> int:
            raise BrokenPipeError

    terminal.write(Broken(), "text")


def test_an_error_outside_a_run_is_shown_whole() -> None:
    stream = io.StringIO()
    show_error(LabError("no box", where="lab demo", next_step="hashlab init-box"), stream)
    said = stream.getvalue()
    assert "lab demo: no box" in said
    assert "Next: hashlab init-box" in said


def test_rich_is_not_imported_for_a_run_without_a_terminal() -> None:
    program = (
        "import io, sys\n"
        "from hashlab.pipeline import RunResult\n"
        "from hashlab.report import make_report, show_result\n"
        "with make_report(io.StringIO()): pass\n"
        "show_result(RunResult((), 0.0, 1.0, None), io.StringIO())\n"
        "sys.exit('rich' in sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
