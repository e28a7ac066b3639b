"""`hashlab cp` copies as `docker cp` does, from and to the machine of a service."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import pytest
from fakes import Outside, running
from fakes.machine import FakeShell

from hashlab.cli import main
from hashlab.errors import ExitCode, LabError
from hashlab.phases.programs import COPY_FROM, COPY_TO

Told = pytest.CaptureFixture[str]


def typed(*words: str) -> int:
    return main.run(*main.parse(["cp", *words]))


class Machine:
    """Stands for the programs on a machine: sends ``archive``, keeps what it is sent."""

    def __init__(self) -> None:
        self.archive = b""
        self.failure: LabError | None = None
        self.commands: list[list[str]] = []
        self.names: list[str] = []

    def save(self, command: Sequence[str], target: IO[bytes], **_: Any) -> int:
        self.commands.append(list(command))
        if self.failure:
            raise self.failure
        return target.write(self.archive)

    def feed(self, command: Sequence[str], source: IO[bytes], **_: Any) -> int:
        self.commands.append(list(command))
        with tarfile.open(fileobj=io.BytesIO(source.read())) as archive:
            self.names = sorted(archive.getnames())
        return 0


def packed(*entries: tuple[str, str], link: str = "") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, text in entries:
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
        if link:
            entry = tarfile.TarInfo("./link")
            entry.type, entry.linkname = tarfile.SYMTYPE, link
            archive.addfile(entry)
    return buffer.getvalue()


@pytest.fixture
def machine(
    outside: Outside, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Machine:
    """A lab that runs, whose machines copy; the current folder is empty."""
    made = Machine()
    monkeypatch.setattr("hashlab.run.execution.Options.world", lambda options: outside.world())
    running(outside)
    monkeypatch.setattr(FakeShell, "save", lambda _, *words, **more: made.save(*words, **more))
    monkeypatch.setattr(FakeShell, "feed", lambda _, *words, **more: made.feed(*words, **more))
    monkeypatch.chdir(tmp_path_factory.mktemp("here"))
    return made


def test_a_file_of_a_container_gets_the_wanted_name_or_goes_into_a_folder(
    machine: Machine,
) -> None:
    machine.archive = packed(("./a.log", "lines"))
    assert typed("site:/var/a.log", "b.log") == ExitCode.OK
    assert Path("b.log").read_text() == "lines"
    Path("folder").mkdir()
    assert typed("--index", "2", "site:/var/a.log", "folder") == ExitCode.OK
    assert Path("folder/a.log").read_text() == "lines"
    assert machine.commands == [
        ["sh", "-c", COPY_FROM, "sh", f"small-site-{number}", "/var/a.log"] for number in (1, 2)
    ]


def test_a_folder_comes_whole_or_as_its_content(machine: Machine) -> None:
    machine.archive = packed(("./srv/one", "1"), ("./srv/two", "2"))
    assert typed("site:/srv", "copy") == ExitCode.OK
    assert sorted(path.name for path in Path("copy").iterdir()) == ["one", "two"]
    machine.archive = packed(("./one", "3"))
    for target in ("copy", "new"):
        assert typed("site:/srv/.", target) == ExitCode.OK
        assert Path(target, "one").read_text() == "3"
    assert Path("copy/two").read_text() == "2"
    assert not Path("new/two").exists()


def test_a_path_that_a_container_lacks_is_named(machine: Machine, capsys: Told) -> None:
    said = "Could not find the file /srv in container small-site-1"
    machine.failure = LabError("sh -c failed with exit code 1", output=said)
    assert typed("site:/srv", "copy") == ExitCode.LAB
    told = capsys.readouterr().err
    assert "small-site-1 on web: cannot copy /srv" in told
    assert said in told


def test_a_container_that_is_not_there_is_named(
    outside: Outside, machine: Machine, capsys: Told
) -> None:
    outside.machines["web"].engine.remove("small-site-1")
    machine.failure = LabError("sh -c failed with exit code 1", output="No such container")
    assert typed("site:/srv", "copy") == ExitCode.LAB
    assert "container small-site-1 is not there" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("source", "name", "names"),
    [
        ("pages", "pages", ["pages", "pages/one"]),
        ("pages/.", ".", [".", "./one"]),
        ("./pages/one", "one", ["one"]),
    ],
)
def test_what_goes_to_a_container_keeps_its_name(
    machine: Machine, source: str, name: str, names: list[str]
) -> None:
    Path("pages").mkdir()
    Path("pages/one").write_text("1")
    assert typed(source, "site:/srv") == ExitCode.OK
    assert machine.commands == [["sh", "-c", COPY_TO, "sh", "small-site-1", "/srv", name]]
    assert machine.names == names


def test_a_link_that_leads_out_of_what_is_copied_is_refused(machine: Machine, capsys: Told) -> None:
    machine.archive = packed(link="/etc/passwd")
    assert typed("site:/srv", "copy") == ExitCode.LAB
    assert "/srv cannot be copied" in capsys.readouterr().err
    assert not Path("copy").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("a", "b"), "hashlab cp SERVICE:PATH PATH"),
        (("site:/a", "queue:/b"), "the other on the laptop"),
        (("./site:a", "b"), "one of the two must be in a container"),
        (("siet:/a", "b"), "Perhaps you meant 'site'."),
        (("gone", "site:/a"), "gone: No such file or directory"),
        (("site:/a", "no/such/folder"), "cannot be written"),
    ],
)
def test_what_cannot_be_copied_is_explained(
    machine: Machine, capsys: Told, words: tuple[str, str], told: str
) -> None:
    machine.archive = packed(("./a", "x"))
    assert typed(*words) == ExitCode.CONFIG
    assert told in capsys.readouterr().err
