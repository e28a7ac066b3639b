"""The scripts that hashlab runs on machines: the fake machine answers them as a real shell does."""

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
from contextlib import AbstractContextManager
from ipaddress import IPv4Address
from pathlib import Path
from typing import IO, Any

import pytest
from fakes import ODD_NAMES, FakeMachine, FakeShell, small_lab

from hashlab.config.model import Lab
from hashlab.phases.programs import (
    HASH,
    HASH_INSIDE,
    OBSERVE,
    PLACE,
    READ_COPIES,
    READ_INSIDE,
    READ_SECRET,
    RECORD,
    WALK,
)
from hashlab.phases.upload.inside import READ_ALL, read_copies, read_listing
from hashlab.phases.upload.laptop import link_content
from hashlab.phases.upload.machine import (
    MachineFiles,
    Placed,
    Process,
    by_folder,
    digests_by_folder,
    nul,
    observe_files,
    parse,
    write_manifest,
    write_processes,
)
from hashlab.phases.upload.transfer import add
from hashlab.pipeline import Track
from hashlab.protocols import Completed, Shell
from hashlab.providers.vagrant import wait_for

HOME = "/var/lib/hashlab/small"
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
        return Completed(
            done.returncode,
            done.stdout.decode(errors="surrogateescape"),
            done.stderr.decode(errors="replace"),
        )

    def save(self, command: Sequence[str], target: IO[bytes], *, track: Track) -> int:
        raise AssertionError("no script of these tests is saved from")

    def feed(self, command: Sequence[str], source: IO[bytes], *, track: Track) -> int:
        raise AssertionError("no script of these tests is fed")

    def serve(self, path: Path, command: Sequence[str]) -> AbstractContextManager[None]:
        raise AssertionError("no script of these tests is served")

    def close(self) -> None:
        return None


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture(params=["fake", "sh"])
def shell(request: pytest.FixtureRequest, tmp_path: Path) -> Shell:
    if request.param == "fake":
        return FakeShell(FakeMachine("web", IPv4Address("192.168.60.6")))
    for tool in ("sh", "find", "xargs", "sha256sum", "tar"):
        if shutil.which(tool) is None:
            pytest.skip(f"no {tool} on the PATH")
    return LocalShell(tmp_path)


def script(shell: Shell, text: str, *words: str, stdin: bytes = b"") -> Completed:
    return shell.run(["sudo", "sh", "-c", text, "sh", *words], stdin=stdin)


def fine(shell: Shell, text: str, *words: str, stdin: bytes = b"") -> str:
    done = script(shell, text, *words, stdin=stdin)
    assert done.code == 0, done.stderr
    return done.stdout


def listed(shell: Shell) -> MachineFiles:
    return parse(fine(shell, OBSERVE, HOME))[0]


def files_of(found: MachineFiles) -> set[str]:
    """Return paths of files and links."""
    return {name for name, placed in found.files.items() if placed.kind != "d"}


def kinds(shell: Shell) -> dict[str, str]:
    """Return the kind of everything below the folder of files, by path."""
    return {n: p.kind for n, p in listed(shell).files.items() if n.startswith("files/")}


def hashed(shell: Shell, names: Sequence[str]) -> dict[str, str]:
    stdin = nul(sorted(names, key=by_folder))
    return digests_by_folder(fine(shell, HASH, HOME, WALK, stdin=stdin))


def contents(shell: Shell) -> dict[str, str]:
    """Return the content hash of every file and secret, by path."""
    return hashed(shell, [n for n, p in listed(shell).files.items() if p.kind == "f"])


def archive(
    new: Mapping[str, bytes] | None = None,
    *,
    delete: Sequence[str] = (),
    empty: Sequence[str] = (),
    folders: Mapping[str, int] | None = None,
    links: Mapping[str, str] | None = None,
    modes: Sequence[str] = (),
    place: Sequence[str] = (),
    mode: int = 0o644,
    mtime: int = 0,
) -> bytes:
    """Return the input of PLACE, as ``files.packed`` makes it, but from bytes."""
    folders, links = folders or {}, links or {}
    names = [*folders, *links, *(new or {})]
    units = [n for n in names if not any(n.startswith(f"{folder}/") for folder in folders)]
    lists = {
        "remove": sorted(delete, key=by_folder),
        "empty": empty,
        "place": place or sorted(units, key=by_folder),
        "mode": modes,
    }
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as opened:
        for name, entries in lists.items():
            add(opened, name, nul(entries))
        add(opened, "new", None, mode=0o755)
        for name, its_mode in folders.items():
            add(opened, f"new/{name}", None, mode=its_mode)
        for name, content in (new or {}).items():
            add(opened, f"new/{name}", content, mode=mode, mtime=mtime)
        for name, target in links.items():
            entry = tarfile.TarInfo(f"new/{name}")
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            opened.addfile(entry)
        add(opened, "end", b"")
    return buffer.getvalue()


def put(shell: Shell, new: Mapping[str, bytes] | None = None, **more: Any) -> None:
    fine(shell, PLACE, HOME, WALK, "all", stdin=archive(new, **more))


def test_a_fresh_machine_has_nothing(shell: Shell) -> None:
    assert listed(shell) == MachineFiles()


def test_placing_nothing_makes_only_the_labs_own_folders(shell: Shell) -> None:
    put(shell)
    assert set(listed(shell).files) == {"files", "secrets"}


def test_leftovers_of_a_killed_run_in_scratch_are_removed(shell: Shell) -> None:
    fine(shell, PLACE, HOME, WALK, "empty")
    put(shell, {"files/one": b"1"})
    assert contents(shell) == {"files/one": sha(b"1")}


@pytest.mark.parametrize("name", [*ODD_NAMES, LONG])
def test_files_with_any_names_are_put_listed_hashed_and_deleted(shell: Shell, name: str) -> None:
    put(shell, {f"files/{name}": b"content", "files/zero": b"0"})
    assert files_of(listed(shell)) == {f"files/{name}", "files/zero"}
    assert contents(shell)[f"files/{name}"] == sha(b"content")
    put(shell, {f"files/{name}": b"other"})
    assert contents(shell)[f"files/{name}"] == sha(b"other")
    put(shell, delete=[f"files/{name}", "files/gone"])
    assert files_of(listed(shell)) == {"files/zero"}


@pytest.mark.parametrize("name", ODD_NAMES)
def test_links_with_any_names_and_targets_are_put_and_listed(shell: Shell, name: str) -> None:
    put(shell, links={f"files/{name}": name, f"files/other {name}": f"/{name}"})
    found = listed(shell).files
    assert found[f"files/{name}"].content == f"link:{name}"
    assert found[f"files/other {name}"].content == f"link:/{name}"
    put(shell, delete=[f"files/{name}", f"files/other {name}"])
    assert files_of(listed(shell)) == set()


@pytest.mark.parametrize("name", [*ODD_NAMES, LONG])
def test_folders_with_any_names_are_made_get_modes_and_are_removed(shell: Shell, name: str) -> None:
    folder = f"files/{name}"
    put(shell, {f"{folder}/in it": b"1"}, folders={folder: 0o700, f"{folder}/empty": 0o755})
    assert listed(shell).files[folder].mode == 0o700
    assert listed(shell).files[f"{folder}/empty"].kind == "d"
    put(shell, modes=[f"750:{folder}"], empty=[f"{folder}/empty", folder])
    found = listed(shell).files
    assert f"{folder}/empty" not in found
    assert found[folder].mode == 0o750, "something is in it, so it stays"
    put(shell, delete=[f"{folder}/in it"], empty=[folder])
    assert folder not in listed(shell).files


@pytest.mark.parametrize("mode", [0o600, 0o700, 0o444, 0o4755, 0o2755, 0o640])
def test_files_arrive_with_their_modes(shell: Shell, mode: int) -> None:
    put(shell, {"files/a": b"1"}, mode=mode)
    put(shell, {"files/b/c": b"1"}, folders={"files/b": 0o555}, mode=mode)
    found = listed(shell).files
    assert [found[name].mode for name in ("files/a", "files/b", "files/b/c")] == [mode, 0o555, mode]


def test_a_link_replaces_a_file_or_a_folder_and_vice_versa(shell: Shell) -> None:
    put(shell, {"files/a": b"1", "files/b/c": b"2"}, folders={"files/b": 0o755})
    put(shell, links={"files/a": "b", "files/b": "nowhere"})
    assert kinds(shell) == {"files/a": "l", "files/b": "l"}
    put(shell, {"files/a": b"3"})
    put(shell, {"files/b/c": b"4"}, folders={"files/b": 0o755}, delete=["files/b"])
    assert contents(shell) == {"files/a": sha(b"3"), "files/b/c": sha(b"4")}


def test_a_folder_is_placed_into_an_existing_one(shell: Shell) -> None:
    put(shell, {"files/a/b": b"1"}, folders={"files/a": 0o755})
    put(shell, {"files/a/new/c": b"2"}, folders={"files/a/new": 0o700})
    assert contents(shell) == {"files/a/b": sha(b"1"), "files/a/new/c": sha(b"2")}


@pytest.mark.parametrize("name", ODD_NAMES)
def test_records_with_any_names_are_read_back(shell: Shell, name: str) -> None:
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
    assert files_of(found) == {f"files/{name}"}
    assert found.own == {f"files/{name}"}
    assert found.manifest == {f"files/{name}": Placed("i", "c")}
    assert found.processes == {"id": Process("now", "b", "f", {name: "1"}, (name,))}


def test_a_record_can_be_written_first_and_replaced(shell: Shell) -> None:
    for text in ("one", "two"):
        fine(shell, RECORD, HOME, "manifest", stdin=json.dumps({"files/a": [text, ""]}).encode())
        assert listed(shell).manifest == {"files/a": Placed(text, "")}


SECRET = "secrets/secret/password"


def test_secrets_are_files_by_kind_name_and_mode(shell: Shell) -> None:
    new = {f"{SECRET}/400": b"s3cret", "secrets/config/password/400": b"config"}
    put(shell, new, mode=0o400)
    put(shell, {f"{SECRET}/444": b"s3cret"}, mode=0o444)
    found = listed(shell)
    assert {name: found.files[name].mode for name in files_of(found)} == {
        f"{SECRET}/400": 0o400,
        f"{SECRET}/444": 0o444,
        "secrets/config/password/400": 0o400,
    }
    assert contents(shell)["secrets/config/password/400"] == sha(b"config")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to others")
def test_a_secret_belongs_to_the_owner_in_its_name(tmp_path: Path) -> None:
    new = {f"{SECRET}/400": b"s3cret", f"{SECRET}/440.1000.50": b"s3cret"}
    put(LocalShell(tmp_path), new, mode=0o440)
    status = {name: (tmp_path / "small" / name).stat() for name in new}
    owners = {name: (found.st_uid, found.st_gid) for name, found in status.items()}
    assert owners == {f"{SECRET}/400": (0, 0), f"{SECRET}/440.1000.50": (1000, 50)}


def test_a_secret_is_read_back_under_any_mode_and_from_a_lab_of_an_earlier_hashlab(
    shell: Shell,
) -> None:
    assert script(shell, READ_SECRET, HOME, "password").code != 0
    put(shell, {"secrets/password": b"earlier\n"}, mode=0o400)
    assert fine(shell, READ_SECRET, HOME, "password") == "earlier\n"
    put(shell, {f"{SECRET}/400": b""}, mode=0o400)
    assert fine(shell, READ_SECRET, HOME, "password") == "earlier\n", "an empty file is no secret"
    put(shell, {f"{SECRET}/444": b"now"})
    assert fine(shell, READ_SECRET, HOME, "password") == "now"
    assert script(shell, READ_SECRET, HOME, "passwor?").code != 0


def test_a_file_of_an_earlier_lab_makes_way_for_the_folder_of_its_name(shell: Shell) -> None:
    put(shell, {"secrets/secret": b"old"}, mode=0o400)
    put(shell, {"secrets/secret/secret/400": b"new"}, delete=["secrets/secret"], mode=0o400)
    assert contents(shell) == {"secrets/secret/secret/400": sha(b"new")}


def test_a_read_only_file_is_replaced_too(shell: Shell) -> None:
    put(shell, {f"{SECRET}/400": b"one"}, mode=0o400)
    put(shell, {f"{SECRET}/400": b"two"}, mode=0o400)
    assert contents(shell) == {f"{SECRET}/400": sha(b"two")}


def test_missing_folders_are_made(shell: Shell) -> None:
    put(shell, {"files/new/folder/one": b"1"})
    assert contents(shell) == {"files/new/folder/one": sha(b"1")}


def test_a_file_takes_the_place_of_a_folder_that_is_not_empty(shell: Shell) -> None:
    put(shell, {"files/a/b/c": b"1"})
    put(shell, {"files/a": b"2"})
    assert contents(shell) == {"files/a": sha(b"2")}


def test_a_folder_takes_the_place_of_a_file_that_is_deleted(shell: Shell) -> None:
    put(shell, {"files/a": b"1"})
    put(shell, {"files/a/b": b"2"}, delete=["files/a"])
    assert contents(shell) == {"files/a/b": sha(b"2")}


def test_a_folder_does_not_silently_take_the_place_of_a_file(shell: Shell) -> None:
    put(shell, {"files/a": b"1"})
    for made in (
        archive({"files/a/b": b"2"}),
        archive(folders={"files/a/b": 0o755}),
        archive(folders={"files/a": 0o755}),
    ):
        done = script(shell, PLACE, HOME, WALK, "all", stdin=made)
        assert done.code != 0
        assert done.stderr
    assert contents(shell) == {"files/a": sha(b"1")}


def test_deleting_a_missing_file_is_not_an_error(shell: Shell) -> None:
    put(shell, delete=["files/a", "files/b/c"], empty=["files/d"])
    assert kinds(shell) == {}


def test_deleting_below_a_folder_that_became_a_file_is_not_an_error(shell: Shell) -> None:
    put(shell, {"files/a": b"1"})
    put(shell, delete=["files/a/b"])
    assert contents(shell) == {"files/a": sha(b"1")}


def test_deleting_nothing_deletes_nothing(shell: Shell) -> None:
    put(shell, {"files/a": b"1"})
    put(shell)
    assert contents(shell) == {"files/a": sha(b"1")}


def test_an_archive_that_was_cut_off_anywhere_changes_nothing(shell: Shell) -> None:
    put(shell, {"files/a": b"old", "files/gone": b"old"})
    before = listed(shell)
    new = {"files/a": b"new" * 300, "files/b": b"new"}
    whole = archive(new, delete=["files/gone"], folders={"files/f": 0o755})
    end = whole.index(b"end\0")
    assert end % tarfile.BLOCKSIZE == 0
    for length in [0, 1, 700, *range(tarfile.BLOCKSIZE, end + 1, tarfile.BLOCKSIZE), end + 100]:
        done = script(shell, PLACE, HOME, WALK, "all", stdin=whole[:length])
        assert done.code != 0, length
        assert done.stderr, length
        assert listed(shell) == before, length
    fine(shell, PLACE, HOME, WALK, "all", stdin=whole)
    assert files_of(listed(shell)) == {"files/a", "files/b"}


def test_a_file_that_is_not_an_archive_is_refused(shell: Shell) -> None:
    put(shell, {"files/a": b"1"})
    done = script(shell, PLACE, HOME, WALK, "all", stdin=b"no archive at all" * 100)
    assert done.code != 0
    assert contents(shell) == {"files/a": sha(b"1")}


def test_a_file_has_another_identity_after_any_change(shell: Shell) -> None:
    put(shell, {"files/a": b"1", "files/b": b"2"})
    before = listed(shell).files
    put(shell, {"files/a": b"3"})
    after = listed(shell).files
    assert after["files/a"].identity != before["files/a"].identity
    assert after["files/b"].identity == before["files/b"].identity
    put(shell, {"files/a": b"3"}, mode=0o755)
    assert listed(shell).files["files/a"].identity != after["files/a"].identity
    assert listed(shell).files["files/a"].mode == 0o755


def test_hashing_skips_missing_files_and_reports_the_rest(shell: Shell) -> None:
    put(shell, {"files/a": b"1"})
    names = ["files/gone", "files/a", "files/none/b"]
    assert hashed(shell, names) == {"files/a": sha(b"1")}
    assert hashed(shell, []) == {}


def test_a_machine_without_the_folder_cannot_hash(shell: Shell) -> None:
    done = script(shell, HASH, HOME, WALK, stdin=nul(["files/a"]))
    assert done.code != 0
    assert done.stderr


def observed(shell: Shell, lab: Lab, *wanted: str) -> MachineFiles:
    return observe_files(shell, lab, "web", wanted=[f"files/{name}" for name in wanted])


def test_recorded_hashes_are_used_while_the_file_is_the_same(shell: Shell, tmp_path: Path) -> None:
    lab = small_lab(tmp_path / "lab")
    put(shell, {"files/a": b"1", "files/by hand": b"2"})
    first = observed(shell, lab, "a")
    assert first.files["files/a"].content == f"{sha(b'1')}:644"
    assert first.files["files/by hand"].content == ""
    recorded = {"files/a": Placed(first.files["files/a"].identity, "as it was written down")}
    write_manifest(shell, lab, "web", recorded)
    assert observed(shell, lab, "a").files["files/a"].content == "as it was written down"
    put(shell, {"files/a": b"2"}, mode=0o755)
    assert observed(shell, lab, "a").files["files/a"].content == f"{sha(b'2')}:755"


def test_recorded_processes_are_read_again(shell: Shell, tmp_path: Path) -> None:
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
    put(shell, {f"{SECRET}/400": b"x"}, mode=0o400)
    put(shell, {"files/a/run": b"x"}, mode=0o755, mtime=1_600_000_000)
    fine(shell, RECORD, HOME, "manifest", stdin=b"{}")
    modes = {
        name: (top(tmp_path) / name).stat().st_mode & 0o777
        for name in ("secrets", "scratch", f"{SECRET}/400", "files/a", "files/a/run", "manifest")
    }
    assert modes == {
        "secrets": 0o700,
        "scratch": 0o700,
        f"{SECRET}/400": 0o400,
        "files/a": 0o755,
        "files/a/run": 0o755,
        "manifest": 0o600,
    }
    assert (top(tmp_path) / "files/a/run").stat().st_mtime == 1_600_000_000
    assert [path.name for path in (top(tmp_path) / SECRET).iterdir()] == ["400"]


def test_on_a_real_disk_files_from_rsync_are_placed_with_the_archive(
    tmp_path: Path,
) -> None:
    """This also works in a folder that its owner may not write to."""
    shell = LocalShell(tmp_path)
    put(shell, {"files/old/jar": b"1"}, folders={"files/old": 0o555})
    fine(shell, PLACE, HOME, WALK, "empty")
    brought = top(tmp_path) / "scratch/new/files"
    for name in ("old/jar", "new/jar"):
        (brought / name).parent.mkdir()
        (brought / name).write_bytes(b"by rsync")
    made = archive(
        folders={"files/new": 0o555},
        place=["files/new", "files/old/jar"],
    )
    fine(shell, PLACE, HOME, WALK, "rest", stdin=made)
    digest = sha(b"by rsync")
    names = ("files/new/jar", "files/old/jar")
    assert contents(shell) == dict.fromkeys(names, digest)
    assert {listed(shell).files[name].mode for name in ("files/new", "files/old")} == {0o555}


def test_on_a_real_disk_no_content_is_left_in_the_scratch_folder(tmp_path: Path) -> None:
    shell = LocalShell(tmp_path)
    put(shell, {f"{SECRET}/400": b"s3cret", "files/a": b"s3cret"})
    left = [path for path in (top(tmp_path) / "scratch").rglob("*") if path.is_file()]
    assert {path.name for path in left} == {"remove", "empty", "place", "mode", "end"}
    assert all(b"s3cret" not in path.read_bytes() for path in left)


# A link that a container can plant in a mount that it may write to.


@pytest.fixture
def precious(tmp_path: Path) -> Path:
    """A folder of the machine that no container may reach."""
    folder = tmp_path / "precious"
    folder.mkdir()
    (folder / "key").write_text("precious")
    (folder / "empty").mkdir()
    return folder


def untouched(precious: Path) -> bool:
    existing = {path.name for path in precious.iterdir()} == {"key", "empty"}
    return existing and (precious / "key").read_text() == "precious"


def test_on_a_real_disk_no_upload_goes_through_a_planted_link(
    tmp_path: Path, precious: Path
) -> None:
    shell = LocalShell(tmp_path)
    put(shell, {"files/a/key": b"1"}, folders={"files/a": 0o755})
    shutil.rmtree(top(tmp_path) / "files/a")
    (top(tmp_path) / "files/a").symlink_to(precious)
    mode = precious.stat().st_mode
    for made in (
        archive({"files/a/key": b"2"}),
        archive({"files/a/new": b"2"}),
        archive(folders={"files/a/b": 0o755}),
        archive(links={"files/a/key": "x"}),
        archive({"files/a/deep/key": b"2"}),
    ):
        done = script(shell, PLACE, HOME, WALK, "all", stdin=made)
        assert done.code != 0
        assert "a link or a file is in the way to files/a" in done.stderr
    put(shell, delete=["files/a/key"], empty=["files/a/empty"], modes=["777:files/a"])
    assert untouched(precious)
    assert precious.stat().st_mode == mode
    assert hashed(shell, ["files/a/key"]) == {}
    put(shell, {"files/a/key": b"3"}, folders={"files/a": 0o755}, delete=["files/a"])
    assert contents(shell) == {"files/a/key": sha(b"3")}
    assert untouched(precious)


def test_on_a_real_disk_a_link_to_a_folder_is_replaced_and_not_entered(
    tmp_path: Path, precious: Path
) -> None:
    shell = LocalShell(tmp_path)
    put(shell, {"files/z": b"1"})
    for name in ("a", "b", "c"):
        (top(tmp_path) / "files" / name).symlink_to(precious)
    put(shell, {"files/a": b"2"}, links={"files/b": "elsewhere"}, delete=["files/c"])
    assert kinds(shell) == {"files/a": "f", "files/b": "l", "files/z": "f"}
    assert untouched(precious)


def test_on_a_real_disk_only_regular_files_are_hashed(tmp_path: Path) -> None:
    """A pipe would block for ever."""
    shell = LocalShell(tmp_path)
    put(shell, {"files/a": b"1"})
    os.mkfifo(top(tmp_path) / "files/pipe")
    (top(tmp_path) / "files/link").symlink_to("a")
    (top(tmp_path) / "files/device").symlink_to("/dev/zero")
    names = ["files/a", "files/pipe", "files/link", "files/device"]
    assert hashed(shell, names) == {"files/a": sha(b"1")}
    assert kinds(shell)["files/pipe"] == "p"


@pytest.mark.parametrize("folder", ["", "/files", "/secrets", "/scratch"])
def test_on_a_real_disk_a_link_in_place_of_the_labs_own_folders_is_refused(
    tmp_path: Path, precious: Path, folder: str
) -> None:
    shell = LocalShell(tmp_path)
    if folder:
        top(tmp_path).mkdir()
    Path(f"{top(tmp_path)}{folder}").symlink_to(precious)
    done = script(shell, PLACE, HOME, WALK, "all", stdin=archive({"files/key": b"2"}))
    assert done.code != 0
    assert "is a link" in done.stderr
    assert untouched(precious)


def test_on_a_real_disk_an_upload_does_not_follow_links_that_appear_meanwhile(
    tmp_path: Path, precious: Path
) -> None:
    """A container may replace a folder by a link between two steps of an upload."""
    shell = LocalShell(tmp_path)
    put(shell, {"files/a/key": b"1"}, folders={"files/a": 0o755})
    swapping = f"""
    cd {shlex.quote(str(top(tmp_path)))}/files && ln -s {shlex.quote(str(precious))} link
    while [ -L link ]; do
        mv -T a folder; mv -T link a; mv -T a link; mv -T folder a
    done
    """
    process = subprocess.Popen(["sh", "-c", swapping], stderr=subprocess.DEVNULL)
    try:
        for _ in range(30):
            made = archive({"files/a/key": b"2"}, delete=["files/a/gone"], modes=["777:files/a"])
            script(shell, PLACE, HOME, WALK, "all", stdin=made)
            hashed(shell, ["files/a/key"])
            assert untouched(precious)
    finally:
        process.kill()
        process.wait()


def test_on_a_real_disk_a_reader_that_holds_the_old_file_keeps_it(tmp_path: Path) -> None:
    """Files are replaced, never overwritten, so no process reads a partial one."""
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


def test_on_a_real_disk_a_touched_or_replaced_file_is_a_different_one(tmp_path: Path) -> None:
    shell = LocalShell(tmp_path)
    put(shell, {"files/a": b"1", "files/b": b"1"})
    before = listed(shell).files
    a, b = top(tmp_path) / "files/a", top(tmp_path) / "files/b"
    # Same content, size and time: only the inode or the time of the change differs.
    stat = a.stat()
    (tmp_path / "other").write_bytes(b"2")
    os.utime(tmp_path / "other", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    (tmp_path / "other").replace(a)
    stat = b.stat()
    b.write_bytes(b"2")
    os.utime(b, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    after = listed(shell).files
    assert after["files/a"].identity != before["files/a"].identity
    assert after["files/b"].identity != before["files/b"].identity


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
    whole = archive({"files/a": b"new" * 100_000, "files/b": b"new"}, delete=["files/gone"])
    words = ["sh", "-c", PLACE, "sh", str(top(tmp_path)), WALK, "all"]
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
    assert files_of(listed(shell)) == {"files/a", "files/gone"}
    fine(shell, PLACE, HOME, WALK, "all", stdin=whole)
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


def inside(shell: Shell, text: str, *words: str, paths: Sequence[str] = ()) -> str:
    done = shell.run(["sudo", "sh", "-c", text, "sh", *words], stdin=nul(paths))
    assert done.code == 0, done.stderr
    return done.stdout


NOBODY = "mounts\0\0places\0entries\0"


def test_a_real_process_shows_its_build_and_its_mounts(
    process: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    (tmp_path / "with space\n").write_bytes(b"content")
    pid, path = process.pid, f"{tmp_path}/with space\n"
    words = [str(pid), "", str(pid), path, str(pid), "/missing", "999999999", "/etc/passwd"]
    shell = LocalShell(tmp_path)
    found = read_listing(inside(shell, READ_INSIDE, *words))
    assert found.started == {pid: "abc"}
    assert "/" in found.mounted[pid]
    place = f"/proc/{pid}/root{path}"
    assert found.found[pid, path] == place
    assert set(found.identities) == {place}
    stat = (tmp_path / "with space\n").stat()
    identity = found.identities[place]
    assert identity.startswith(f"f:{stat.st_dev}:{stat.st_ino}:{stat.st_size}:")
    assert Placed(identity).mode == stat.st_mode & 0o7777
    output = inside(shell, HASH_INSIDE, paths=[place, f"/proc/{pid}/root/missing"])
    assert output == f"{sha(b'content')}  {place}\0"


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_real_process_sees_the_same_entry_as_the_machine(
    process: subprocess.Popen[bytes], tmp_path: Path, name: str
) -> None:
    """The same identity from both sides shows that it need not be hashed again."""
    shell = LocalShell(tmp_path)
    put(shell, {f"files/{name}": b"1"})
    path = f"{top(tmp_path)}/files/{name}"
    found = read_listing(inside(shell, READ_INSIDE, str(process.pid), path))
    place = found.found[process.pid, path]
    existing = listed(shell).files
    assert found.identities[place] == existing[f"files/{name}"].identity
    folder = read_listing(inside(shell, READ_INSIDE, str(process.pid), f"{top(tmp_path)}/files"))
    assert existing["files"].is_same_folder(*folder.identities.values())


# A container whose image, mounts and process are made by hand.
IN_CONTAINER = """
set -e
cd "$1"
mkdir -p image/srv/www image/run image/var image/real image/etc image/tmp image/proc image/data
mount --bind image image
ln -s /real image/absolute
ln -s ../../../../../real image/var/upwards
ln -s /run image/var/run
ln -s /chain image/srv/chain
ln -s absolute image/chain
ln -s loop image/loop
touch image/etc/one
mount --bind files/static image/srv/www
mount --bind files/static image/real
mount --bind files/one image/etc/one
mount -t tmpfs hidden image/srv/www/below
mkdir -p "image/data/a b"
mount -t tmpfs blank "image/data/a b"
exec unshare --mount --propagation private chroot image /busybox sleep 60
"""


@pytest.fixture
def container(tmp_path: Path) -> Iterator[int]:
    """The process of a container made by hand. The machine's folder "static" and file "one" are
    mounted in it.
    """
    busybox = shutil.which("busybox")
    static = subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False)
    if busybox is None or static.returncode:
        pytest.skip("no static busybox, or no mount namespaces here")
    shell = LocalShell(tmp_path)
    put(shell, {"files/static/a": b"1", "files/static/below/b": b"2", "files/one": b"3"})
    (top(tmp_path) / "image").mkdir()
    shutil.copy(busybox, top(tmp_path) / "image/busybox")
    words = ["unshare", "-m", "sh", "-c", IN_CONTAINER, "sh", str(top(tmp_path))]
    started = subprocess.Popen(words)
    until(lambda: Path(f"/proc/{started.pid}/cmdline").read_bytes().startswith(b"/busybox"))
    yield started.pid
    started.kill()
    started.wait()


@pytest.mark.parametrize(
    ("path", "leads_to"),
    [
        ("/srv/www", "/srv/www"),
        ("/absolute", "/real"),
        ("/var/upwards", "/real"),
        ("/srv/chain", "/real"),
        ("/srv/../absolute/./", "/real"),
        ("/../../real", "/real"),
    ],
)
def test_links_of_an_image_are_followed_within_the_container(
    container: int, tmp_path: Path, path: str, leads_to: str
) -> None:
    """The same links lead elsewhere on the machine, or nowhere."""
    shell = LocalShell(tmp_path)
    found = read_listing(inside(shell, READ_INSIDE, str(container), path))
    place = f"/proc/{container}/root{leads_to}"
    assert found.found == {(container, path): place}
    assert listed(shell).files["files/static"].is_same_folder(found.identities[place])


def test_a_file_missing_in_a_container_is_not_searched_on_the_machine(
    container: int, tmp_path: Path
) -> None:
    """The machine has /etc/passwd. The container does not, and has an endless loop of links."""
    (tmp_path / "machine").write_text("of the machine")
    paths = ["/etc/passwd", f"{tmp_path}/machine", "/loop", "/absolute/none", "/busybox/none"]
    words = [word for path in paths for word in (str(container), path)]
    assert read_listing(inside(LocalShell(tmp_path), READ_INSIDE, *words)).identities == {}


def test_single_files_of_a_container_are_read_from_its_own_root(
    container: int, tmp_path: Path
) -> None:
    """Links on the way are the container's; a link at the end stands for itself."""
    shell = LocalShell(tmp_path)
    found = {"/absolute/a": "/real/a", "/absolute": "/absolute", "/loop": "/loop"}
    image = top(tmp_path) / "image"
    words = [word for path in (*found, "/etc/passwd") for word in (str(container), path)]
    places, contents = read_copies(inside(shell, READ_COPIES, *words))
    root = f"/proc/{container}/root"
    assert {path: places[root + path] for path in found} == {
        p: root + at for p, at in found.items()
    }
    assert contents == {
        f"{root}/real/a": ":644",
        f"{root}/absolute": link_content("/real"),
        f"{root}/loop": link_content(str((image / "loop").readlink())),
    }


def test_a_mount_below_a_mount_is_reported(container: int, tmp_path: Path) -> None:
    found = read_listing(inside(LocalShell(tmp_path), READ_INSIDE, str(container), ""))
    assert {"/srv/www", "/srv/www/below", "/etc/one", "/data/a b"} <= found.mounted[container]


def test_a_mount_of_one_file_shows_the_old_file_after_it_is_replaced(
    container: int, tmp_path: Path
) -> None:
    shell = LocalShell(tmp_path)

    def seen() -> str:
        (identity,) = read_listing(
            inside(shell, READ_INSIDE, str(container), "/etc/one")
        ).identities.values()
        return identity

    assert seen() == listed(shell).files["files/one"].identity
    put(shell, {"files/one": b"new"})
    assert seen() != listed(shell).files["files/one"].identity
    path = f"/proc/{container}/root/etc/one"
    assert inside(shell, HASH_INSIDE, paths=[path]) == f"{sha(b'3')}  {path}\0"


def test_the_fake_machine_reports_processes_in_the_same_form(tmp_path: Path) -> None:
    shell = FakeShell(FakeMachine("web", IPv4Address("192.168.60.6")))
    paths = ["/proc/999999999/root/etc/passwd"]
    for machine_shell in (shell, LocalShell(tmp_path)):
        assert inside(machine_shell, READ_INSIDE).split("\0") == NOBODY.split("\0")
        found = read_listing(inside(machine_shell, READ_INSIDE, "999999999", ""))
        assert (found.started, found.found, found.identities) == ({}, {}, {})
        assert inside(machine_shell, HASH_INSIDE, paths=paths) == ""


def test_one_program_reports_files_and_processes(shell: Shell) -> None:
    assert parse(inside(shell, READ_ALL, HOME)) == (MachineFiles(), NOBODY)
    put(shell, {"files/a b": b"1", f"{SECRET}/400": b"2"}, links={"files/link": "hashlab"})
    fine(shell, RECORD, HOME, "manifest", stdin=b'{"files/a b": ["i", "c"]}')
    fine(shell, RECORD, HOME, "processes", stdin=b"broken \0 by somebody")
    existing, rest = parse(inside(shell, READ_ALL, HOME))
    assert existing == listed(shell)
    assert files_of(existing) == {"files/a b", f"{SECRET}/400", "files/link"}
    assert existing.manifest == {"files/a b": Placed("i", "c")}
    assert rest == NOBODY


def test_a_process_without_a_build_is_reported_as_such(tmp_path: Path) -> None:
    if not Path("/proc/self/environ").exists():
        pytest.skip("no /proc on this system")
    started = subprocess.Popen(["sleep", "60"], env={"PATH": os.environ["PATH"]})
    try:
        output = inside(LocalShell(tmp_path), READ_INSIDE, str(started.pid), "")
    finally:
        started.kill()
        started.wait()
    assert read_listing(output).started == {}


@pytest.mark.parametrize("name", ["plain", "with space", "it's", '"', "$(touch HACKED)", "#{1}"])
def test_waiting_for_a_file_with_any_name_ends_once_it_exists(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    words = shlex.split(wait_for(path))  # Vagrant splits the command in the same way
    waiting = subprocess.Popen(words, cwd=tmp_path)
    with pytest.raises(subprocess.TimeoutExpired):
        waiting.wait(0.2)
    path.write_text("")
    assert waiting.wait(10) == 0
    assert [left.name for left in tmp_path.iterdir()] == [name]
