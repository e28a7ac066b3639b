"""The builder of images: BuildKit if Docker's client has it, else the engine's classic one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from fakes import FakeEngine, FakeRunner, Faults, track_of, write_files
from fakes.outside import Silent

from hashlab.config.model import Content
from hashlab.drivers.imagebuilder import ImageBuilder, command
from hashlab.errors import FilesChanged, LabError, LaptopError
from hashlab.hashing import Digests
from hashlab.inputs.boundary import Boundary
from hashlab.inputs.contexts import BuildContext, read_context
from hashlab.protocols import BuildSettings

SETTINGS = BuildSettings({"LEVEL": "2"}, "final", "none", 1 << 20, ("router:10.0.0.1",))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_files(tmp_path / "app", {"Dockerfile": "FROM a\n", "bin/run": "go", "notes.md": "x"})
    write_files(tmp_path / "app", {".dockerignore": "*.md\nDockerfile\n"})
    (tmp_path / "app/bin/run").chmod(0o4710)
    (tmp_path / "app/bin").chmod(0o550)
    (tmp_path / "app/link").symlink_to("../outside")
    return tmp_path / "app"


def context(root: Path) -> BuildContext:
    return read_context(root, root / "Dockerfile", boundary=Boundary(), digests=Digests())


class Bench:
    """A builder on fakes. ``sent``: what the last build was sent."""

    def __init__(self, *, buildkit: bool, environ: Mapping[str, str] = {}) -> None:
        self.faults = Faults()
        self.engine = FakeEngine("laptop", faults=self.faults)
        self.runner = FakeRunner(self.faults)
        version = "github.com/docker/buildx 0.13.1\n" if buildkit else ""
        self.runner.prepare("docker", "buildx", "version", code=0 if version else 1, stdout=version)
        self.sent: dict[str, tuple[int, str]] = {}
        self.builder = ImageBuilder(
            engine=lambda: self.engine,
            runner=self.runner,
            environ={"HOME": "/home/me", **environ},
        )

    def answer(self, *, code: int = 0) -> None:
        """Prepare the client's answer to a build."""
        lines = "#1 [final 2/5] RUN make\n#1 0.1 done\n"
        self.runner.prepare(
            "docker", "buildx", "build", code=code, stderr=lines, effect=self._receive
        )

    def _receive(self, words: Sequence[str]) -> None:
        folder, dockerfile = Path(words[-1]), Path(words[words.index("--file") + 1])
        others = (*dockerfile.parent.glob("Dockerfile*"), *dockerfile.parent.glob("0/*"))
        for path in (*folder.rglob("*"), *others):
            text = "" if path.is_dir() else str(path.readlink()) if path.is_symlink() else ""
            if path.is_file() and not path.is_symlink():
                text = path.read_text()
            name = str(path.relative_to(folder.parent))
            self.sent[name] = (path.lstat().st_mode & 0o7777, text)

    def build(
        self,
        context: BuildContext,
        listener: Silent | None = None,
        settings: BuildSettings = SETTINGS,
    ) -> None:
        with track_of(listener or Silent()) as track:
            self.builder.build(
                "shop:1",
                context=context,
                settings=settings,
                labels={"a": "b"},
                owner="lab",
                track=track,
            )


def test_a_command_has_every_setting_as_its_own_words() -> None:
    words = command("shop:1", Path("/c"), Path("/D"), SETTINGS, {"a": "b c"})
    assert words == [
        *("docker", "buildx", "build", "--builder", "default", "--progress", "plain"),
        *("--tag", "shop:1", "--file", "/D", "--label", "a=b c", "--build-arg", "LEVEL=2"),
        *("--target", "final", "--network", "none", "--shm-size", "1048576"),
        *("--add-host", "router:10.0.0.1", "/c"),
    ]
    assert "--target" not in command("shop:1", Path("/c"), Path("/D"), BuildSettings(), {})


def test_buildkit_gets_exactly_the_listed_files(root: Path) -> None:
    bench = Bench(buildkit=True)
    bench.answer()
    bench.build(context(root))
    assert bench.sent == {
        "context/.dockerignore": (0o644, "*.md\nDockerfile\n"),
        "context/bin": (0o550, ""),
        "context/bin/run": (0o4710, "go"),
        "context/link": (0o777, "../outside"),
        "Dockerfile": (0o644, "FROM a\n"),
        "Dockerfile.dockerignore": (bench.sent["Dockerfile.dockerignore"][0], ""),
    }
    [ran] = [ran for ran in bench.runner.ran if "build" in ran.command]
    assert ran.env["DOCKER_CONFIG"] == "/home/me/.docker"
    assert not Path(ran.command[-1]).exists()
    assert "laptop.build_image" not in bench.faults.names()


def test_an_inline_dockerfile_is_a_file_for_buildkit(root: Path) -> None:
    bench = Bench(buildkit=True)
    bench.answer()
    inline = "FROM scratch\n"
    bench.build(read_context(root, None, boundary=Boundary(), digests=Digests(), inline=inline))
    assert bench.sent["Dockerfile"][1] == inline


def test_a_file_that_changed_since_it_was_hashed_is_not_built(root: Path) -> None:
    bench = Bench(buildkit=True)
    listed = context(root)
    (root / "bin/run").write_text("edited")
    with pytest.raises(FilesChanged, match="bin/run"):
        bench.build(listed)


def test_a_failed_build_shows_its_output(root: Path) -> None:
    bench, listener = Bench(buildkit=True), Silent()
    bench.answer(code=1)
    with pytest.raises(LabError, match="cannot build image shop:1") as failure:
        bench.build(context(root), listener)
    assert "RUN make" in failure.value.output
    assert "#1 [final 2/5] RUN make" in listener.lines


def test_without_the_client_the_classic_builder_builds(root: Path) -> None:
    bench = Bench(buildkit=False)
    bench.build(context(root))
    assert bench.engine.images["shop:1"] == {"a": "b"}
    assert bench.builder.buildkit == ""


def test_without_docker_on_the_laptop_the_classic_builder_builds(root: Path) -> None:
    bench = Bench(buildkit=True)
    bench.faults.arm("runner.docker", LaptopError("not found"), always=True)
    bench.build(context(root))
    assert "shop:1" in bench.engine.images


def test_what_only_buildkit_can_do_says_what_to_install(root: Path) -> None:
    bench = Bench(buildkit=False)
    what = "the --mount option requires BuildKit. Refer to ..."
    bench.faults.arm("laptop.build_image", LabError(f"cannot build image shop:1: {what}"))
    with pytest.raises(LabError) as failure:
        bench.build(context(root))
    assert "docker-buildx" in failure.value.next_step


def test_the_client_is_asked_once() -> None:
    bench = Bench(buildkit=True)
    assert bench.builder.buildkit == bench.builder.buildkit == "github.com/docker/buildx 0.13.1"
    assert len(bench.runner.ran) == 1


def test_further_contexts_are_folders_and_secrets_are_files_or_variables(
    root: Path, tmp_path: Path
) -> None:
    write_files(tmp_path / "shared", {"a": "1"})
    shared = read_context(tmp_path / "shared", None, boundary=Boundary(), digests=Digests())
    settings = BuildSettings(
        contexts={"shared": shared, "base": "docker-image://debian"},
        secrets={"key": tmp_path / "key", "token": Content("t", environment="TOKEN")},
    )
    bench = Bench(buildkit=True)
    bench.answer()
    bench.build(context(root), settings=settings)
    [ran] = [ran for ran in bench.runner.ran if "build" in ran.command]
    pairs = list(pairwise(ran.command))
    folder = Path(ran.command[-1]).parent
    assert ("--build-context", "base=docker-image://debian") in pairs
    assert ("--build-context", f"shared={folder}/0") in pairs
    assert bench.sent["0/a"][1] == "1"
    assert ("--secret", f"id=key,src={tmp_path / 'key'}") in pairs
    assert ("--secret", "id=token,env=HASHLAB_SECRET_1") in pairs
    assert ran.env["HASHLAB_SECRET_1"] == "t"
    assert "t" not in ran.command


def test_an_agent_and_keys_reach_the_client_and_no_other_build(root: Path) -> None:
    bench = Bench(buildkit=True, environ={"SSH_AUTH_SOCK": "/run/agent"})
    bench.answer()
    bench.build(context(root), settings=BuildSettings(ssh={"default": "", "github": "/k"}))
    bench.answer()
    bench.build(context(root), settings=BuildSettings(ssh={"github": "/k"}))
    first, second = [ran for ran in bench.runner.ran if "build" in ran.command]
    pairs = list(pairwise(first.command))
    assert ("--ssh", "default") in pairs
    assert ("--ssh", "github=/k") in pairs
    assert first.env["SSH_AUTH_SOCK"] == "/run/agent"
    assert "SSH_AUTH_SOCK" not in second.env


def test_a_build_without_the_agent_that_it_uses_is_explained(root: Path) -> None:
    bench = Bench(buildkit=True)
    with pytest.raises(LaptopError, match="SSH_AUTH_SOCK is not set") as failure:
        bench.build(context(root), settings=BuildSettings(ssh={"default": ""}))
    assert "ssh-add" in failure.value.next_step


@pytest.mark.parametrize("settings", [{"secrets": {"key": Path("/key")}}, {"ssh": {"default": ""}}])
def test_the_classic_builder_refuses_further_contexts_and_secrets(
    root: Path, settings: dict[str, Any]
) -> None:
    bench = Bench(buildkit=False)
    with pytest.raises(LabError, match="need BuildKit") as failure:
        bench.build(context(root), settings=BuildSettings(**settings))
    assert "docker-buildx" in failure.value.next_step
