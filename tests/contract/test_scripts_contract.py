"""The scripts hashlab runs on machines: the fake machine answers them as a real shell does."""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from fakes import FakeMachine, FakeShell

from hashlab.phases.files import DELETE, OBSERVE, PREPARE, PUT, MachineFiles, _nul, _parse
from hashlab.phases.machines import wait_for
from hashlab.phases.proof import READ_INSIDE
from hashlab.protocols import Completed, Shell

HOME = "/var/lib/hashlab/small"
SCRATCH = f"{HOME}/scratch"
NAMES = ["plain", "with space", "new\nline", "ünïcode ☃", "'quote\"", "-rf", "$(date)", "a/b/c"]


class LocalShell:
    """A real shell whose /var/lib/hashlab is a folder of the test."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def run(self, command: Sequence[str], *, stdin: bytes = b"", timeout: float = 30) -> Completed:
        words = [
            word.replace("/var/lib/hashlab", str(self._folder), 1)
            if word.startswith("/var/lib/hashlab")
            else word
            for word in command
            if word != "sudo"
        ]
        done = subprocess.run(words, input=stdin, capture_output=True, timeout=timeout, check=False)
        return Completed(done.returncode, done.stdout.decode(), done.stderr.decode())

    def close(self) -> None:
        return None


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture(params=["fake", "sh"])
def shell(request: pytest.FixtureRequest, tmp_path: Path) -> Shell:
    if request.param == "fake":
        return FakeShell(FakeMachine("web", IPv4Address("192.168.60.6")))
    for tool in ("sh", "find", "xargs", "sha256sum", "install"):
        if shutil.which(tool) is None:
            pytest.skip(f"no {tool} on the PATH")
    return LocalShell(tmp_path)


def script(shell: Shell, text: str, *words: str, stdin: bytes = b"") -> Completed:
    return shell.run(["sh", "-c", text, "sh", *words], stdin=stdin)


def fine(shell: Shell, text: str, *words: str, stdin: bytes = b"") -> str:
    done = script(shell, text, *words, stdin=stdin)
    assert done.code == 0, done.stderr
    return done.stdout


def there(shell: Shell) -> MachineFiles:
    return _parse(fine(shell, OBSERVE, HOME))


def put(shell: Shell, name: str, content: bytes, mode: str = "644") -> None:
    fine(shell, PUT, f"{HOME}/{name}", mode, SCRATCH, stdin=content)


def test_a_machine_nobody_wrote_to_has_nothing(shell: Shell) -> None:
    assert there(shell) == MachineFiles()


def test_a_prepared_machine_has_folders_and_no_files(shell: Shell) -> None:
    fine(shell, PREPARE, HOME, stdin=_nul(["static", "out/app", "with space"]))
    assert there(shell) == MachineFiles()
    put(shell, "files/out/app/one", b"1")
    put(shell, "files/with space/two", b"2")
    assert there(shell).files == {"out/app/one": sha(b"1"), "with space/two": sha(b"2")}


def test_preparing_again_keeps_files_and_empties_the_scratch_folder(shell: Shell) -> None:
    fine(shell, PREPARE, HOME)
    put(shell, "files/one", b"1")
    put(shell, "scratch/half", b"x")
    fine(shell, PREPARE, HOME)
    assert there(shell).files == {"one": sha(b"1")}
    assert shell.run(["cat", f"{HOME}/scratch/half"]).code != 0


def test_the_labs_own_folder_can_be_the_mounted_one(shell: Shell) -> None:
    fine(shell, PREPARE, HOME, stdin=_nul(["."]))
    put(shell, "files/one", b"1")
    assert there(shell).files == {"one": sha(b"1")}


@pytest.mark.parametrize("name", NAMES)
def test_files_secrets_and_the_manifest_are_listed_whatever_their_names(
    shell: Shell, name: str
) -> None:
    folder = str(Path(name).parent)
    fine(shell, PREPARE, HOME, stdin=_nul([folder]))
    put(shell, f"files/{name}", b"content")
    put(shell, "manifest", _nul([name, "gone"]))
    assert there(shell) == MachineFiles({name: sha(b"content")}, {}, frozenset({name, "gone"}))
    fine(shell, DELETE, HOME, stdin=_nul([name, "gone"]))
    assert there(shell).files == {}


def test_a_secret_is_listed_apart_and_read_back_whole(shell: Shell) -> None:
    fine(shell, PREPARE, HOME)
    put(shell, "secrets/password", b"s3cret", "400")
    assert there(shell) == MachineFiles({}, {"password": sha(b"s3cret")}, frozenset())
    assert shell.run(["cat", f"{HOME}/secrets/password"]).stdout == "s3cret"


def test_putting_replaces_even_what_may_not_be_written(shell: Shell) -> None:
    fine(shell, PREPARE, HOME)
    put(shell, "secrets/password", b"one", "400")
    put(shell, "secrets/password", b"two", "400")
    assert there(shell).secrets == {"password": sha(b"two")}


def test_putting_makes_the_folders_that_are_missing(shell: Shell) -> None:
    fine(shell, PREPARE, HOME)
    put(shell, "files/new/folder/one", b"1")
    assert there(shell).files == {"new/folder/one": sha(b"1")}


def test_a_file_that_is_put_takes_the_place_of_a_folder_that_is_not_empty(shell: Shell) -> None:
    fine(shell, PREPARE, HOME)
    put(shell, "files/a/b/c", b"1")
    put(shell, "files/a", b"2")
    assert there(shell).files == {"a": sha(b"2")}


def test_a_folder_does_not_silently_take_the_place_of_a_file(shell: Shell) -> None:
    fine(shell, PREPARE, HOME)
    put(shell, "files/a", b"1")
    done = script(shell, PUT, f"{HOME}/files/a/b", "644", SCRATCH, stdin=b"2")
    assert done.code != 0
    assert there(shell).files == {"a": sha(b"1")}


def test_putting_on_a_machine_that_was_not_prepared_is_a_failure(shell: Shell) -> None:
    done = script(shell, PUT, f"{HOME}/secrets/password", "400", SCRATCH, stdin=b"x")
    assert done.code != 0
    assert done.stderr


def test_deleting_what_is_not_there_is_fine_and_without_a_folder_is_not(shell: Shell) -> None:
    assert script(shell, DELETE, HOME, stdin=_nul(["a"])).code != 0
    fine(shell, PREPARE, HOME)
    fine(shell, DELETE, HOME, stdin=_nul(["a", "b/c"]))


def test_deleting_below_what_became_a_file_is_fine(shell: Shell) -> None:
    fine(shell, PREPARE, HOME)
    put(shell, "files/a", b"1")
    fine(shell, DELETE, HOME, stdin=_nul(["a/b"]))
    assert there(shell).files == {"a": sha(b"1")}


def test_deleting_nothing_deletes_nothing(shell: Shell) -> None:
    fine(shell, PREPARE, HOME)
    put(shell, "files/a", b"1")
    fine(shell, DELETE, HOME)
    assert set(there(shell).files) == {"a"}


def test_a_file_that_is_not_there_cannot_be_read(shell: Shell) -> None:
    done = shell.run(["cat", f"{HOME}/secrets/none"])
    assert done.code != 0
    assert done.stdout == ""


def test_on_a_real_disk_files_have_their_modes(tmp_path: Path) -> None:
    shell = LocalShell(tmp_path)
    fine(shell, PREPARE, HOME)
    put(shell, "secrets/password", b"x", "400")
    put(shell, "manifest", b"", "644")
    top = tmp_path / "small"
    assert (top / "secrets").stat().st_mode & 0o777 == 0o700
    assert (top / "secrets/password").stat().st_mode & 0o777 == 0o400
    assert (top / "manifest").stat().st_mode & 0o777 == 0o644
    assert sorted(path.name for path in (top / "secrets").iterdir()) == ["password"]


@pytest.fixture
def process(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that was started as build abc."""
    if not Path("/proc/self/environ").exists():
        pytest.skip("no /proc on this system")
    environ = {"PATH": os.environ["PATH"], "A": "1", "HASHLAB_BUILD": "abc", "B": "2"}
    started = subprocess.Popen(["sleep", "60"], env=environ)
    yield started
    started.kill()
    started.wait()


def test_a_real_process_tells_its_build_and_the_files_it_sees(
    process: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    (tmp_path / "with space\n").write_bytes(b"content")
    path = f"/proc/{process.pid}/root{tmp_path}/with space\n"
    missing = f"/proc/{process.pid}/root{tmp_path}/missing"
    words = ["sudo", "sh", "-c", READ_INSIDE, "sh", str(process.pid), "999999999"]
    done = LocalShell(tmp_path).run(words, stdin=_nul([missing, path]))
    assert done.code == 0
    head, _, listing = done.stdout.partition("files\0")
    assert head == f"{process.pid}\0HASHLAB_BUILD=abc\0999999999\0HASHLAB_BUILD=\0"
    assert listing == f"{sha(b'content')}  {path}\0"


def test_a_process_without_a_build_says_so(tmp_path: Path) -> None:
    if not Path("/proc/self/environ").exists():
        pytest.skip("no /proc on this system")
    started = subprocess.Popen(["sleep", "60"], env={"PATH": os.environ["PATH"]})
    try:
        words = ["sudo", "sh", "-c", READ_INSIDE, "sh", str(started.pid)]
        done = LocalShell(tmp_path).run(words)
    finally:
        started.kill()
        started.wait()
    assert done.stdout == f"{started.pid}\0HASHLAB_BUILD=\0files\0"


@pytest.mark.parametrize("name", ["plain", "with space", "it's", '"', "$(touch HACKED)", "#{1}"])
def test_waiting_for_a_file_ends_when_it_is_there_whatever_its_name(
    tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    words = shlex.split(wait_for(path))  # Vagrant splits it in the same way
    waiting = subprocess.Popen(words, cwd=tmp_path)
    with pytest.raises(subprocess.TimeoutExpired):
        waiting.wait(0.2)
    path.write_text("")
    assert waiting.wait(10) == 0
    assert [left.name for left in tmp_path.iterdir()] == [name]
