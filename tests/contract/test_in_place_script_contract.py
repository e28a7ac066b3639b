"""The script that restores data in a machine that stays, on folders that look like the
machine's.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from hashlab.providers.docker.inplace import SCRIPT
from hashlab.providers.docker.snapshotparts import SCRIPT as BESIDE

pytestmark = pytest.mark.skipif(shutil.which("sha256sum") is None, reason="needs GNU's tools")
# Records its calls, and ends as prepared.
DOCKER = """#!/bin/sh
echo "$@" >> "$NOTES/asked"
exit "$(cat "$NOTES/code-$1" 2> /dev/null || echo 0)"
"""


def write(path: Path, text: str = "x\n") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def run(*words: str | Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-c", SCRIPT, "sh", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=60,
        env=env,
        check=False,
    )


# Changes in a machine


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A machine's own files."""
    root = tmp_path / "root"
    for name in (
        *("etc/motd", "home/core/.ssh/authorized_keys", "home/core/notes", "tmp/x", "run/y"),
        *("var/log/syslog", "var/lib/containerd/meta.db", "var/lib/systemd/timers/stamp"),
        *("var/lib/hashlab/small/manifest", "var/lib/hashlab/small/scratch/end"),
        *("var/lib/hashlab/small/files/etc/site.conf", "var/lib/hashlab/small/secrets/password"),
        *("var/lib/docker/engine-id", "usr/bin/tool"),
    ):
        write(root / name)
    return root


def now(root: Path) -> str:
    """Return a time after all changes below ROOT so far and before all later ones."""
    made = max(path.lstat().st_ctime_ns for path in [root, *root.rglob("*")])
    probe = root.parent / "probe"
    # File systems have a clock of their own, which advances every few milliseconds.
    while not probe.exists() or probe.stat().st_ctime_ns <= made:
        write(probe)
    return f"{made // 10**9}.{made % 10**9:09d}"


def changed(root: Path, since: str) -> str:
    done = run("changed", root, since)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_machine_in_which_nothing_happened_has_not_changed(root: Path) -> None:
    assert changed(root, now(root)) == ""


@pytest.mark.parametrize(
    "name",
    [
        *("tmp/x", "run/y", "var/log/syslog", "var/lib/containerd/meta.db"),
        *("var/lib/systemd/timers/stamp", "var/lib/docker/engine-id"),
        *("home/core/.ssh/authorized_keys", "var/lib/hashlab/small/manifest"),
        *("var/lib/hashlab/small/processes", "var/lib/hashlab/small/scratch/new"),
    ],
)
def test_state_files_of_the_system_and_hashlab_do_not_count(root: Path, name: str) -> None:
    since = now(root)
    write(root / name, "noted\n")
    assert changed(root, since) == ""


@pytest.mark.parametrize(
    "name",
    [
        *("etc/motd", "etc/new", "usr/bin/tool", "home/core/notes", "srv/data/rows"),
        *("var/lib/hashlab/small/files/etc/site.conf", "var/lib/hashlab/small/files/new"),
        "var/lib/hashlab/small/secrets/password",
    ],
)
def test_any_other_written_file_is_reported(root: Path, name: str) -> None:
    since = now(root)
    write(root / name, "changed\n")
    assert changed(root, since).endswith(" was changed")


@pytest.mark.parametrize(
    ("happened", "message"),
    [
        (lambda root: (root / "etc/motd").unlink(), "/etc was changed"),
        (lambda root: (root / "etc/motd").chmod(0o600), "/etc/motd was changed"),
        (lambda root: os.utime(root / "etc/motd", (1, 1)), "/etc/motd was changed"),
        (
            lambda root: (root / "var/lib/hashlab/small/files/etc/site.conf").unlink(),
            "/var/lib/hashlab/small/files/etc was changed",
        ),
    ],
)
def test_a_removed_file_and_one_with_an_old_time_are_reported(
    root: Path, happened: Callable[[Path], None], message: str
) -> None:
    since = now(root)
    happened(root)
    assert changed(root, since) == message


# Differences between the engine of a machine and that of the snapshot


def container(
    engine: Path, identifier: str, *, name: str = "", running: bool = True, label: str = "service"
) -> None:
    folder = engine / f"containers/{identifier}"
    state = "true" if running else "false"
    labels = f'"Config":{{"Labels":{{"hashlab.{label}":"site"}}}}'
    note = f'{{"State":{{"Running":{state}}},"Name":"/{name or identifier}",{labels}}}'
    write(folder / "config.v2.json", note)
    write(folder / "hostconfig.json", '{"Dns":null,"Memory":0}')
    write(folder / f"{identifier}-json.log", "then\n")
    write(engine / f"image/overlay2/layerdb/mounts/{identifier}/mount-id", f"layer-{identifier}")
    write(engine / f"overlay2/layer-{identifier}/diff/written", "then\n")


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    """An engine with two containers, the sandbox of one, a volume and an image."""
    engine = tmp_path / "engine"
    container(engine, "aaa")
    container(engine, "bbb", running=False)
    container(engine, "eee", name="aaa.sandbox", label="sandbox")
    write(engine / "volumes/v/_data/rows", "then\n")
    write(engine / "volumes/metadata.db")
    write(engine / "image/overlay2/repositories.json", "{}")
    write(engine / "image/overlay2/imagedb/content/sha256/123")
    return engine


@pytest.fixture
def snapshot(engine: Path, tmp_path: Path) -> Path:
    shutil.copytree(engine, tmp_path / "snapshot/data")
    return tmp_path / "snapshot"


def differ(snapshot: Path, engine: Path) -> str:
    done = subprocess.run(
        ["sh", "-c", BESIDE, "sh", "differ", f"{snapshot}:{engine}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().removeprefix(f"{engine} ")


def test_an_engine_with_only_new_data_does_not_differ(snapshot: Path, engine: Path) -> None:
    write(engine / "volumes/v/_data/rows", "now\n")
    write(engine / "overlay2/layer-aaa/diff/written", "now\n")
    write(engine / "containers/aaa/aaa-json.log", "now\n")
    # The engine rewrites it like this when the container is started again.
    write(engine / "containers/aaa/hostconfig.json", '{"Dns":[],"Memory":0}')
    assert differ(snapshot, engine) == ""


def test_a_sandbox_may_differ(snapshot: Path, engine: Path) -> None:
    shutil.rmtree(engine / "containers/eee")
    assert differ(snapshot, engine) == ""
    container(engine, "fff", name="aaa.sandbox", label="sandbox")
    assert differ(snapshot, engine) == ""


def update(engine: Path) -> None:
    write(engine / "containers/aaa/hostconfig.json", '{"Dns":[],"Memory":9}')


def end(engine: Path) -> None:
    container(engine, "aaa", name="small-site-1", running=False)


@pytest.mark.parametrize(
    ("happened", "message"),
    [
        (lambda engine: container(engine, "ccc"), "its containers differ"),
        (lambda engine: shutil.rmtree(engine / "containers/bbb"), "its containers differ"),
        (lambda engine: write(engine / "volumes/w/_data/rows"), "its volumes differ"),
        (lambda engine: shutil.rmtree(engine / "volumes/v"), "its volumes differ"),
        (
            lambda engine: write(engine / "image/overlay2/imagedb/content/sha256/456"),
            "its images differ",
        ),
        (
            lambda engine: write(engine / "image/overlay2/repositories.json", '{"a":1}'),
            "its images differ",
        ),
        (update, "its container aaa differs"),
        (end, "its container small-site-1 differs"),
        (
            lambda engine: container(engine, "bbb", name="small-migrate-1"),
            "its container small-migrate-1 differs",
        ),
    ],
)
def test_the_difference_of_an_engine_is_named(
    snapshot: Path, engine: Path, happened: Callable[[Path], None], message: str
) -> None:
    happened(engine)
    assert differ(snapshot, engine) == message


def pipe(path: Path) -> None:
    """Put a pipe, which blocks its reader for ever, in place of a file."""
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("image/overlay2/repositories.json", "its list of images is not a file"),
        ("containers/aaa/hostconfig.json", "its container aaa is not described by files"),
        ("containers/aaa/config.v2.json", "its containers differ"),
    ],
)
@pytest.mark.parametrize("kept", [False, True])
def test_a_pipe_in_place_of_a_file_does_not_block_the_comparison(
    snapshot: Path, engine: Path, name: str, message: str, kept: bool
) -> None:
    pipe((snapshot / "data" if kept else engine) / name)
    assert differ(snapshot, engine) == message


def test_a_users_network_in_the_snapshot_is_reported(snapshot: Path, engine: Path) -> None:
    write(snapshot / "data/network/files/local-kv.db")
    assert differ(snapshot, engine) == "somebody had made a network then"


# Restoring data


class Docker:
    """A stand-in for Docker's command."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        write(folder / "docker", DOCKER)
        (folder / "docker").chmod(0o755)

    def put(self, engine: Path) -> subprocess.CompletedProcess[str]:
        path = f"{self.folder}:{os.environ['PATH']}"
        env = {**os.environ, "PATH": path, "NOTES": str(self.folder)}
        return run("put", engine, env=env)

    @property
    def asked(self) -> list[str]:
        notes = self.folder / "asked"
        return notes.read_text().splitlines() if notes.exists() else []


@pytest.fixture
def docker(tmp_path: Path) -> Docker:
    return Docker(tmp_path / "bin")


def stage(snapshot: Path, engine: Path) -> None:
    shutil.copytree(snapshot / "data", engine / ".hashlab-new")


def later(engine: Path) -> None:
    write(engine / "volumes/v/_data/rows", "now\n")
    write(engine / "volumes/v/_data/more")
    for identifier in ("aaa", "bbb", "eee"):
        write(engine / f"overlay2/layer-{identifier}/diff/written", "now\n")
        write(engine / f"containers/{identifier}/{identifier}-json.log", "now\n")
    write(engine / "containers/aaa/aaa-json.log.1", "rotated\n")
    write(engine / "containers/aaa/hosts", "now\n")


def test_the_containers_data_is_replaced_and_nothing_else(
    snapshot: Path, engine: Path, docker: Docker
) -> None:
    stage(snapshot, engine)
    later(engine)
    done = docker.put(engine)
    assert done.returncode == 0, done.stderr
    assert docker.asked == ["kill aaa"]
    assert (engine / "volumes/v/_data/rows").read_text() == "then\n"
    assert not (engine / "volumes/v/_data/more").exists()
    for identifier in ("aaa", "bbb"):
        assert (engine / f"overlay2/layer-{identifier}/diff/written").read_text() == "then\n"
        log = engine / f"containers/{identifier}/{identifier}-json.log"
        assert log.read_text() == "then\n"
    assert not (engine / "containers/aaa/aaa-json.log.1").exists()
    assert (engine / "containers/aaa/hosts").read_text() == "now\n"
    assert (engine / "overlay2/layer-eee/diff/written").read_text() == "now\n"
    assert not list(engine.glob(".hashlab-*"))


@pytest.mark.parametrize(
    "name",
    [
        "containers/bbb/config.v2.json",
        "containers/eee/config.v2.json",
        "volumes/v/_data/rows",
        ".hashlab-new/volumes/v/_data/rows",
        ".hashlab-new/image/overlay2/layerdb/mounts/aaa/mount-id",
    ],
)
def test_a_pipe_in_a_machine_or_a_snapshot_does_not_block_the_exchange(
    snapshot: Path, engine: Path, docker: Docker, name: str
) -> None:
    stage(snapshot, engine)
    pipe(engine / name)
    done = docker.put(engine)
    assert done.returncode == (1 if "mount-id" in name else 0), done.stderr


def test_containers_that_cannot_be_stopped_keep_their_data(
    snapshot: Path, engine: Path, docker: Docker
) -> None:
    stage(snapshot, engine)
    later(engine)
    write(docker.folder / "code-kill", "1")
    assert docker.put(engine).returncode != 0
    assert (engine / "volumes/v/_data/rows").read_text() == "now\n"
