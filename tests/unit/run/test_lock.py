"""The lock: one run at a time, the second one is told who is first, the dead hinder nobody."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

from hashlab.errors import ExitCode, LockedError
from hashlab.run import lock
from hashlab.run.lock import held, is_busy

HOLDER = """
import sys, time
from pathlib import Path
from hashlab.run.lock import is_busy, held
with held(Path(sys.argv[1]), "dev"):
    print("held", flush=True)
    time.sleep(60)
"""


def holder(path: Path) -> subprocess.Popen[str]:
    """Another process that holds the lock from now on."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def end(process: subprocess.Popen[str], number: int = signal.SIGKILL) -> None:
    process.send_signal(number)
    process.communicate()


def test_the_second_holder_is_told_who_holds_the_lock_since_when(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    other = holder(path)
    try:
        with pytest.raises(LockedError) as failure, held(path, "refresh"):
            pass
    finally:
        end(other)
    error = failure.value
    assert f"dev (process {other.pid}) since 20" in error.what
    assert (error.where, error.exit_code) == (str(path), ExitCode.LOCKED)
    assert error.next_step == "wait for it, or end it"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_the_lock_of_a_dead_process_hinders_nobody(tmp_path: Path, number: int) -> None:
    path = tmp_path / "lock"
    end(holder(path), number)
    with held(path, "refresh"):
        assert json.loads(path.read_text())["command"] == "refresh"


ENDING_HOLDER = """
import sys, time
from pathlib import Path
from hashlab.run.lock import is_busy, held
with held(Path(sys.argv[1]), "snapshot") as ending:
    ending()
    print("held", flush=True)
    input()
"""


def test_a_run_that_is_ending_is_waited_for(tmp_path: Path) -> None:
    path, said = tmp_path / "lock", []
    other = subprocess.Popen(
        [sys.executable, "-c", ENDING_HOLDER, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert other.stdin is not None and other.stdout is not None
    assert other.stdout.readline() == "held\n"

    def say(text: str) -> None:
        said.append(text)
        other.communicate("\n")  # it ends now

    with held(path, "refresh", say=say):
        assert json.loads(path.read_text())["command"] == "refresh"
    assert len(said) == 1
    assert said[0].startswith(f"waiting for a run that is ending: snapshot (process {other.pid})")


def test_a_run_that_does_not_come_to_its_end_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "ENDING_SECONDS", 0.2)
    with held(tmp_path / "lock", "snapshot") as ending:
        ending()
        with pytest.raises(LockedError, match="another run is at work on this lab: snapshot"):
            held(tmp_path / "lock", "refresh").__enter__()


def test_a_run_that_begins_while_another_waits_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with held(path, "snapshot") as ending:
        ending()

        def say(_: str) -> None:
            path.write_text('{"command": "dev", "pid": 1, "since": "now"}')

        with pytest.raises(LockedError, match="dev"):
            held(path, "refresh", say=say).__enter__()


def test_one_process_cannot_hold_it_twice_either(tmp_path: Path) -> None:
    with held(tmp_path / "lock", "dev"), pytest.raises(LockedError):
        held(tmp_path / "lock", "dev").__enter__()


def test_the_lock_is_free_after_the_block_and_after_an_error(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with held(path, "one"):
        pass
    with pytest.raises(ZeroDivisionError), held(path, "two"):
        raise ZeroDivisionError
    with held(path, "three"):
        pass


def test_the_file_names_the_holder_and_is_empty_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "lock"
    with held(path, "dev"):
        said = json.loads(path.read_text())
        assert (said["pid"], said["command"]) == (os.getpid(), "dev")
        assert datetime.fromisoformat(said["since"]).tzinfo is not None
    assert path.read_text() == ""


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"pid": 1}'])
def test_a_lock_file_that_says_nothing_useful_is_locked_all_the_same(
    tmp_path: Path, text: str
) -> None:
    path = tmp_path / "lock"
    with held(path, "dev"):
        path.write_text(text)
        with pytest.raises(LockedError, match="it started this moment"):
            held(path, "refresh").__enter__()


def test_a_longer_text_of_an_earlier_holder_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.write_text("x" * 500)
    with held(path, "dev"):
        json.loads(path.read_text())


def test_children_of_the_holder_do_not_keep_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with held(path, "dev"):
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    with held(path, "refresh"):
        assert child.poll() is None
    child.communicate(b"\n")


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"pid": "x"}', '{"pid": 99999999}'])
def test_no_run_is_busy_whose_holder_is_not_there(tmp_path: Path, text: str) -> None:
    path = tmp_path / "lock"
    assert not is_busy(path)
    path.write_text(text)
    assert not is_busy(path)


def test_a_run_is_busy_while_it_holds_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with held(path, "refresh"):
        assert is_busy(path)
    assert not is_busy(path)
