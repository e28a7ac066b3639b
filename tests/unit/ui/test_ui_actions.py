"""The buttons: which commands they run, and how their ends are reported."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import IO, Any

import pytest

from hashlab.documents.status import BoxStatus, ServiceStatus, Status
from hashlab.ui.actions import Actions, start_process
from hashlab.ui.feed import Feed


def row(name: str) -> ServiceStatus:
    nothing: dict[str, Any] = dict.fromkeys(field.name for field in fields(ServiceStatus))
    return ServiceStatus(**{**nothing, "name": name})


STATUS = Status(
    lab="hello",
    provider="docker",
    box=BoxStatus("", "", "", registered=True, stale=False),
    machines=(),
    services=(row("web"),),
    urls={},
    notes=(),
)
LOCKED = {
    "ok": False,
    "error": {
        "what": "another run is at work on this lab: dev (process 7) since 10:00",
        "next_step": "wait for it, or end it",
    },
}


class Programs:
    """Stands for processes: notes what is started; each ends with a code and an output."""

    def __init__(self, code: int = 0, document: object = None) -> None:
        self.code, self.text = code, json.dumps(document) if document is not None else ""
        self.started: list[list[str]] = []
        self.end = threading.Event()

    def __call__(self, command: Sequence[str], output: IO[bytes]) -> Callable[[], int]:
        self.started.append(list(command))
        output.write(self.text.encode())

        def wait() -> int:
            assert self.end.wait(5)
            return self.code

        return wait


def actions(programs: Programs, provider: str | None = None) -> tuple[Actions, Feed]:
    feed = Feed()
    feed.put("status", STATUS)
    return Actions(Path("/lab"), provider, feed, spawn=programs), feed


def ended(feed: Feed) -> dict[str, Any]:
    """Wait until the command has ended."""
    for _ in range(500):
        action = feed.value("action")
        if action is not None and not action["running"]:
            found: dict[str, Any] = action
            return found
        threading.Event().wait(0.01)
    raise AssertionError("it did not end")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("refresh", "", ["refresh"]),
        ("refresh", "ignored", ["refresh"]),
        ("restart", "web", ["restart", "web"]),
        ("snapshot", "before-1", ["snapshot", "before-1"]),
        ("restore", "before-1", ["restore", "before-1"]),
    ],
)
def test_a_button_runs_what_a_person_would_type(name: str, value: str, words: list[str]) -> None:
    programs = Programs()
    programs.end.set()
    buttons, feed = actions(programs, provider="docker")
    assert buttons.start(name, value) == ""
    assert ended(feed)["code"] == 0
    [command] = programs.started
    rest = ["--lab", "/lab", "--provider", "docker", "--json"]
    assert command == [sys.executable, "-P", "-m", "hashlab", *words, *rest]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("destroy", ""),
        ("", ""),
        ("restart", ""),
        ("restart", "nothing"),
        ("restart", "web --all"),
        ("snapshot", ""),
        ("snapshot", "--lab"),
        ("restore", "../x"),
        ("restore", "-x"),
    ],
)
def test_nothing_else_is_run(name: str, value: str) -> None:
    programs = Programs()
    buttons, _ = actions(programs)
    assert buttons.start(name, value)
    assert programs.started == []


def test_a_second_click_is_told_what_runs() -> None:
    programs = Programs()
    buttons, feed = actions(programs)
    assert buttons.start("refresh", "") == ""
    assert buttons.start("restart", "web") == "hashlab refresh is still running"
    programs.end.set()
    ended(feed)
    assert len(programs.started) == 1


def test_a_run_that_is_refused_says_who_holds_the_lock() -> None:
    programs = Programs(5, LOCKED)
    programs.end.set()
    buttons, feed = actions(programs)
    buttons.start("refresh", "")
    end = ended(feed)
    assert end["code"] == 5
    assert "dev (process 7)" in end["what"]
    assert end["next_step"] == "wait for it, or end it"


def test_a_command_that_prints_no_document_is_reported_by_its_code() -> None:
    programs = Programs(1)
    programs.end.set()
    buttons, feed = actions(programs)
    buttons.start("refresh", "")
    assert ended(feed)["what"] == "it ended with exit code 1"


def test_a_command_that_cannot_start_is_reported() -> None:
    def refuse(command: Sequence[str], output: IO[bytes]) -> Callable[[], int]:
        raise OSError(12, "Cannot allocate memory")

    feed = Feed()
    buttons = Actions(Path("/lab"), None, feed, spawn=refuse)
    buttons.start("refresh", "")
    assert "Cannot allocate memory" in ended(feed)["what"]


def test_a_process_has_its_own_session_and_writes_into_the_file(tmp_path: Path) -> None:
    script = "import os; print(os.getsid(0) == os.getpid()); raise SystemExit(3)"
    with (tmp_path / "out").open("w+b") as output:
        assert start_process([sys.executable, "-c", script], output)() == 3
        output.seek(0)
        assert output.read() == b"True\n"
