"""The console script and the tasks: which commands ask a daemon, and which run in this process."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from invoke.program import Program

from hashlab import tasks
from hashlab.cli import main
from hashlab.commands import NAMES, load, status
from hashlab.daemon import client
from hashlab.errors import ExitCode
from hashlab.run.execution import Options


class Daemon:
    """Answers every client with ``code``; None: there is nobody to ask."""

    def __init__(self) -> None:
        self.code: int | None = 7
        self.asked: list[tuple[str, dict[str, object]]] = []

    def ask(self, command: str, values: Mapping[str, object]) -> int | None:
        self.asked.append((command, {key: value for key, value in values.items() if value}))
        return self.code


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> Daemon:
    made = Daemon()
    monkeypatch.setattr(client, "ask", made.ask)
    return made


def typed(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["hashlab", *words])
    with pytest.raises(SystemExit) as ended:
        main.main()
    return int(ended.value.code or 0)


def invoked(*words: str) -> int:
    """Run one line of ``inv``; return its exit code."""
    with pytest.raises(SystemExit) as ended:
        Program(name="inv", namespace=tasks.namespace).run(["inv", *words])
    return int(ended.value.code or 0)


def answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon answers with exit code 7, wherever a client may ask one."""
    monkeypatch.setattr(client, "connected", lambda state: socket.socket())
    monkeypatch.setattr(client, "_converse", lambda wire, request: {"code": 7})


@pytest.fixture
def done_here(monkeypatch: pytest.MonkeyPatch) -> list[Options]:
    """The options of each status that is carried out in this process."""
    seen: list[Options] = []

    def run(options: Options, *, follow: bool, services: bool) -> ExitCode:
        seen.append(options)
        return ExitCode.OK

    monkeypatch.setattr(status, "run", run)
    return seen


WARM = [name for name in NAMES if load(name).warm]


@pytest.mark.parametrize("command", WARM)
def test_a_daemons_exit_code_ends_the_command(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    arguments = load(command).arguments
    names = {each.key: ("first",) if each.many else "first" for each in arguments}
    assert typed(monkeypatch, command, "--json", *["first" for _ in arguments]) == 7
    assert daemon.asked == [(command, {"json": True, **names})]


def test_without_a_daemon_the_command_is_carried_out_here(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch, done_here: list[Options]
) -> None:
    daemon.code = None
    assert typed(monkeypatch, "status", "--lab", "x", "--json") == 0
    assert done_here == [Options(Path("x"), json=True)]


def test_a_busy_daemon_is_asked_once(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch, done_here: list[Options]
) -> None:
    daemon.code = None
    typed(monkeypatch, "status")
    assert len(daemon.asked) == 1


def test_what_lasts_until_ctrl_c_does_not_occupy_the_daemon(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch, done_here: list[Options]
) -> None:
    assert typed(monkeypatch, "status", "--follow") == 0
    assert daemon.asked == []
    assert len(done_here) == 1


def test_a_task_of_invoke_asks_the_daemon_too(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch, done_here: list[Options]
) -> None:
    assert invoked("status", "-jl", "-odd", "--provider", "docker") == 7
    values = {"json": True, "lab": "-odd", "provider": "docker"}
    assert daemon.asked == [("status", values)]
    assert done_here == []


def test_files_and_profiles_of_the_command_line_replace_those_of_the_environment(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("COMPOSE_FILE", "COMPOSE_PATH_SEPARATOR", "COMPOSE_PROFILES"):
        monkeypatch.setenv(name, "other")
    typed(monkeypatch, "--file", "a.yaml", "status", "--file", "/b.yaml", "--profile", "debug")
    assert os.environ["COMPOSE_FILE"] == f"{tmp_path}/a.yaml:/b.yaml"
    assert os.environ["COMPOSE_PATH_SEPARATOR"] == ":"
    assert os.environ["COMPOSE_PROFILES"] == "debug"


@pytest.mark.parametrize("words", [["--version"], ["--help"], ["doctor", "--help"]])
def test_other_words_ask_no_daemon(
    daemon: Daemon,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
) -> None:
    assert typed(monkeypatch, *words) == 0
    assert "hashlab" in capsys.readouterr().out.lower()
    assert daemon.asked == []


@pytest.mark.parametrize("switch", ["0", "no", "off", "FALSE"])
def test_a_switch_keeps_the_client_from_asking(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, switch: str
) -> None:
    (tmp_path / ".hashlab").mkdir()
    (tmp_path / "hashlab.toml").touch()
    monkeypatch.chdir(tmp_path)
    answers(monkeypatch)
    assert client.ask("status", {"lab": ""}) == 7
    monkeypatch.setenv("HASHLAB_DAEMON", switch)
    assert client.ask("status", {"lab": ""}) is None


def test_a_lab_without_a_state_folder_and_no_lab_at_all_have_no_daemon(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    answers(monkeypatch)
    assert client.ask("status", {"lab": ""}) is None
    (tmp_path / "hashlab.toml").touch()
    assert client.ask("status", {"lab": ""}) is None
