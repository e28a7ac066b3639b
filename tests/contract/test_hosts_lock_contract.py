"""Holds a lab's lock as a host does: by the real program, in processes of the laptop."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from hashlab.providers.hosts.lab import HOLD_LOCK

pytestmark = pytest.mark.skipif(shutil.which("flock") is None, reason="there is no flock")


class Host:
    """A folder that stands for /var/lib/hashlab; every process ends with the test."""

    def __init__(self, folder: Path, processes: ExitStack) -> None:
        self.folder, self._processes = folder, processes

    def ask(self, who: str, seconds: int = 60) -> tuple[str, subprocess.Popen[str]]:
        """Ask for the lock; return the answer, and the process that holds it."""
        lock = str(self.folder / ".lock")
        process = self._processes.enter_context(
            subprocess.Popen(
                ["bash", "-c", HOLD_LOCK, "bash", lock, who, str(seconds)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        self._processes.callback(process.kill)
        assert process.stdout is not None
        return process.stdout.readline().strip(), process


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    with ExitStack() as processes:
        yield Host(tmp_path, processes)


def test_one_holds_the_lock_and_the_next_is_told_who(host: Host) -> None:
    assert host.ask("dev by anna")[0] == "taken"
    assert host.ask("refresh by ben")[0] == "held dev by anna"


def test_the_lock_ends_with_the_input_of_its_holder(host: Host) -> None:
    _, holder = host.ask("dev by anna")
    assert holder.stdin is not None
    holder.stdin.close()
    holder.wait(10)
    assert host.ask("refresh by ben")[0] == "taken"


def test_the_lock_ends_with_the_silence_of_its_holder(host: Host) -> None:
    answer, holder = host.ask("dev by anna", seconds=1)
    assert answer == "taken"
    holder.wait(10)
    assert host.ask("refresh by ben")[0] == "taken"


def test_a_killed_holder_holds_nothing(host: Host) -> None:
    _, holder = host.ask("dev by anna")
    holder.kill()
    holder.wait(10)
    assert host.ask("refresh by ben")[0] == "taken"


def test_a_host_that_is_not_prepared_has_no_lock(host: Host) -> None:
    host.folder /= "missing"
    assert host.ask("init-box by anna")[0] == "unprepared"
