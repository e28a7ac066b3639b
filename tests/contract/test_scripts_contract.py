"""The scripts hashlab runs on machines: the fake machine answers them as a real shell does."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shlex
import shutil
import signal
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from fakes import FakeMachine, FakeShell, small_lab

from hashlab.config.model import Lab
from hashlab.phases.files import APPLY, COPY, _add
from hashlab.phases.inside import HASH_INSIDE, READ_ALL, READ_INSIDE
from hashlab.phases.layout import wait_for
from hashlab.phases.machinefiles import (
    HASH,
    OBSERVE,
    RECORD,
    MachineFiles,
    Placed,
    Process,
    nul,
    observe_files,
    parse,
    write_manifest,
    write_processes,
)
from hashlab.protocols import Completed, Shell

HOME = "/var/lib/hashlab/small"
NAMES = ["plain", "with space", "new\nline", "ünïcode ☃", "'quote\"", "-rf", "$(date)", "a/b/c"]
LONG = "deep/" * 30 + "x" * 200


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
    for tool in ("sh", "find", "xargs", "sha256sum", "install", "tar"):
        if shutil.which(tool) is None:
            pytest.skip(f"no {tool} on the PATH")
    return LocalShell(tmp_path)


def script(shell: Shell, text: str, *words: str, stdin: bytes = b"") -> Completed:
    return shell.run(["sh", "-c", text, "sh", *words], stdin=stdin)


def fine(shell: Shell, text: str, *words: str, stdin: bytes = b"") -> str:
    done = script(shell, text, *words, stdin=stdin)
    assert done.code == 0, done.stderr
    return done.stdout


def listed(shell: Shell) -> MachineFiles:
    return parse(fine(shell, OBSERVE, HOME))[0]


def contents(shell: Shell) -> dict[str, str]:
    """Content hash by path of every file and secret."""
    names = sorted(listed(shell).all)
    said = fine(shell, HASH, HOME, stdin=nul(names))
    pairs = (entry.partition("  ") for entry in said.split("\0") if entry)
    return {name: content for content, _, name in pairs}


def archive(
    new: Mapping[str, bytes] | None = None,
    *,
    delete: Sequence[str] = (),
    folders: Sequence[str] = (),
    mode: int = 0o644,
    mtime: int = 0,
) -> bytes:
    """What APPLY takes: as ``files.packed`` makes it, but of bytes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as opened:
        _add(opened, "delete", nul(delete))
        _add(opened, "folders", nul(folders))
        _add(opened, "new", None, mode=0o755)
        for name, content in (new or {}).items():
            _add(opened, f"new/{name}", content, mode=mode, mtime=mtime)
        _add(opened, "end", b"")
    return buffer.getvalue()


def put(
    shell: Shell,
    new: Mapping[str, bytes] | None = None,
    *,
    delete: Sequence[str] = (),
    folders: Sequence[str] = (),
    mode: int = 0o644,
) -> None:
    fine(shell, APPLY, HOME, stdin=archive(new, delete=delete, folders=folders, mode=mode))


def test_a_machine_nobody_wrote_to_has_nothing(shell: Shell) -> None:
    assert listed(shell) == MachineFiles()


def test_applying_nothing_makes_folders_and_no_files(shell: Shell) -> None:
    put(shell, folders=["static", "out/app", "with space", "new\nline", "-p"])
    assert listed(shell) == MachineFiles()
    put(shell, {"files/out/app/one": b"1", "files/with space/two": b"2", "files/-p/three": b"3"})
    assert contents(shell) == {
        "files/out/app/one": sha(b"1"),
        "files/with space/two": sha(b"2"),
        "files/-p/three": sha(b"3"),
    }


def test_applying_again_keeps_files_and_empties_the_scratch_folder(shell: Shell) -> None:
    put(shell, {"files/one": b"1", "scratch/half": b"x"})
    assert shell.run(["cat", f"{HOME}/scratch/half"]).stdout == "x"
    put(shell)
    assert contents(shell) == {"files/one": sha(b"1")}
    assert shell.run(["cat", f"{HOME}/scratch/half"]).code != 0


def test_a_copy_is_made_of_what_is_there_whatever_the_names(shell: Shell) -> None:
    put(shell, {f"files/{name}": name.encode() for name in NAMES}, mode=0o755)
    pairs = [word for name in NAMES for word in (name, f"copies/{name}")]
    fine(shell, COPY, HOME, stdin=nul(pairs))
    found = contents(shell)
    for name in NAMES:
        assert found[f"files/copies/{name}"] == found[f"files/{name}"]
    modes = {placed.mode for placed in listed(shell).files.values()}
    assert len(modes) == 1, "a copy has the mode of the first"


def test_a_copy_takes_the_place_of_a_folder_and_a_missing_file_is_a_failure(shell: Shell) -> None:
    put(shell, {"files/one": b"1", "files/other/inner": b"2"})
    fine(shell, COPY, HOME, stdin=nul(["one", "other"]))
    assert contents(shell) == {"files/one": sha(b"1"), "files/other": sha(b"1")}
    assert script(shell, COPY, HOME, stdin=nul(["missing", "other"])).code != 0
    assert contents(shell)["files/other"] == sha(b"1")


def test_the_labs_own_folder_can_be_the_mounted_one(shell: Shell) -> None:
    put(shell, {"files/one": b"1"}, folders=["."])
    assert contents(shell) == {"files/one": sha(b"1")}


@pytest.mark.parametrize("name", [*NAMES, LONG])
def test_files_are_put_listed_hashed_and_deleted_whatever_their_names(
    shell: Shell, name: str
) -> None:
    put(shell, {f"files/{name}": b"content"}, folders=[str(Path(name).parent)])
    assert set(listed(shell).files) == {name}
    assert contents(shell) == {f"files/{name}": sha(b"content")}
    put(shell, delete=[name, "gone"])
    assert listed(shell).files == {}


@pytest.mark.parametrize("name", NAMES)
def test_records_are_read_back_whatever_they_name(shell: Shell, name: str) -> None:
    put(shell, {f"files/{name}": b"content"})
    fine(shell, RECORD, HOME, "manifest", stdin=json.dumps({f"files/{name}": ["i", "c"]}).encode())
    fine(
        shell,
        RECORD,
        HOME,
        "processes",
        stdin=json.dumps(
            {
                "id": {
                    "started_at": "now",
                    "build": "b",
                    "fixed": "f",
                    "files": {name: "1"},
                    "reloaded": [name],
                }
            }
        ).encode(),
    )
    found = listed(shell)
    assert set(found.files) == {name}
    assert found.own == {name}
    assert found.manifest == {f"files/{name}": Placed("i", "c")}
    assert found.processes == {"id": Process("now", "b", "f", {name: "1"}, (name,))}


def test_a_record_can_be_written_before_anything_else_and_replaced(shell: Shell) -> None:
    for text in ("one", "two"):
        fine(shell, RECORD, HOME, "manifest", stdin=json.dumps({"files/a": [text, ""]}).encode())
        assert listed(shell).manifest == {"files/a": Placed(text, "")}


def test_a_secret_is_listed_apart_and_read_back_whole(shell: Shell) -> None:
    put(shell, {"secrets/password": b"s3cret"}, mode=0o400)
    found = listed(shell)
    assert (set(found.files), set(found.secrets)) == (set(), {"password"})
    assert found.secrets["password"].mode == 0o400
    assert contents(shell) == {"secrets/password": sha(b"s3cret")}
    assert shell.run(["cat", f"{HOME}/secrets/password"]).stdout == "s3cret"


def test_what_may_not_be_written_is_replaced_all_the_same(shell: Shell) -> None:
    put(shell, {"secrets/password": b"one"}, mode=0o400)
    put(shell, {"secrets/password": b"two"}, mode=0o400)
    assert contents(shell) == {"secrets/password": sha(b"two")}


def test_folders_that_are_missing_are_made(shell: Shell) -> None:
    put(shell, {"files/new/folder/one": b"1"})
    assert contents(shell) == {"files/new/folder/one": sha(b"1")}


def test_a_file_takes_the_place_of_a_folder_that_is_not_empty(shell: Shell) -> None:
    put(shell, {"files/a/b/c": b"1"})
    put(shell, {"files/a": b"2"})
    assert contents(shell) == {"files/a": sha(b"2")}


def test_a_folder_takes_the_place_of_a_file_that_is_deleted(shell: Shell) -> None:
    put(shell, {"files/a": b"1"})
    put(shell, {"files/a/b": b"2"}, delete=["a"])
    assert contents(shell) == {"files/a/b": sha(b"2")}


def test_a_folder_does_not_silently_take_the_place_of_a_file(shell: Shell) -> None:
    put(shell, {"files/a": b"1"})
    for made in (archive({"files/a/b": b"2"}), archive(folders=["a/b"]), archive(folders=["a"])):
        done = script(shell, APPLY, HOME, stdin=made)
        assert done.code != 0
        assert done.stderr
    assert contents(shell) == {"files/a": sha(b"1")}


def test_deleting_what_is_not_there_is_fine(shell: Shell) -> None:
    put(shell, delete=["a", "b/c"])
    assert listed(shell).files == {}


def test_deleting_below_what_became_a_file_is_fine(shell: Shell) -> None:
    put(shell, {"files/a": b"1"})
    put(shell, delete=["a/b"])
    assert contents(shell) == {"files/a": sha(b"1")}


def test_deleting_nothing_deletes_nothing(shell: Shell) -> None:
    put(shell, {"files/a": b"1"})
    put(shell)
    assert contents(shell) == {"files/a": sha(b"1")}


def test_an_archive_that_was_cut_off_anywhere_changes_nothing(shell: Shell) -> None:
    put(shell, {"files/a": b"old", "files/gone": b"old"})
    before = listed(shell)
    whole = archive({"files/a": b"new" * 300, "files/b": b"new"}, delete=["gone"], folders=["f"])
    end = whole.index(b"end\0")
    assert end % tarfile.BLOCKSIZE == 0
    for length in [0, 1, 700, *range(tarfile.BLOCKSIZE, end + 1, tarfile.BLOCKSIZE), end + 100]:
        done = script(shell, APPLY, HOME, stdin=whole[:length])
        assert done.code != 0, length
        assert done.stderr, length
        assert listed(shell) == before, length
    fine(shell, APPLY, HOME, stdin=whole)
    assert set(listed(shell).files) == {"a", "b"}


def test_what_is_no_archive_is_refused(shell: Shell) -> None:
    put(shell, {"files/a": b"1"})
    done = script(shell, APPLY, HOME, stdin=b"no archive at all" * 100)
    assert done.code != 0
    assert contents(shell) == {"files/a": sha(b"1")}


def test_a_file_has_another_identity_after_any_change_and_the_same_without(shell: Shell) -> None:
    put(shell, {"files/a": b"1", "files/b": b"2"})
    before = listed(shell).files
    put(shell, {"files/a": b"3"})
    after = listed(shell).files
    assert after["a"].identity != before["a"].identity
    assert after["b"].identity == before["b"].identity
    put(shell, {"files/a": b"3"}, mode=0o755)
    assert listed(shell).files["a"].identity != after["a"].identity
    assert listed(shell).files["a"].mode == 0o755


def test_hashing_leaves_out_what_is_gone_and_tells_the_rest(shell: Shell) -> None:
    put(shell, {"files/a": b"1"})
    said = fine(shell, HASH, HOME, stdin=nul(["files/gone", "files/a"]))
    assert said == f"{sha(b'1')}  files/a\0"
    assert fine(shell, HASH, HOME) == ""


def test_a_machine_without_the_folder_cannot_hash(shell: Shell) -> None:
    done = script(shell, HASH, HOME, stdin=nul(["files/a"]))
    assert done.code != 0
    assert done.stderr


def test_a_file_that_is_not_there_cannot_be_read(shell: Shell) -> None:
    done = shell.run(["cat", f"{HOME}/secrets/none"])
    assert done.code != 0
    assert done.stdout == ""


def observed(shell: Shell, lab: Lab, *wanted: str) -> MachineFiles:
    return observe_files(shell, lab, "web", wanted=[f"files/{name}" for name in wanted])


def test_what_was_written_down_is_believed_while_the_file_is_the_same_one(
    shell: Shell, tmp_path: Path
) -> None:
    lab = small_lab(tmp_path / "lab")
    put(shell, {"files/a": b"1", "files/by hand": b"2"})
    first = observed(shell, lab, "a")
    assert first.files["a"].content == sha(b"1")
    assert first.files["by hand"].content == ""
    told = {"files/a": Placed(first.files["a"].identity, "as it was written down")}
    write_manifest(shell, lab, "web", told)
    assert observed(shell, lab, "a").files["a"].content == "as it was written down"
    put(shell, {"files/a": b"2"}, mode=0o755)
    assert observed(shell, lab, "a").files["a"].content == sha(b"2") + "+x"


def test_what_is_known_of_processes_is_read_again(shell: Shell, tmp_path: Path) -> None:
    lab = small_lab(tmp_path / "lab")
    known = {"id": Process("now", "b", "f", {"/app/a": "1", "/app/ü": "2"}, ("/app/a",))}
    write_processes(shell, lab, "web", known)
    assert observed(shell, lab).processes == known
    write_processes(shell, lab, "web", {})
    assert observed(shell, lab).processes == {}


def top(tmp_path: Path) -> Path:
    """The lab's folder on the real disk, as LocalShell lays it out."""
    return tmp_path / "small"


def test_on_a_real_disk_files_have_their_modes_and_times(tmp_path: Path) -> None:
    shell = LocalShell(tmp_path)
    fine(shell, APPLY, HOME, stdin=archive({"secrets/password": b"x"}, mode=0o400))
    new = {"files/a/run": b"x"}
    fine(shell, APPLY, HOME, stdin=archive(new, mode=0o755, mtime=1_600_000_000))
    fine(shell, RECORD, HOME, "manifest", stdin=b"{}")
    modes = {
        name: (top(tmp_path) / name).stat().st_mode & 0o777
        for name in ("secrets", "scratch", "secrets/password", "files/a", "files/a/run", "manifest")
    }
    assert modes == {
        "secrets": 0o700,
        "scratch": 0o700,
        "secrets/password": 0o400,
        "files/a": 0o755,
        "files/a/run": 0o755,
        "manifest": 0o600,
    }
    assert (top(tmp_path) / "files/a/run").stat().st_mtime == 1_600_000_000
    assert [path.name for path in (top(tmp_path) / "secrets").iterdir()] == ["password"]


def test_on_a_real_disk_no_content_is_left_in_the_scratch_folder(tmp_path: Path) -> None:
    shell = LocalShell(tmp_path)
    put(shell, {"secrets/password": b"s3cret", "files/a": b"s3cret"})
    left = [path for path in (top(tmp_path) / "scratch").rglob("*") if path.is_file()]
    assert {path.name for path in left} == {"delete", "folders", "end"}
    assert all(b"s3cret" not in path.read_bytes() for path in left)


def test_on_a_real_disk_a_reader_that_holds_the_old_file_keeps_it(tmp_path: Path) -> None:
    """Files are replaced, never written over: nobody reads half of one."""
    shell = LocalShell(tmp_path)
    put(shell, {"files/a": b"old"})
    with (top(tmp_path) / "files/a").open("rb") as held:
        put(shell, {"files/a": b"new"})
        assert held.read() == b"old"
    assert (top(tmp_path) / "files/a").read_bytes() == b"new"


def test_on_a_real_disk_a_link_in_the_place_of_a_file_is_replaced_and_not_followed(
    tmp_path: Path,
) -> None:
    shell = LocalShell(tmp_path)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("1")
    put(shell, {"files/b": b"1"})
    (top(tmp_path) / "files/a").symlink_to(outside)
    put(shell, {"files/a": b"2"})
    assert (top(tmp_path) / "files/a").read_bytes() == b"2"
    assert not (top(tmp_path) / "files/a").is_symlink()
    assert (outside / "precious").read_text() == "1"


def test_on_a_real_disk_a_touched_or_renamed_over_file_is_another_one(tmp_path: Path) -> None:
    shell = LocalShell(tmp_path)
    put(shell, {"files/a": b"1", "files/b": b"1"})
    before = listed(shell).files
    a, b = top(tmp_path) / "files/a", top(tmp_path) / "files/b"
    # The same content, size and time: only the inode or the time of the change tells.
    stat = a.stat()
    (tmp_path / "other").write_bytes(b"2")
    os.utime(tmp_path / "other", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    (tmp_path / "other").replace(a)
    stat = b.stat()
    b.write_bytes(b"2")
    os.utime(b, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    after = listed(shell).files
    assert after["a"].identity != before["a"].identity
    assert after["b"].identity != before["b"].identity


def test_a_record_that_was_cut_off_leaves_the_old_one(tmp_path: Path) -> None:
    shell = LocalShell(tmp_path)
    fine(shell, RECORD, HOME, "manifest", stdin=b'{"files/a": ["i", "c"]}')
    words = ["sh", "-c", RECORD, "sh", str(top(tmp_path)), "manifest"]
    writing = subprocess.Popen(words, stdin=subprocess.PIPE, start_new_session=True)
    assert writing.stdin is not None
    writing.stdin.write(b'{"files/b": ')
    writing.stdin.flush()
    until((top(tmp_path) / "manifest.new").exists)
    os.killpg(writing.pid, signal.SIGKILL)
    writing.wait()
    writing.stdin.close()
    assert listed(shell).manifest == {"files/a": Placed("i", "c")}


def test_an_upload_that_is_killed_in_the_middle_leaves_the_old_files(tmp_path: Path) -> None:
    shell = LocalShell(tmp_path)
    put(shell, {"files/a": b"old", "files/gone": b"old"})
    before = listed(shell)
    whole = archive({"files/a": b"new" * 100_000, "files/b": b"new"}, delete=["gone"])
    words = ["sh", "-c", APPLY, "sh", str(top(tmp_path))]
    taking = subprocess.Popen(words, stdin=subprocess.PIPE, start_new_session=True)
    assert taking.stdin is not None
    taking.stdin.write(whole[: len(whole) // 2])
    taking.stdin.flush()
    half = top(tmp_path) / "scratch/new/files/a"
    until(lambda: half.exists() and half.stat().st_size > 0)
    os.killpg(taking.pid, signal.SIGKILL)
    taking.wait()
    taking.stdin.close()
    assert listed(shell) == before
    assert set(listed(shell).files) == {"a", "gone"}
    fine(shell, APPLY, HOME, stdin=whole)
    assert contents(shell)["files/a"] == sha(b"new" * 100_000)
    assert not half.exists()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.01)


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


def inside(shell: Shell, text: str, *words: str, paths: Sequence[str] = ()) -> Completed:
    done = shell.run(["sudo", "sh", "-c", text, "sh", *words], stdin=nul(paths))
    assert done.code == 0, done.stderr
    return done


def test_a_real_process_tells_its_build_and_the_files_it_sees(
    process: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    (tmp_path / "with space\n").write_bytes(b"content")
    (tmp_path / "folder").mkdir()
    root = f"/proc/{process.pid}/root{tmp_path}"
    path = f"{root}/with space\n"
    paths = [f"{root}/missing", path, f"{root}/folder", "/proc/999999999/root/etc/passwd"]
    shell = LocalShell(tmp_path)
    done = inside(shell, READ_INSIDE, str(process.pid), "999999999", paths=paths)
    head, _, listing = done.stdout.partition("files\0")
    assert head == f"/proc/{process.pid}/environ\0HASHLAB_BUILD=abc\0"
    identity, seen, end = listing.split("\0")
    assert (seen, end) == (path, "")
    stat = (tmp_path / "with space\n").stat()
    assert identity.startswith(f"{stat.st_dev}:{stat.st_ino}:{stat.st_size}:")
    assert Placed(identity).mode == stat.st_mode & 0o7777
    assert inside(shell, HASH_INSIDE, paths=paths).stdout == f"{sha(b'content')}  {path}\0"


@pytest.mark.parametrize("name", NAMES)
def test_a_real_process_sees_the_very_file_that_the_machine_has(
    process: subprocess.Popen[bytes], tmp_path: Path, name: str
) -> None:
    """One text for one file from both sides: that is why it need not be hashed again."""
    shell = LocalShell(tmp_path)
    put(shell, {f"files/{name}": b"1"})
    path = f"/proc/{process.pid}/root{top(tmp_path)}/files/{name}"
    told = inside(shell, READ_INSIDE, str(process.pid), paths=[path]).stdout
    assert told.partition("files\0")[2] == f"{listed(shell).files[name].identity}\0{path}\0"
    assert inside(shell, HASH_INSIDE, paths=[path]).stdout == f"{sha(b'1')}  {path}\0"


def test_a_file_that_a_mount_still_shows_is_another_one_than_the_machine_has(
    tmp_path: Path,
) -> None:
    """A bind mount of one file keeps the old inode when that file is replaced."""
    if subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode:
        pytest.skip("no mount namespaces here")
    shell = LocalShell(tmp_path)
    put(shell, {"files/conf": b"old"})
    mounted = tmp_path / "mounted"
    mounted.touch()
    mount = 'mount --bind "$0" "$1" && echo ready && exec sleep 60'
    words = ["unshare", "-m", "sh", "-c", mount, str(top(tmp_path) / "files/conf"), str(mounted)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        path = f"/proc/{process.pid}/root{mounted}"

        def seen() -> str:
            return inside(shell, READ_INSIDE, paths=[path]).stdout.split("\0")[1]

        assert seen() == listed(shell).files["conf"].identity
        put(shell, {"files/conf": b"new"})
        assert seen() != listed(shell).files["conf"].identity
        assert inside(shell, HASH_INSIDE, paths=[path]).stdout == f"{sha(b'old')}  {path}\0"
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def test_the_fake_machine_tells_of_processes_in_the_same_words(tmp_path: Path) -> None:
    shell = FakeShell(FakeMachine("web", IPv4Address("192.168.60.6")))
    paths = ["/proc/999999999/root/etc/passwd"]
    for one in (shell, LocalShell(tmp_path)):
        assert inside(one, READ_INSIDE, "999999999", paths=paths).stdout == "files\0"
        assert inside(one, HASH_INSIDE, paths=paths).stdout == ""


def test_files_and_processes_are_told_in_one_program(shell: Shell) -> None:
    nobody = "files\0"
    paths = ["/proc/999999999/root/etc/passwd"]
    told = inside(shell, READ_ALL, HOME, "999999999", paths=paths).stdout
    assert parse(told) == (MachineFiles(), nobody)
    put(shell, {"files/a b": b"1", "secrets/s": b"2"})
    fine(shell, RECORD, HOME, "manifest", stdin=b'{"files/a b": ["i", "c"]}')
    fine(shell, RECORD, HOME, "processes", stdin=b"broken \0 by somebody")
    there, rest = parse(inside(shell, READ_ALL, HOME, "999999999", paths=paths).stdout)
    assert there == listed(shell)
    assert set(there.all) == {"files/a b", "secrets/s"}
    assert there.manifest == {"files/a b": Placed("i", "c")}
    assert rest == nobody


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
    assert done.stdout == "files\0"


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
