"""The lines of `hashlab logs` as people, pipes and programs get them."""

from __future__ import annotations

import io
import json
import re
import threading
from datetime import UTC, date, datetime
from typing import Any

import pytest
from standins import Terminal

from hashlab.documents.logs import LogLine
from hashlab.report import LogScreen
from hashlab.report.logs import LogStyle, readable

AT = datetime(2026, 11, 29, 8, 0, 0, 250_000)
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def log_line(message: str = "ready", **changes: Any) -> LogLine:
    values = {
        "time": AT.timestamp(),
        "machine": "web",
        "service": "user",
        "replica": 2,
        "running_build": "44b93d1a148c",
        "unit": None,
        "level": None,
        "message": message,
    }
    return LogLine(**{**values, **changes})


def page(*lines: LogLine, stream: io.StringIO | None = None, style: LogStyle = "text") -> str:
    stream = stream or io.StringIO()
    screen = LogScreen(
        stream,
        notices=io.StringIO(),
        replicas={"user": 2, "collector": 1},
        style=style,
        today=lambda: date(2026, 11, 29),
    )
    screen.show(lines)
    return stream.getvalue()


def test_a_pipe_gets_plain_lines_with_time_and_service() -> None:
    assert page(log_line(), log_line(service="collector", replica=1)) == (
        "08:00:00.250 user-2    | ready\n08:00:00.250 collector | ready\n"
    )


def test_each_line_of_a_stack_trace_shows_its_service() -> None:
    assert page(log_line("ERROR no\n\tat a.B")) == (
        "08:00:00.250 user-2    | ERROR no\n             user-2    |     at a.B\n"
    )


def test_a_line_of_another_day_shows_its_date() -> None:
    assert page(log_line(time=AT.timestamp() - 86400)).startswith("2026-11-28 08:00:00.250 ")


def test_a_units_line_shows_its_machine() -> None:
    line = log_line("joined", service=None, replica=None, running_build=None, unit="docker")
    assert page(line) == "08:00:00.250 web docker | joined\n"


def test_a_terminal_shows_services_and_problems_in_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    shown = page(log_line("WARN x", level="warn"), log_line("y"), stream=Terminal())
    assert COLOUR.sub("", shown) == (
        "08:00:00.250 user-2    | WARN x\n08:00:00.250 user-2    | y\n"
    )
    assert "\x1b[36muser-2    |\x1b[0m \x1b[33mWARN x\x1b[0m\n" in shown


def test_without_colours_a_terminal_gets_plain_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", "1")
    shown = page(log_line("WARN x", level="warn"), stream=Terminal())
    assert re.sub(r"\x1b\[[02]?m", "", shown) == "08:00:00.250 user-2    | WARN x\n"


def test_a_program_gets_one_object_a_line() -> None:
    first, second = page(
        log_line("a\n\tb", level="error"), log_line("c"), style="json"
    ).splitlines()
    moment = datetime.fromtimestamp(AT.timestamp(), UTC)
    assert json.loads(first) == {
        "time": f"{moment:%Y-%m-%dT%H:%M:%S}.250Z",
        "machine": "web",
        "service": "user",
        "replica": 2,
        "running_build": "44b93d1a148c",
        "unit": None,
        "level": "error",
        "message": "a\n\tb",
    }
    assert json.loads(second)["message"] == "c"


def test_raw_lines_are_unchanged_in_a_pipe_and_clean_on_a_terminal() -> None:
    evil = "a\x1b]0;title\x07b\n\tc"
    assert page(log_line(evil), style="raw") == f"{evil}\n"
    assert page(log_line(evil), style="raw", stream=Terminal()) == "ab\n    c\n"


def test_nothing_is_written_while_another_holds_the_turn() -> None:
    stream, turn = io.StringIO(), threading.Lock()
    screen = LogScreen(stream, notices=stream, replicas={}, style="raw", turn=turn)
    thread = threading.Thread(target=screen.show, args=([log_line("a line")],))
    with turn:
        thread.start()
        thread.join(0.05)
        assert stream.getvalue() == ""
    thread.join()
    assert stream.getvalue() == "a line\n"


JSON_LINES = {
    '{"level":"warn","msg":"slow","ms":12,"path":"/a b"}': 'WARN slow ms=12 path="/a b"',
    '{"@timestamp":"2026","message":"saved","id":null}': "saved id=null",
    '{"message":"no","stack_trace":"E: x\\n\\tat y\\n"}': "no\nE: x\n\tat y",
    '{"level":30,"time":1,"msg":"pino"}': "30 pino",
    '{"msg":{"odd":1}}': 'msg={"odd": 1}',
    "{}": "",
    "[1]": "[1]",
    '{"half': '{"half',
    "{not json}": "{not json}",
}


@pytest.mark.parametrize(("text", "shown"), JSON_LINES.items())
def test_json_is_shown_as_message_and_fields(text: str, shown: str) -> None:
    assert readable(text) == shown


def test_a_terminal_without_signs_gets_lines_too() -> None:
    assert page(log_line("héé →"), stream=Terminal("ascii")) == ("08:00:00.250 user-2    | h?? >\n")
