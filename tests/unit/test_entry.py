"""The console script and the tasks: who asks a daemon, and who does it in this process."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from hashlab import commands, entry, tasks
from hashlab.daemon import client
from hashlab.errors import ExitCode
from hashlab.run.execution import Options


class Daemon:
    """Answers every client with ``code``; None: there is nobody to ask."""

    def __init__(self) -> None:
        self.code: int | None = 7
        self.asked: list[list[str]] = []

    def ask(self, words: Sequence[str]) -> int | None:
        self.asked.append(list(words))
        return self.code


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> Daemon:
    made = Daemon()
    monkeypatch.setattr(client, "ask", made.ask)
    return made


def typed(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["hashlab", *words])
    with pytest.raises(SystemExit) as ended:
        entry.main()
    return int(ended.value.code or 0)


@pytest.fixture
def done_here(monkeypatch: pytest.MonkeyPatch) -> list[Options]:
    """The options of each status that is carried out in this process."""
    seen: list[Options] = []

    def status(options: Options) -> ExitCode:
        seen.append(options)
        return ExitCode.OK

    monkeypatch.setattr(commands, "status", status)
    return seen


@pytest.mark.parametrize("command", client.COMMANDS)
def test_a_daemons_exit_code_ends_the_command(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    assert typed(monkeypatch, command, "--json") == 7
    assert daemon.asked == [[command, "--json"]]


def test_without_a_daemon_the_command_is_carried_out_here(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch, done_here: list[Options]
) -> None:
    daemon.code = None
    assert typed(monkeypatch, "status", "--lab", "x", "--json") == 0
    assert done_here == [Options(Path("x"), json=True)]


def test_a_daemon_is_asked_in_words_it_knows_once_invoke_has_understood_them(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch, done_here: list[Options]
) -> None:
    with pytest.raises(SystemExit) as ended:
        tasks._Hashlab(name="hashlab", namespace=tasks.namespace).run(
            ["hashlab", "status", "-jl", "-odd", "--provider", "docker"]
        )
    assert ended.value.code == 7
    assert daemon.asked == [["status", "--json", "--lab=-odd", "--provider=docker"]]
    assert done_here == []


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
    monkeypatch.setattr(client, "_asked", lambda words, folder: 7)
    assert client.ask(["status"]) == 7
    monkeypatch.setenv("HASHLAB_DAEMON", switch)
    assert client.ask(["status"]) is None


def test_a_lab_without_a_state_folder_and_no_lab_at_all_have_no_daemon(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(client, "_asked", lambda words, folder: 7)
    assert client.ask(["status"]) is None
    (tmp_path / "hashlab.toml").touch()
    assert client.ask(["status"]) is None
