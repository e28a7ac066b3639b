"""With any content of `.hashlab`, no command ends in a traceback, follows a link, or leaves files
behind.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakes import Outside, go, running

from hashlab import hashing
from hashlab.commands import report, snapshots, status
from hashlab.errors import ExitCode
from hashlab.run import execution, labs, wiring, workflows
from hashlab.run.execution import Options
from hashlab.state.files import StateFolder

Told = pytest.CaptureFixture[str]
DEEP = "[" * 100_000

# Every file and folder that a run, a killed run or the daemon leaves in `.hashlab`.
FILES = (
    "lock",
    "docker/Vagrantfile",
    "docker/machines.json",
    "docker/unverified",
    "docker/disks-ready",
    "docker/restoring",
    "docker/ssh/id_ed25519",
    "docker/ssh/id_ed25519.pub",
    "docker/ssh/known_hosts",
    "docker/ssh/config",
    "docker/kept/web.json",
    "docker/kept/web.tar",
    "docker/snapshots/first.json",
    "docker/vagrant/machines/web/docker/id",
    "secrets/password",
    "artifacts/app.json",
    "runs/2020-01-01T00-00-00.000Z-dev.json",
    "children/4242",
    "report.html",
    "daemon.log",
)
FOLDERS = tuple(
    sorted({str(parent) for name in FILES for parent in Path(name).parents} | {"docker/box"})
)


def empty(path: Path, own: Path) -> None:
    path.write_text("")


def bytes_of_no_text(path: Path, own: Path) -> None:
    path.write_bytes(b"\xff\xfe\x00{")


def deep_json(path: Path, own: Path) -> None:
    path.write_text(DEEP)


def folder(path: Path, own: Path) -> None:
    path.unlink(missing_ok=True)
    path.mkdir()
    (path / "inside").write_text("x")


def pipe(path: Path, own: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def link_to_a_file(path: Path, own: Path) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to(own / "precious")


def link_to_nothing(path: Path, own: Path) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to(own / "new")


def stray(path: Path, own: Path) -> None:
    path.mkdir(parents=True, exist_ok=True)
    (path / ".DS_Store").write_bytes(b"\x00\x01")
    (path / ("n" * 255)).write_text("")
    (path / "not\nutf8-\udcff.json").write_text("")
    (path / "foreign").mkdir()
    (path / "foreign.json").mkdir()
    (path / "4711").mkdir()


def file(path: Path, own: Path) -> None:
    aside(path)
    path.write_text("a file")


def link_to_a_folder(path: Path, own: Path) -> None:
    aside(path)
    path.symlink_to(own)


def aside(path: Path) -> None:
    """Move it away, as a person would."""
    if os.path.lexists(path):
        lab = next(parent for parent in path.parents if parent.name == "lab")
        path.rename(tempfile.mkdtemp(dir=lab.parent) + "/it")


OF_FILES = (
    empty,
    bytes_of_no_text,
    deep_json,
    folder,
    pipe,
    link_to_a_file,
    link_to_nothing,
)
OF_FOLDERS = (stray, file, link_to_a_folder)
CASES = [(name, damage) for name in FILES for damage in OF_FILES] + [
    (name, damage) for name in FOLDERS for damage in OF_FOLDERS
]


@pytest.fixture(autouse=True)
def _on_fakes(outside: Outside, monkeypatch: pytest.MonkeyPatch) -> None:
    # An unreadable file is read again and again, for 2.5 s each time.
    monkeypatch.setattr(hashing, "PAUSE_SECONDS", 0)
    monkeypatch.setattr(execution, "open_lab", lambda lab, provider=None: outside.lab)
    for module in (execution, wiring):
        monkeypatch.setattr(module, "make_world", lambda lab, **_: outside.world())
    monkeypatch.setattr(labs, "state_of", lambda lab: StateFolder(outside.state.root, ""))


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Files of the user that have nothing to do with the lab."""
    made = tmp_path / "own"
    made.mkdir()
    (made / "precious").write_text("precious")
    return made


def worked_on(outside: Outside) -> StateFolder:
    """A running lab with a snapshot, and with files that a killed run and other commands left."""
    running(outside)
    go(outside, workflows.snapshot("first"))
    state = outside.state
    for name in FILES:
        path = state.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() and name != "docker/restoring":
            path.write_text("")
    kept = {"host_key": outside.machines["web"].host_key, "volumes": []}
    (state.kept / "web.json").write_text(json.dumps(kept))
    return state


def every_command(options: Options) -> dict[str, Callable[[], int]]:
    return {
        "status": lambda: status.run(options, follow=False, services=False),
        "snapshots": lambda: snapshots.run(options),
        "report": lambda: report.run(options, output="", budget=()),
        "refresh": lambda: execution.run("refresh", workflows.REFRESH, options),
        "restore": lambda: execution.run("restore", workflows.restore("first"), options),
        "dev": lambda: execution.run("dev", workflows.DEV, options),
        "destroy": lambda: execution.run("destroy", workflows.DESTROY, options),
    }


@pytest.mark.parametrize(("name", "damage"), CASES, ids=lambda one: getattr(one, "__name__", one))
def test_with_any_damage_every_command_ends_cleanly(
    outside: Outside, own: Path, capsys: Told, name: str, damage: Any
) -> None:
    state = worked_on(outside)
    damaged = state.root / name
    damage(damaged, own)
    for command, carry_out in every_command(Options()).items():
        code = carry_out()
        told = capsys.readouterr()
        assert {path.name: path.read_text() for path in own.iterdir()} == {"precious": "precious"}
        assert not list(state.root.rglob("*.new")), command
        if code == ExitCode.OK:
            continue
        said = told.out + told.err
        assert code in (ExitCode.CONFIG, ExitCode.LAPTOP, ExitCode.LAB), said
        if code == ExitCode.LAPTOP:
            squeezed = "".join(said.split())
            assert "".join(str(damaged).split()) in squeezed, f"{command}: {said}"
            assert "Next:" in said
    aside(damaged)
    assert execution.run("dev", workflows.DEV, Options()) == ExitCode.OK, capsys.readouterr()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EIO])
def test_an_unwritable_disk_is_reported_and_a_full_disk_can_be_emptied(
    outside: Outside, capsys: Told, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    state = worked_on(outside)
    (outside.lab.folder / "src/main.txt").write_text("source 2\n")
    real = os.open

    def refusing(path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        writes = flags & (os.O_WRONLY | os.O_RDWR)
        if dir_fd is not None and writes:
            try:
                os.stat(path, dir_fd=dir_fd)
            except FileNotFoundError:
                raise OSError(number, os.strerror(number)) from None
            if number != errno.ENOSPC:
                raise OSError(number, os.strerror(number))
        return real(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", refusing)
    codes = {}
    for command, carry_out in every_command(Options()).items():
        codes[command] = carry_out()
        told = capsys.readouterr()
        if codes[command] != ExitCode.OK:
            assert codes[command] == ExitCode.LAPTOP, told
            assert os.strerror(number) in told.out + told.err
            assert "Next:" in told.out + told.err
        assert not list(state.root.rglob("*.new"))
    assert codes["status"] == codes["snapshots"] == ExitCode.OK
    assert codes["refresh"] == codes["report"] == ExitCode.LAPTOP
    if number == errno.ENOSPC:
        assert codes["destroy"] == ExitCode.OK


def test_the_result_of_a_run_is_shown_even_if_its_record_cannot_be_written(
    outside: Outside, capsys: Told
) -> None:
    state = worked_on(outside)
    aside(state.runs)
    state.runs.write_text("")
    assert execution.run("refresh", workflows.REFRESH, Options(json=True)) == ExitCode.OK
    told = capsys.readouterr()
    assert json.loads(told.out)["ok"] is True
    assert "could not be recorded" in told.err
    assert str(state.runs) in "".join(told.err.split())


def test_a_disk_without_locks_is_named(
    outside: Outside, capsys: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    worked_on(outside)

    def refused(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refused)
    assert execution.run("refresh", workflows.REFRESH, Options()) == ExitCode.LAPTOP
    assert "move the lab to a local disk" in " ".join(capsys.readouterr().err.split())
