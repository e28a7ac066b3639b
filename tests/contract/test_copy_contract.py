"""The contract of a connector's copy, for the phase upload: the fake one, and rsync with a local
`ssh`.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from fakes import ODD_NAMES, FakeMachine, Outside, small_lab, track_of, write_files

from hashlab.drivers.login import LabKey
from hashlab.drivers.process import ProcessRunner
from hashlab.drivers.ssh import SshConnector
from hashlab.errors import LabError
from hashlab.protocols import Connector, Endpoint

# Replaces an SSH client: the remote command runs locally.
LOCAL_SSH = """#!/bin/sh
shift 3
exec sh -c "$*"
"""


@dataclass
class Bench:
    """A connector, the laptop's folder, and a view of the machine's."""

    connector: Connector
    root: Path
    target: str
    machine: FakeMachine | None

    def copy(self, *names: str) -> int:
        with track_of() as track:
            return self.connector.copy(
                "web",
                Endpoint("127.0.0.1", 2200, "core"),
                root=self.root,
                files=names,
                target=f"{self.target}/files",
                like=f"{self.target}/like",
                scratch=f"{self.target}/scratch",
                track=track,
            )

    def content(self) -> Mapping[str, bytes]:
        """Return the content of files on the machine by name."""
        if self.machine:
            files = self.machine.disk.below(f"{self.target}/files")
            return {name: file.content for name, file in files.items()}
        top = Path(self.target, "files")
        found = [path for path in top.rglob("*") if path.is_file()]
        return {path.relative_to(top).as_posix(): path.read_bytes() for path in found}

    def mode(self, name: str) -> int:
        if self.machine:
            return self.machine.disk.files[f"{self.target}/files/{name}"].mode
        return Path(self.target, "files", name).stat().st_mode & 0o7777


def fake(tmp_path: Path) -> Bench:
    outside = Outside(small_lab(tmp_path / "lab"), tmp_path / "laptop")
    machine = FakeMachine("web", outside.lab.machine("web").address)
    outside.machines["web"] = machine
    outside.state.ssh.mkdir(parents=True)
    outside.state.ssh_config.write_text("Host web\n")
    for folder in ("files", "like", "scratch"):
        machine.disk.make_folder(f"/machine/{folder}")
    return Bench(outside.connector, tmp_path / "root", "/machine", machine)


def real(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    if shutil.which("rsync") is None:
        pytest.skip("no rsync on the PATH")
    programs = tmp_path / "bin"
    write_files(programs, {"ssh": LOCAL_SSH})
    (programs / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    for folder in ("files", "like", "scratch"):
        (tmp_path / "machine" / folder).mkdir(parents=True)
    connector = SshConnector(
        login=LabKey(tmp_path / "key"),
        config=tmp_path / "config",
        runner=ProcessRunner(children=tmp_path / "children"),
        time_factor=lambda: 1.0,
    )
    return Bench(connector, tmp_path / "root", str(tmp_path / "machine"), None)


@pytest.fixture(params=["fake", "rsync"])
def bench(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    made = fake(tmp_path) if request.param == "fake" else real(tmp_path, monkeypatch)
    made.root.mkdir()
    return made


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_file_with_any_name_is_copied(bench: Bench, name: str) -> None:
    write_files(bench.root, {name: "content"})
    assert bench.copy(name) > 0
    assert bench.content() == {name: b"content"}


def test_only_the_named_files_are_copied(bench: Bench) -> None:
    write_files(bench.root, {"a": "1", "b": "2", "c/d": "3"})
    bench.copy("a", "c/d")
    assert bench.content() == {"a": b"1", "c/d": b"3"}


def test_a_link_to_a_folder_on_the_way_is_followed(bench: Bench) -> None:
    """The source of a mount may be a link."""
    write_files(bench.root, {"real/a": "1"})
    (bench.root / "link").symlink_to("real")
    bench.copy("link/a")
    assert bench.content() == {"link/a": b"1"}


@pytest.mark.parametrize("mode", [0o755, 0o600, 0o444, 0o4755])
def test_files_keep_their_modes(bench: Bench, mode: int) -> None:
    write_files(bench.root, {"a/run.sh": "exit\n"})
    (bench.root / "a").chmod(0o555)
    (bench.root / "a/run.sh").chmod(mode)
    bench.copy("a/run.sh")
    assert bench.mode("a/run.sh") == mode


def test_only_the_difference_to_a_similar_file_is_uploaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = real(tmp_path, monkeypatch)
    content = random.Random(1).randbytes(1 << 20)
    bench.root.mkdir()
    Path(bench.target, "like/app.jar").write_bytes(content)
    (bench.root / "app.jar").write_bytes(content[:1000] + b"changed" + content[1000:])
    assert bench.copy("app.jar") < 100_000
    assert bench.content()["app.jar"] == (bench.root / "app.jar").read_bytes()
    assert Path(bench.target, "like/app.jar").read_bytes() == content


def test_a_file_that_vanished_meanwhile_is_a_failure(bench: Bench) -> None:
    write_files(bench.root, {"a": "1"})
    with pytest.raises(LabError, match="rsync failed"):
        bench.copy("a", "gone")
