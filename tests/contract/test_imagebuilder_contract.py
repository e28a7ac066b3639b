"""BuildKit by Docker's own client on the laptop's engine. Skipped without the client."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from contract_bench import BASE, PREFIX, real_engine
from fakes import track_of, write_files
from fakes.outside import Silent

from hashlab.config.model import Content
from hashlab.drivers.imagebuilder import ImageBuilder
from hashlab.drivers.process import ProcessRunner
from hashlab.errors import LabError
from hashlab.hashing import Digests
from hashlab.inputs.boundary import Boundary
from hashlab.inputs.contexts import read_context
from hashlab.protocols import BuildSettings, Engine

pytestmark = pytest.mark.usefixtures("_base_image")
NAME = f"{PREFIX}buildkit:1"


class Bench:
    """A builder with BuildKit, and a context of a few files."""

    def __init__(self, folder: Path) -> None:
        self.engine: Engine = real_engine()
        self.root = folder / "app"
        runner = ProcessRunner(children=folder / "children")
        self.builder = ImageBuilder(engine=lambda: self.engine, runner=runner, environ=os.environ)
        if not self.builder.buildkit:
            pytest.skip("docker buildx is not installed")
        write_files(self.root, {"file": "content", "notes.md": "", ".dockerignore": "*.md\n"})

    def build(self, dockerfile: str, settings: BuildSettings | None = None) -> list[str]:
        """Build the image and return the lines of the output. No step but FROM is in the cache."""
        first, rest = dockerfile.split("\n", 1)
        write_files(self.root, {"Dockerfile": f"{first}\nENV NOW={time.time_ns()}\n{rest}"})
        context = read_context(
            self.root, self.root / "Dockerfile", boundary=Boundary(), digests=Digests()
        )
        listener = Silent()
        with track_of(listener) as track:
            self.builder.build(
                NAME,
                context=context,
                settings=settings or BuildSettings(),
                labels={"hashlab.inputs.artifacts": "abc"},
                owner="lab",
                track=track,
            )
        return listener.lines


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_mount_of_run_works_and_the_image_has_its_labels(bench: Bench) -> None:
    show = "busybox cat /in/file; busybox echo level $LEVEL"
    settings = BuildSettings({"LEVEL": "7"}, network="none", extra_hosts=("router:10.0.0.1",))
    run = f"RUN --mount=type=bind,target=/in {show}"
    try:
        lines = "\n".join(bench.build(f"FROM {BASE}\nARG LEVEL\n{run}\n", settings))
        assert bench.engine.image_labels([NAME])[NAME]["hashlab.inputs.artifacts"] == "abc"
    finally:
        bench.engine.remove_image(NAME)
    assert "content" in lines
    assert "level 7" in lines


def test_the_image_gets_exactly_the_listed_files(bench: Bench) -> None:
    show = "busybox find /context -mindepth 1"
    try:
        lines = bench.build(f"FROM {BASE}\nCOPY . /context\nRUN {show}\n")
    finally:
        bench.engine.remove_image(NAME)
    found = {line.split()[-1] for line in lines if line.split()[-1:] and "/context/" in line}
    assert {name for name in found if name.startswith("/context/")} == {
        "/context/file",
        "/context/Dockerfile",
        "/context/.dockerignore",
    }


def test_a_build_that_fails_is_a_failure_with_its_output(bench: Bench) -> None:
    with pytest.raises(LabError, match="cannot build image") as failure:
        bench.build(f"FROM {BASE}\nRUN busybox echo so it goes && false\n")
    assert "so it goes" in failure.value.output


def test_secrets_are_there_during_the_build(bench: Bench, tmp_path: Path) -> None:
    write_files(tmp_path, {"key": "from a file"})
    settings = BuildSettings(secrets={"key": tmp_path / "key", "token": Content("from a variable")})
    show = "busybox grep -H . /run/secrets/key /run/secrets/token"
    secrets = "--mount=type=secret,id=key --mount=type=secret,id=token"
    try:
        shown = "\n".join(bench.build(f"FROM {BASE}\nRUN {secrets} {show}\n", settings))
    finally:
        bench.engine.remove_image(NAME)
    assert "key:from a file" in shown
    assert "token:from a variable" in shown


def test_further_contexts_are_there_during_the_build(bench: Bench, tmp_path: Path) -> None:
    if int(str(bench.engine.info()["ServerVersion"]).split(".")[0]) < 23:
        pytest.skip("this engine's BuildKit has no further contexts")
    write_files(tmp_path / "shared", {"a": "from afar"})
    shared = read_context(tmp_path / "shared", None, boundary=Boundary(), digests=Digests())
    settings = BuildSettings(contexts={"shared": shared, "base": f"docker-image://{BASE}"})
    copy = "FROM base\nCOPY --from=shared . /shared"
    try:
        shown = "\n".join(bench.build(f"{copy}\nRUN busybox cat /shared/a\n", settings))
    finally:
        bench.engine.remove_image(NAME)
    assert "from afar" in shown


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[str]:
    """The socket of an SSH agent without keys. Skips the test where OpenSSH has none."""
    program = shutil.which("ssh-agent")
    if program is None:
        pytest.skip("ssh-agent is not installed")
    path = str(tmp_path / "agent")
    with subprocess.Popen([program, "-D", "-a", path], stdout=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 10
        while not Path(path).exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        yield path
        process.terminate()


def test_only_a_build_with_ssh_reaches_the_agent(
    tmp_path: Path, agent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", agent)
    bench = Bench(tmp_path)
    dockerfile = f'FROM {BASE}\nRUN --mount=type=ssh busybox test -S "$SSH_AUTH_SOCK"\n'
    try:
        bench.build(dockerfile, BuildSettings(ssh={"default": ""}))
        with pytest.raises(LabError):
            bench.build(dockerfile)
    finally:
        bench.engine.remove_image(NAME)
