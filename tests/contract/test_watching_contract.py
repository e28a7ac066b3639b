"""The real watcher on a real folder reports what the unit tests' fake was prepared to report."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hashlab.drivers import watching
from hashlab.drivers.watching import FileWatcher, advice
from hashlab.errors import LaptopError
from hashlab.protocols import Folders, Watcher

SECONDS = 10.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "deep/sub").mkdir(parents=True)
    (tmp_path / "flat/sub").mkdir(parents=True)
    for name in ("deep/a.txt", "deep/sub/b.txt", "flat/c.txt", "flat/sub/d.txt"):
        (tmp_path / name).write_text("1")
    return tmp_path


@pytest.fixture
def watcher(folder: Path) -> Iterator[FileWatcher]:
    made = FileWatcher()
    conforms: Watcher = made
    conforms.watch(Folders(frozenset({folder / "deep"}), frozenset({folder / "flat"})))
    yield made
    made.close()


def changes_until(watcher: FileWatcher, path: Path) -> dict[Path, float]:
    """Return all changes up to and including a change of ``path``."""
    found: dict[Path, float] = {}
    end = time.monotonic() + SECONDS
    while path not in found:
        assert time.monotonic() < end, f"{path} was not told, but {sorted(found)}"
        found.update(watcher.saves(0.5))
    return found


def settle(watcher: FileWatcher, folder: Path) -> dict[Path, float]:
    """Return all changes so far. One more change, which comes after all others, ends the list."""
    last = {folder / "deep/last", folder / "flat/last"}
    for path in last:
        path.write_text(str(time.monotonic()))
    found: dict[Path, float] = {}
    end = time.monotonic() + SECONDS
    while not last <= set(found):
        assert time.monotonic() < end, sorted(found)
        found.update(watcher.saves(0.5))
    return {path: at for path, at in found.items() if path not in last}


@pytest.mark.parametrize("name", ["deep/a.txt", "deep/sub/b.txt", "flat/c.txt"])
def test_an_edit_is_reported_with_its_time(watcher: FileWatcher, folder: Path, name: str) -> None:
    before = time.time()
    (folder / name).write_text("2")
    moment = changes_until(watcher, folder / name)[folder / name]
    assert before - 0.05 < moment <= time.time()


def test_a_file_replaced_by_rename_is_reported_each_time(
    watcher: FileWatcher, folder: Path
) -> None:
    for name in ("deep/a.txt", "flat/c.txt"):
        path = folder / name
        for content in ("2", "3"):
            fresh = path.with_name(path.name + "~")
            fresh.write_text(content)
            fresh.replace(path)
            changes_until(watcher, path)


def test_a_new_or_deleted_file_is_reported(watcher: FileWatcher, folder: Path) -> None:
    for parent in ("deep", "deep/sub", "flat"):
        path = folder / parent / "new.txt"
        path.touch()
        changes_until(watcher, path)
        path.unlink()
        changes_until(watcher, path)


def test_a_new_folder_is_watched_with_its_later_content(watcher: FileWatcher, folder: Path) -> None:
    new = folder / "deep/new/inner"
    new.mkdir(parents=True)
    (new / "e.txt").write_text("1")
    changes_until(watcher, folder / "deep/new")
    # A file written before the folder was watched is below it, and the folder itself was reported.
    settle(watcher, folder)
    (new / "e.txt").write_text("2")
    changes_until(watcher, new / "e.txt")


def test_a_moved_folder_and_its_replacement_are_reported(
    watcher: FileWatcher, folder: Path
) -> None:
    (folder / "deep/sub").rename(folder / "elsewhere")
    changes_until(watcher, folder / "deep/sub")
    (folder / "deep/sub").mkdir()
    (folder / "deep/sub/b.txt").write_text("another")
    changes_until(watcher, folder / "deep/sub")
    settle(watcher, folder)
    (folder / "deep/sub/b.txt").write_text("more")
    changes_until(watcher, folder / "deep/sub/b.txt")


def test_a_removed_tree_is_reported(watcher: FileWatcher, folder: Path) -> None:
    shutil.rmtree(folder / "deep/sub")
    changes_until(watcher, folder / "deep/sub")


def test_changes_in_a_linked_folder_are_reported_under_the_links_name(
    watcher: FileWatcher, folder: Path
) -> None:
    (folder / "real").mkdir()
    (folder / "real/f.txt").write_text("1")
    (folder / "link").symlink_to(folder / "real")
    watcher.watch(Folders(frozenset({folder / "link"}), frozenset({folder})))
    (folder / "real/f.txt").write_text("2")
    changes_until(watcher, folder / "link/f.txt")
    (folder / "link").unlink()
    changes_until(watcher, folder / "link")


def test_a_flat_folder_reports_nothing_from_below(watcher: FileWatcher, folder: Path) -> None:
    (folder / "flat/sub/d.txt").write_text("2")
    assert folder / "flat/sub/d.txt" not in settle(watcher, folder)


def test_reading_is_not_a_change(watcher: FileWatcher, folder: Path) -> None:
    settle(watcher, folder)
    for path in folder.rglob("*.txt"):
        path.read_text()
    assert settle(watcher, folder) == {}


def test_no_change_is_lost_between_calls_or_while_folders_are_replaced(
    watcher: FileWatcher, folder: Path
) -> None:
    (folder / "deep/a.txt").write_text("2")
    settle_time = time.monotonic() + SECONDS
    watcher.watch(Folders(frozenset({folder / "deep/sub"}), frozenset({folder / "flat"})))
    (folder / "deep/sub/b.txt").write_text("2")
    found: dict[Path, float] = {}
    while folder / "deep/sub/b.txt" not in found and time.monotonic() < settle_time:
        found.update(watcher.saves(0.5))
    assert folder / "deep/sub/b.txt" in found


def test_an_implausible_time_is_ignored(watcher: FileWatcher, folder: Path) -> None:
    """Any program may set the time of the content; the time of the change is the kernel's."""
    path = folder / "deep/a.txt"
    path.write_text("2")
    os.utime(path, (1.0, 1.0))
    assert changes_until(watcher, path)[path] > time.time() - 60


def test_without_a_change_the_call_lasts_as_long_as_requested(
    watcher: FileWatcher, folder: Path
) -> None:
    settle(watcher, folder)
    before = time.monotonic()
    assert watcher.saves(0.2) == {}
    assert 0.2 <= time.monotonic() - before < 5


def test_a_change_is_reported_soon(watcher: FileWatcher, folder: Path) -> None:
    """The median of several, because the machine may be busy with other things."""
    taken = []
    for number in range(9):
        settle(watcher, folder)
        before = time.monotonic()
        (folder / "deep/a.txt").write_text(str(number))
        changes_until(watcher, folder / "deep/a.txt")
        taken.append(time.monotonic() - before)
    assert sorted(taken)[4] < 0.1


def test_a_vanished_folder_is_left_to_the_next_call(watcher: FileWatcher, folder: Path) -> None:
    watcher.watch(Folders(frozenset({folder / "gone"}), frozenset({folder / "flat"})))
    (folder / "flat/c.txt").write_text("2")
    changes_until(watcher, folder / "flat/c.txt")


def test_after_close_no_thread_is_left(folder: Path) -> None:
    before = threading.active_count()
    watcher = FileWatcher()
    watcher.watch(Folders(frozenset({folder / "deep"}), frozenset({folder / "flat"})))
    assert threading.active_count() == before + 2
    watcher.close()
    assert threading.active_count() == before
    watcher.close()


EXHAUST = """
import ctypes, os, platform, resource, sys
from pathlib import Path
from hashlab.drivers.watching import FileWatcher
from hashlab.errors import LaptopError
from hashlab.protocols import Folders

def refused(folder):
    try:
        FileWatcher().watch(Folders(frozenset({folder})))
    except LaptopError as error:
        print(error.next_step, flush=True)

folder = Path(sys.argv[1])
seen = FileWatcher()
seen.watch(Folders(frozenset({folder})))
seen.close()
os.setgroups([]); os.setgid(65534); os.setuid(65534)
inotify = ctypes.CDLL(None).inotify_init1
taken = []
while (made := inotify(0)) >= 0:
    taken.append(made)
refused(folder)
for each in taken:
    os.close(each)
resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))
try:
    while True:
        os.open(os.devnull, os.O_RDONLY)
except OSError:
    refused(folder)
"""


def test_each_limit_of_the_laptop_has_its_own_advice() -> None:
    """Runs as another user, whose limits are then used up without affecting others."""
    if os.geteuid() != 0 or sys.platform != "linux":
        pytest.skip("takes another user's place, which only root may")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        command = [sys.executable, "-c", EXHAUST, folder]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    advice = done.stdout.splitlines()
    assert len(advice) == 2, done.stderr
    assert "max_user_instances" in advice[0]
    assert "ulimit -n" in advice[1]


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        ("OS file watch limit reached. about [...]", "max_user_watches"),
        ("No space left on device (os error 28)", "max_user_watches"),
        ("Too many open files (os error 24)", "max_user_instances"),
    ],
)
def test_advice_names_the_limit_that_was_reached(failure: str, expected: str) -> None:
    assert expected in advice(failure)
    assert advice("something else") == ""


def test_a_folder_that_vanishes_at_the_start_leaves_the_others_watched(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = watching.watch

    def watch(*paths: str, **options: Any) -> Any:
        if (folder / "gone").exists():
            (folder / "gone").rmdir()
            raise FileNotFoundError(str(folder / "gone"))
        return real(*paths, **options)

    (folder / "gone").mkdir()
    monkeypatch.setattr(watching, "watch", watch)
    watcher = FileWatcher()
    watcher.watch(Folders(frozenset({folder / "deep", folder / "gone"})))
    (folder / "deep/a.txt").write_text("2")
    assert folder / "deep/a.txt" in changes_until(watcher, folder / "deep/a.txt")
    watcher.close()


def test_a_laptop_that_cannot_watch_more_gives_a_next_step(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> Iterator[None]:
        raise OSError("OS file watch limit reached.")
        yield

    monkeypatch.setattr("hashlab.drivers.watching.watch", full)
    with pytest.raises(LaptopError, match="watch limit") as refused:
        FileWatcher().watch(Folders(frozenset({folder / "deep"})))
    assert "max_user_watches" in refused.value.next_step
