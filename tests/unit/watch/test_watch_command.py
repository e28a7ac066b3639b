"""The command `hashlab watch` with real refreshes on fakes: its lines, its end, what stays."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from fakes import Outside, running, small_lab, write_files

from hashlab.errors import ConfigError, ExitCode, LaptopError, Problem
from hashlab.pipeline import CancelToken
from hashlab.protocols import Completed, Folders
from hashlab.run import execution
from hashlab.run.execution import Options
from hashlab.run.labs import read_folder
from hashlab.run.lock import held
from hashlab.watch import loop as watch

Told = pytest.CaptureFixture[str]
PEOPLE, JSON = Options(), Options(json=True)
Act = Callable[[], Any]


@dataclass
class Scripted:
    """A watcher for which ``acts`` follow each other: each saves files, whose names it returns.
    Then the user presses Ctrl-C.
    """

    folder: Path
    acts: list[Act] = field(default_factory=list)
    watched: list[Folders] = field(default_factory=list)
    closed: bool = False

    def watch(self, folders: Folders) -> None:
        self.watched.append(folders)

    def saves(self, seconds: float) -> Mapping[Path, float]:
        if seconds < 1:  # the end of a burst is awaited
            time.sleep(max(0.0, seconds))
            return {}
        if not self.acts:
            os.kill(os.getpid(), signal.SIGINT)
        names = self.acts.pop(0)()
        return {self.folder / name: time.time() for name in names}

    def wake(self) -> None:
        raise AssertionError("without a background process no events are read")

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def watcher(outside: Outside, monkeypatch: pytest.MonkeyPatch) -> Scripted:
    """A running lab, watched by a process that refreshes it itself."""
    monkeypatch.setenv("HASHLAB_DAEMON", "0")
    running(outside)
    made = Scripted(outside.lab.folder)
    monkeypatch.setattr(watch, "lab_folder", lambda lab: outside.lab.folder)
    monkeypatch.setattr(watch, "read_folder", lambda folder, provider: outside.lab)
    monkeypatch.setattr(watch, "open_watcher", lambda: made)
    monkeypatch.setattr(execution, "open_lab", lambda lab, provider=None: outside.lab)
    monkeypatch.setattr(execution, "make_world", lambda lab, **_: outside.world(lab))
    return made


def edit(outside: Outside, name: str, text: str) -> Act:
    def act() -> list[str]:
        write_files(outside.lab.folder, {name: text})
        return [name]

    return act


def documents(told: Told) -> list[dict[str, Any]]:
    return [json.loads(line) for line in told.readouterr().out.splitlines()]


def test_edits_are_brought_to_the_lab_one_after_the_other(
    outside: Outside, watcher: Scripted, capsys: Told
) -> None:
    watcher.acts = [
        edit(outside, "static/index.html", "<h1>two</h1>"),
        edit(outside, "src/main.txt", "source 2"),
    ]
    assert watch.watch(PEOPLE) == ExitCode.OK
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert lines[1].endswith("nothing changed  (start)")
    assert lines[2].endswith("1 file sent to web  (static/index.html)")
    assert lines[3].endswith("1 file sent to web, site replaced  (src/main.txt)")
    disk = outside.machines["web"].disk
    assert disk.files["/var/lib/hashlab/small/files/static/index.html"].content == b"<h1>two</h1>"
    assert watcher.closed


def test_programs_get_a_line_for_each_round_trip_with_its_record(
    outside: Outside, watcher: Scripted, capsys: Told
) -> None:
    watcher.acts = [edit(outside, "static/index.html", "<h1>two</h1>")]
    assert watch.watch(JSON) == ExitCode.OK
    _, saved = documents(capsys)
    assert saved["run"]["command"] == "refresh"
    assert saved["run"]["ok"] is True
    assert len(list(outside.state.runs.glob("*-refresh.json"))) == 2
    assert 0 < saved["run"]["seconds"] <= saved["seconds"] < 5


def test_a_compile_error_shows_what_the_compiler_said_and_watching_goes_on(
    outside: Outside, watcher: Scripted, capsys: Told
) -> None:
    def spoil() -> list[str]:
        outside.runner.prepare("make", "app", code=2, stderr="src/main.txt:3: error: no such thing")
        return edit(outside, "src/main.txt", "wrong")()

    def mend() -> list[str]:
        outside.runner.prepare("make", "app", effect=outside._make)
        return edit(outside, "src/main.txt", "source 3")()

    watcher.acts = [spoil, mend]
    assert watch.watch(PEOPLE) == ExitCode.OK
    told = capsys.readouterr().out
    assert "src/main.txt:3: error: no such thing" in told
    assert told.splitlines()[-1].endswith("site replaced  (src/main.txt)")


def test_verbose_shows_what_the_tools_say(
    outside: Outside, watcher: Scripted, capsys: Told
) -> None:
    watcher.acts = [edit(outside, "src/main.txt", "source 2")]
    watch.watch(Options(verbose=True))
    assert "| made" in capsys.readouterr().out


def test_a_machine_that_was_cut_off_is_awaited_and_refreshed(
    outside: Outside, watcher: Scripted, capsys: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "LOOK_SECONDS", 0.01)

    def cut() -> list[str]:
        outside.machines["web"].state = "stopped"
        monkeypatch.setattr(outside.connector, "answers", answers)
        return edit(outside, "static/index.html", "<h1>two</h1>")()

    looks: list[object] = []
    original = outside.connector.answers

    def answers(endpoint: Any) -> bool:
        looks.append(endpoint)
        if len(looks) == 8:  # by then several looks have found it stopped
            outside.machines["web"].state = "running"
        return original(endpoint)

    watcher.acts = [cut]
    assert watch.watch(PEOPLE) == ExitCode.OK
    told = capsys.readouterr().out
    assert told.count("the machine is stopped") == 1
    assert "waiting for the next save, or for web to answer" in told
    assert told.splitlines()[-1].endswith("1 file sent to web  (web answers: static/index.html)")


def test_the_lab_held_by_another_run_is_waited_for(
    outside: Outside, watcher: Scripted, capsys: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "LOCKED_SECONDS", 0.01)
    lock = held(outside.state.lock, "dev")
    told_waiting = threading.Event()
    original = outside.state.lock

    def release() -> None:
        told_waiting.wait(10)
        lock.__exit__(None, None, None)

    def save_and_hold() -> list[str]:
        lock.__enter__()
        freed = threading.Thread(target=release)
        freed.start()
        return edit(outside, "static/index.html", "<h1>two</h1>")()

    say = watch.Rounds.say

    def saying(self: Any, text: str) -> None:
        say(self, text)
        if "waiting for its end" in text:
            told_waiting.set()

    monkeypatch.setattr(watch.Rounds, "say", saying)
    watcher.acts = [save_and_hold]
    assert watch.watch(PEOPLE) == ExitCode.OK
    lines = capsys.readouterr().out.splitlines()
    assert original.exists()
    assert sum("another run is at work on this lab: dev" in line for line in lines) == 1
    assert lines[-1].endswith("1 file sent to web  (the lab is free again: static/index.html)")


def test_ctrl_c_during_a_refresh_ends_it_in_order(
    outside: Outside, watcher: Scripted, capsys: Told
) -> None:
    def interrupted(_: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    outside.runner.prepare("make", "app", effect=interrupted)
    watcher.acts = [edit(outside, "src/main.txt", "source 2")]
    assert watch.watch(PEOPLE) == ExitCode.INTERRUPTED
    assert "Half done: " in capsys.readouterr().err
    assert watcher.closed
    with held(outside.state.lock, "next"):
        pass


def test_a_polite_kill_is_ctrl_c(outside: Outside, watcher: Scripted) -> None:
    before = signal.getsignal(signal.SIGTERM)

    def terminate() -> list[str]:
        os.kill(os.getpid(), signal.SIGTERM)
        return []

    watcher.acts = [terminate]
    assert watch.watch(PEOPLE) == ExitCode.OK
    assert signal.getsignal(signal.SIGTERM) is before


def test_without_a_lab_it_does_not_begin(
    outside: Outside, watcher: Scripted, monkeypatch: pytest.MonkeyPatch, capsys: Told
) -> None:
    monkeypatch.undo()
    monkeypatch.chdir(outside.root)
    assert watch.watch(PEOPLE) == ExitCode.CONFIG
    assert "cannot find hashlab.toml" in capsys.readouterr().err


def test_a_laptop_that_cannot_watch_ends_it(
    outside: Outside, watcher: Scripted, monkeypatch: pytest.MonkeyPatch, capsys: Told
) -> None:
    def full(folders: Folders) -> None:
        raise LaptopError("the files of the lab cannot be watched")

    monkeypatch.setattr(watcher, "watch", full)
    assert watch.watch(PEOPLE) == ExitCode.LAPTOP
    assert "cannot be watched" in capsys.readouterr().err
    assert watcher.closed


def test_files_that_are_broken_from_the_start_are_waited_for(
    outside: Outside, watcher: Scripted, monkeypatch: pytest.MonkeyPatch, capsys: Told
) -> None:
    lab = outside.lab
    wrong = ConfigError(
        [Problem("hashlab.toml", 3, "no name")], sources=[lab.folder / "hashlab.toml"]
    )
    answers: list[ConfigError] = [wrong, wrong]

    def load(folder: Path, provider: str | None) -> object:
        if answers:
            raise answers.pop()
        return replace(lab)

    monkeypatch.setattr(watch, "read_folder", load)
    watcher.acts = [lambda: ["hashlab.toml"]]
    assert watch.watch(PEOPLE) == ExitCode.OK
    told = capsys.readouterr().out
    assert told.count("hashlab.toml:3: no name") == 1
    assert "nothing changed  (hashlab.toml)" in told


def test_a_reader_of_the_documents_that_went_away_ends_it(
    outside: Outside, watcher: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    forgotten: list[bool] = []

    def gone(*_: object, **__: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr("builtins.print", gone)
    monkeypatch.setattr(watch, "_forget_stdout", lambda: forgotten.append(True))
    assert watch.watch(JSON) == ExitCode.OK
    assert forgotten == [True]


def test_a_lab_of_files_is_read_and_watched(tmp_path: Path) -> None:
    """The real reading names the files it stands on."""
    lab = small_lab(tmp_path)
    assert lab.sources == ()
    write_files(
        tmp_path,
        {
            "hashlab.toml": '[lab]\nname = "x"\n[machines.one]\naddress = "192.168.60.5"\n',
            "compose.yaml": (
                "services:\n  a:\n    image: debian:trixie-slim\n"
                "    env_file: [{path: ./a.env, required: false}, ./b.env]\n"
            ),
            "b.env": "X=1\n",
        },
    )
    read = read_folder(tmp_path, None)
    names = {path.name for path in read.sources}
    assert names >= {".env", "a.env", "b.env", "compose.yaml", "compose.override.yaml"}
    (tmp_path / "b.env").unlink()
    with pytest.raises(ConfigError) as refused:
        read_folder(tmp_path, None)
    assert tmp_path / "b.env" in refused.value.sources


def test_new_log_lines_are_shown_between_the_refreshes(
    outside: Outside, watcher: Scripted, capsys: Told
) -> None:
    entry = {"__CURSOR": "c", "__REALTIME_TIMESTAMP": "1", "MESSAGE": "hello"}
    shown: list[str] = []

    def journal(
        words: Sequence[str], on_lines: Callable[[Sequence[bytes]], None], cancel: CancelToken
    ) -> Completed:
        on_lines([b"#begin journald %d - 0" % time.time()])
        if words[-2] == "web":
            on_lines([json.dumps({**entry, "CONTAINER_NAME": "a-site-1"}).encode()])
        cancel.wait(20)
        raise AssertionError("the reader was not cancelled")

    def wait() -> list[str]:
        deadline = time.monotonic() + 20
        while "hello" not in "".join(shown) and time.monotonic() < deadline:
            shown.append(capsys.readouterr().out)
            time.sleep(0.001)
        return []

    outside.runner.prepare_stream("ssh", streaming=journal)
    watcher.acts = [wait]
    assert watch.watch(PEOPLE, logs=True) == ExitCode.OK
    text = "".join(shown) + capsys.readouterr().out
    assert "hello" in text
    assert "(start)" in text


def test_log_lines_and_documents_are_not_mixed(capsys: Told) -> None:
    assert watch.watch(JSON, logs=True) == ExitCode.CONFIG
    assert "--logs and --json print different things" in capsys.readouterr().err
