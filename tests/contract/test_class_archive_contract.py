"""The example's scripts that make class archives, on which its services rely when they start."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "examples" / "hash-collision" / "images" / "jre"
NAMES = ("start-java", "archive-classes", "archive-is-sound")
# A stand-in for the JVM: it dumps by writing a file, accepts an archive that says it is sound, and
# otherwise prints its arguments.
JAVA = """#!/bin/sh
for word; do case $word in -XX:SharedArchiveFile=*) archive=${word#*=} ;; esac; done
case "$*" in
    *-Xshare:dump*)
        [ ! -e "$0.broken" ] || { echo 'no "memory"'; exit 1; }
        echo sound > "$archive" ;;
    *-version*) echo checked >> "$0.checks"; grep -q sound "$archive" ;;
    *) echo "$*" ;;
esac
"""

pytestmark = pytest.mark.skipif(
    not all(shutil.which(tool) for tool in ("flock", "md5sum", "renice")),
    reason="needs flock, md5sum and renice of Linux",
)


@dataclass(frozen=True)
class Container:
    """The scripts in a folder, with stand-ins for the JVM and for the health check."""

    folder: Path
    archives: Path
    jar: Path

    def call(self, *words: str, **environment: str) -> str:
        """Run a script and return its output."""
        path = f"{self.folder}:{os.environ['PATH']}"
        done = subprocess.run(
            words,
            env={"PATH": path, "CLASS_ARCHIVES": str(self.archives), **environment},
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
        assert done.stderr == ""
        return done.stdout

    def start(self, **environment: str) -> str:
        """Start the service; return the arguments that Java got."""
        return self.call("start-java", "-cp", f"{self.jar}:/app/classes", "Main", **environment)

    def make(self, name: str) -> str:
        """Let the archive of that name be made from a running process."""
        words = (str(os.getpid()), "user", str(self.jar), str(self.archives / name))
        return self.call("archive-classes", *words)

    def kept(self) -> set[str]:
        """Return the names in the folder of archives."""
        return {path.name for path in self.archives.iterdir()} - {"lock"}


@pytest.fixture
def container(tmp_path: Path) -> Container:
    programs, archives = tmp_path / "bin", tmp_path / "archives"
    jar = tmp_path / "app" / "lib" / "user-libraries.jar"
    for folder in (programs, archives, jar.parent):
        folder.mkdir(parents=True)
    jar.write_text("libraries")
    (tmp_path / "identity").write_text("this JVM")
    for name in NAMES:
        text = (SCRIPTS / name).read_text(encoding="utf-8")
        text = text.replace("/opt/jre/bin", str(programs)).replace("/opt/jre", str(tmp_path))
        (programs / name).write_text(text.replace("patience=15", "patience=0"))
    (programs / "java").write_text(JAVA)
    (programs / "healthy").write_text("#!/bin/sh\n[ $1 = user ]\n")
    for program in programs.iterdir():
        program.chmod(0o755)
    return Container(programs, archives, jar)


def test_a_first_start_lists_classes_and_their_archive_is_used(
    container: Container,
) -> None:
    # The background work holds the output open until it ends, so the call ends with it.
    first = container.start()
    assert f"-XX:DumpLoadedClassList={container.archives}/user." in first
    assert "SharedArchiveFile" not in first
    assert "user will start quicker" in first
    archive = next(name for name in container.kept() if name.endswith(".jsa"))
    assert container.kept() == {archive, f"{archive}.checked"}
    second = container.start()
    assert f"-XX:SharedArchiveFile={container.archives}/{archive} " in second
    assert second.endswith(f"-cp {container.jar}:/app/classes Main\n")
    assert "DumpLoadedClassList" not in second


def test_an_archive_is_checked_once_and_again_if_the_file_changes(container: Container) -> None:
    container.start()
    checks = container.folder / "java.checks"
    assert checks.read_text() == "checked\n"
    container.start()
    assert checks.read_text() == "checked\n"
    archive = next(container.archives.glob("*.jsa"))
    archive.write_text("sound, and longer")
    assert "SharedArchiveFile" in container.start()
    assert checks.read_text() == "checked\n" * 2


def test_a_broken_archive_is_removed_and_made_again(container: Container) -> None:
    container.start()
    archive = next(container.archives.glob("*.jsa"))
    archive.write_text("broken")
    assert "DumpLoadedClassList" in container.start()
    assert "SharedArchiveFile" in container.start()


def test_other_libraries_get_another_archive_and_the_old_one_is_removed(
    container: Container,
) -> None:
    container.start()
    old = container.kept()
    (container.archives / "qa-1.jsa").write_text("of another service")
    (container.archives / "user.gone.classes").write_text("of a container that is gone")
    container.jar.write_text("Libraries")  # of the same size
    assert "DumpLoadedClassList" in container.start()
    kept = container.kept()
    assert len(kept) == 3
    assert kept.isdisjoint(old)
    assert "qa-1.jsa" in kept


def test_a_failed_dump_is_reported_as_json_and_leaves_nothing(container: Container) -> None:
    (container.folder / "java.broken").touch()
    output = container.make("user-1.jsa")
    assert '"formattedMessage":"no class archive for user: no memory"' in output
    assert container.kept() == set()


def test_archives_of_services_without_a_common_folder_are_made_in_turn(
    container: Container, tmp_path: Path
) -> None:
    turns = tmp_path / "turns"
    turns.mkdir(mode=0o555)
    reader, writer = os.pipe()
    with subprocess.Popen(["flock", str(turns), "cat"], stdin=reader) as other:
        os.close(reader)
        until_locked(turns)
        words = [str(container.folder / "archive-classes"), str(os.getpid()), "user"]
        making = subprocess.Popen(
            [*words, str(container.jar), str(container.archives / "user-1.jsa")],
            env={
                "PATH": f"{container.folder}:{os.environ['PATH']}",
                "ARCHIVE_TURNS": str(turns),
            },
            stdout=subprocess.PIPE,
        )
        with pytest.raises(subprocess.TimeoutExpired):
            making.wait(0.5)
        assert container.kept() == set()
        os.close(writer)
        output, _ = making.communicate(timeout=30)
    assert other.returncode == 0
    assert b"user will start quicker" in output
    assert container.kept() == {"user-1.jsa", "user-1.jsa.checked"}


def until_locked(folder: Path) -> None:
    """Wait until a process holds the lock on a folder."""
    deadline = time.monotonic() + 10
    while subprocess.run(["flock", "-n", folder, "true"], check=False).returncode == 0:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_an_archive_that_exists_meanwhile_is_not_made_again(container: Container) -> None:
    (container.archives / "user-1.jsa").write_text("made by another container")
    assert container.make("user-1.jsa") == ""
    assert (container.archives / "user-1.jsa").read_text() == "made by another container"


@pytest.mark.parametrize("folder", ["", "/nowhere"])
def test_without_a_folder_for_archives_java_starts_as_usual(
    container: Container, folder: str
) -> None:
    output = container.start(CLASS_ARCHIVES=folder)
    assert output.endswith(f"-cp {container.jar}:/app/classes Main\n")
    assert "Archive" not in output and "DumpLoadedClassList" not in output
