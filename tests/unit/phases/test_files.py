"""Upload: what machines have, what must travel, and that only hashlab's own files are deleted."""

from __future__ import annotations

import io
import os
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import FakeShell, Outside, change_service, connected, go, running, track_of, write_files
from fakes.outside import Silent

from hashlab import workflows
from hashlab.config.model import BindMount, FileMount, Lab, Service
from hashlab.errors import LabError
from hashlab.hashing import Digests
from hashlab.phases import files
from hashlab.phases.files import Difference, difference, upload
from hashlab.phases.laptopfiles import LaptopFiles, home, remote_path, secret_path, upload_root
from hashlab.phases.machinefiles import MachineFiles, Placed, observe_files
from hashlab.phases.world import Cause
from hashlab.pipeline import CancelToken, Recorder, Row
from hashlab.protocols import Completed

FILES = "/var/lib/hashlab/small/files"
SECRET = FileMount("password", Path("/lab/password"), "/run/secrets/password", 0o400, secret=True)
CONFIG = FileMount("motd", Path("/lab/motd"), "/motd")

NAMES = ["plain", "with space", "new\nline", "ünïcode ☃", "'quote\"", "-rf", "$(date)", "manifest"]


def placed(content: str, mode: int = 0o644) -> Placed:
    return Placed(f"1:2:3:4.0:5.0:{mode:o}", content)


def have(
    files: dict[str, str] | None = None,
    secrets: dict[str, str] | None = None,
    own: tuple[str, ...] = (),
) -> MachineFiles:
    """What lies on a machine, by content; ``own`` is what hashlab put there."""
    return MachineFiles(
        {name: placed(content) for name, content in (files or {}).items()},
        {
            name: placed(content, 0o400 if name == "password" else 0o444)
            for name, content in (secrets or {}).items()
        },
        {f"files/{name}": placed("1") for name in own},
    )


@pytest.mark.parametrize(
    ("wanted", "secrets", "there", "expected"),
    [
        ({}, {}, have(), Difference((), (), ())),
        ({"a": "1"}, {}, have(), Difference(("a",), (), ())),
        ({"a": "1"}, {}, have({"a": "1"}), Difference((), (), ())),
        ({"a": "1"}, {}, have({"a": "2"}), Difference(("a",), (), ())),
        # Executable here and not there, and the reverse.
        ({"a": "1+x"}, {}, have({"a": "1"}), Difference(("a",), (), ())),
        ({"a": "1"}, {}, have({"a": "1+x"}), Difference(("a",), (), ())),
        # A file whose content nobody could read is not what is wanted.
        ({"a": "1"}, {}, have({"a": ""}), Difference(("a",), (), ())),
        # What hashlab put there and nobody wants any more is deleted.
        ({}, {}, have({"a": "1"}, own=("a",)), Difference((), ("a",), ())),
        # What somebody else put there stays.
        ({}, {}, have({"log": "1"}), Difference((), (), ())),
        ({"a": "1"}, {}, have({"a": "1", "log": "1"}, own=("a",)), None),
        # What is named in the manifest, but gone already, needs no deleting.
        ({}, {}, have(own=("a",)), Difference((), (), ())),
        ({}, {"password": (SECRET, "1")}, have(), Difference((), (), (SECRET,))),
        ({}, {"password": (SECRET, "1")}, have({}, {"password": "1"}), None),
        # The mode of a secret is compared as it is; whether it counts as executable is not asked.
        ({}, {"motd": (CONFIG, "1")}, have({}, {"motd": "1+x"}), None),
        (
            {},
            {"password": (replace(SECRET, mode=0o440), "1")},
            have({}, {"password": "1"}),
            Difference((), (), (replace(SECRET, mode=0o440),)),
        ),
        (
            {},
            {"password": (SECRET, "1"), "motd": (CONFIG, "2")},
            have({}, {"password": "1", "motd": "old"}),
            Difference((), (), (CONFIG,)),
        ),
        (
            {"a": "1", "b": "2", "c": "3"},
            {},
            have({"a": "1", "b": "old", "z": "9"}, own=("a", "b", "z")),
            Difference(("b", "c"), ("z",), ()),
        ),
    ],
)
def test_the_difference_is_what_must_travel_or_leave(
    wanted: dict[str, str],
    secrets: dict[str, tuple[FileMount, str]],
    there: MachineFiles,
    expected: Difference | None,
) -> None:
    assert difference(wanted, secrets, there) == (expected or Difference((), (), ()))


def test_only_an_empty_difference_is_empty() -> None:
    assert Difference((), (), ()).empty
    assert not Difference(("a",), (), ()).empty
    assert not Difference((), ("a",), ()).empty
    assert not Difference((), (), (SECRET,)).empty


def with_bind(lab: Lab, source: Path, target: str = "/mounted") -> Lab:
    """The lab with one more bind mount of service site."""
    site = next(service for service in lab.services if service.name == "site")
    return change_service(lab, "site", binds=(*site.binds, BindMount(source, target)))


def do_upload(outside: Outside, machine: str = "web") -> Row:
    """Run the phase for one machine in a new world; return its row."""
    world = connected(outside)
    recorder = Recorder(Silent(), CancelToken())
    with recorder.step("upload", machine=machine) as track:
        upload(world, track, machine)
    return recorder.rows()[0]


def on_machine(outside: Outside, machine: str = "web") -> dict[str, bytes]:
    below = outside.machines[machine].disk.below(FILES)
    return {name: file.content for name, file in below.items()}


def travelled(archive: bytes) -> dict[str, bytes]:
    """What an archive puts on a machine, by path below the lab's folder."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        streams = {e.name: opened.extractfile(e) for e in opened if e.name.startswith("new/")}
        return {n.removeprefix("new/"): s.read() for n, s in streams.items() if s is not None}


def test_every_mounted_file_is_on_the_machine_and_nothing_else(outside: Outside) -> None:
    running(outside)
    assert on_machine(outside) == {
        "conf/site.conf": b"workers 1\n",
        "out/app/main.bin": b"compiled source 1\n",
        "static/index.html": b"<h1>one</h1>\n",
        "static/style/site.css": b"h1 {}\n",
    }
    assert on_machine(outside, "broker") == {}


def test_secrets_lie_apart_with_the_mode_that_was_asked_for(outside: Outside) -> None:
    running(outside)
    disk = outside.machines["web"].disk
    file = disk.files[secret_path(outside.lab, "password")]
    assert file.content.decode() == (outside.state.secrets / "password").read_text()
    assert file.mode == 0o400
    assert secret_path(outside.lab, "password") not in outside.machines["broker"].disk.files


def test_a_second_upload_is_skipped(outside: Outside) -> None:
    running(outside)
    row = do_upload(outside)
    assert (row.status, row.detail) == ("skipped", "5 files unchanged")
    assert outside.faults.changes() == []


def test_an_edited_file_alone_travels_and_its_bytes_are_counted(outside: Outside) -> None:
    running(outside)
    write_files(outside.lab.folder, {"static/index.html": "<h1>edited</h1>"})
    row = do_upload(outside)
    assert (row.status, row.detail) == ("ok", "1 sent")
    archive = outside.machines["web"].archives[-1]
    assert travelled(archive) == {"files/static/index.html": b"<h1>edited</h1>"}
    assert row.bytes_sent == len(archive) < 5000


def test_a_file_spoilt_on_the_machine_is_sent_again(outside: Outside) -> None:
    running(outside)
    outside.machines["web"].disk.files[f"{FILES}/static/index.html"].content = b"spoilt"
    assert do_upload(outside).detail == "1 sent"
    assert on_machine(outside)["static/index.html"] == b"<h1>one</h1>\n"


def test_a_deleted_file_leaves_the_machine_and_foreign_files_stay(outside: Outside) -> None:
    running(outside)
    outside.machines["web"].disk.put(f"{FILES}/static/by-hand.txt", b"mine")
    (outside.lab.folder / "static/style/site.css").unlink()
    assert do_upload(outside).detail == "1 deleted"
    assert "static/style/site.css" not in on_machine(outside)
    assert on_machine(outside)["static/by-hand.txt"] == b"mine"


def test_a_foreign_file_stays_through_any_number_of_uploads(outside: Outside) -> None:
    running(outside)
    outside.machines["web"].disk.put(f"{FILES}/static/by-hand.txt", b"mine")
    for text in ("2", "3"):
        write_files(outside.lab.folder, {"static/index.html": text})
        do_upload(outside)
    assert on_machine(outside)["static/by-hand.txt"] == b"mine"


def test_a_mount_that_was_taken_away_leaves_the_machine(outside: Outside) -> None:
    running(outside)
    site = next(service for service in outside.lab.services if service.name == "site")
    outside.lab = change_service(outside.lab, "site", binds=site.binds[:1])
    do_upload(outside)
    assert set(on_machine(outside)) == {"out/app/main.bin"}


def test_a_secret_changed_on_the_machine_is_sent_again(outside: Outside) -> None:
    running(outside)
    path = secret_path(outside.lab, "password")
    outside.machines["web"].disk.files[path].content = b"spoilt"
    assert do_upload(outside).detail == "1 sent"
    assert outside.machines["web"].disk.files[path].content != b"spoilt"


@pytest.mark.parametrize("name", NAMES)
def test_files_with_unusual_names_travel_and_leave(outside: Outside, name: str) -> None:
    running(outside)
    write_files(outside.lab.folder, {f"static/{name}": "x"})
    assert do_upload(outside).detail == "1 sent"
    assert on_machine(outside)[f"static/{name}"] == b"x"
    assert do_upload(outside).status == "skipped"
    (outside.lab.folder / "static" / name).unlink()
    assert do_upload(outside).detail == "1 deleted"
    assert f"static/{name}" not in on_machine(outside)


def test_a_name_that_is_no_text_is_refused_by_name(outside: Outside) -> None:
    running(outside)
    (outside.lab.folder / "static" / "caf\udce9").write_text("x")
    with pytest.raises(LabError, match=r"no UTF-8: 'static/caf\\udce9'") as failure:
        do_upload(outside)
    assert failure.value.next_step == "rename it"
    assert outside.faults.changes() == []


def test_a_folder_in_the_place_of_a_file_travels(outside: Outside) -> None:
    running(outside)
    (outside.lab.folder / "static/index.html").unlink()
    write_files(outside.lab.folder, {"static/index.html/page.html": "x"})
    do_upload(outside)
    assert on_machine(outside)["static/index.html/page.html"] == b"x"


def test_a_file_in_the_place_of_a_folder_travels(outside: Outside) -> None:
    running(outside)
    (outside.lab.folder / "static/style/site.css").unlink()
    (outside.lab.folder / "static/style").rmdir()
    write_files(outside.lab.folder, {"static/style": "x"})
    do_upload(outside)
    assert on_machine(outside)["static/style"] == b"x"
    assert do_upload(outside).status == "skipped"


def test_an_empty_mounted_folder_is_made_on_the_machine(outside: Outside) -> None:
    (outside.lab.folder / "empty").mkdir()
    outside.lab = with_bind(outside.lab, outside.lab.folder / "empty")
    running(outside)
    assert f"{FILES}/empty" in outside.machines["web"].disk.folders


def test_an_empty_folder_that_is_mounted_later_is_made_on_the_machine(outside: Outside) -> None:
    running(outside)
    (outside.lab.folder / "empty").mkdir()
    outside.lab = with_bind(outside.lab, outside.lab.folder / "empty")
    go(outside, workflows.REFRESH, workflows.REFRESH)
    assert f"{FILES}/empty" in outside.machines["web"].disk.folders
    assert outside.faults.changes() == []


def test_an_empty_folder_can_be_all_that_a_machine_mounts(outside: Outside) -> None:
    (outside.lab.folder / "empty").mkdir()
    bind = BindMount(outside.lab.folder / "empty", "/empty")
    writer = Service("writer", "spare", "small/queue", binds=(bind,), restart="always")
    outside.lab = replace(outside.lab, services=(*outside.lab.services, writer))
    running(outside)
    assert f"{FILES}/empty" in outside.machines["spare"].disk.folders
    assert do_upload(outside, "spare").status == "skipped"


def test_a_single_file_can_be_mounted(outside: Outside) -> None:
    running(outside)
    mounts = outside.machines["web"].engine.by_name("small-site-1").body["HostConfig"]["Mounts"]
    sources = {mount["Target"]: mount.get("Source") for mount in mounts}
    assert sources["/etc/site.conf"] == f"{FILES}/conf/site.conf"


def test_folders_outside_of_the_lab_are_laid_out_below_the_common_parent(
    outside: Outside, tmp_path: Path
) -> None:
    write_files(tmp_path, {"shared/lib.txt": "lib"})
    outside.lab = with_bind(outside.lab, tmp_path / "shared")
    assert upload_root(outside.lab) == tmp_path
    running(outside)
    found = on_machine(outside)
    assert found["shared/lib.txt"] == b"lib"
    assert found["lab/static/index.html"] == b"<h1>one</h1>\n"
    assert do_upload(outside).status == "skipped"


def test_without_binds_the_upload_root_is_the_lab_itself(outside: Outside) -> None:
    lab = replace(outside.lab, services=())
    assert upload_root(lab) == lab.folder
    assert remote_path(lab, lab.folder) == FILES


@pytest.mark.parametrize("private", [".hashlab", ".git", "static/.git", "deep/er/.hashlab"])
def test_private_folders_never_travel_even_when_the_whole_lab_is_mounted(
    outside: Outside, private: str
) -> None:
    folder = outside.lab.folder
    write_files(folder, {f"{private}/secret.txt": "private", f"{private}/deep/x": "private"})
    outside.lab = with_bind(outside.lab, folder)
    running(outside)
    found = on_machine(outside)
    assert "src/main.txt" in found
    assert [name for name in found if private in name] == []


def test_a_file_that_is_only_called_like_a_private_folder_travels(outside: Outside) -> None:
    write_files(outside.lab.folder, {"static/.git": "gitdir: elsewhere"})
    running(outside)
    assert "static/.git" in on_machine(outside)


def test_a_link_to_a_file_travels_as_the_file(outside: Outside) -> None:
    (outside.lab.folder / "static/link.html").symlink_to("index.html")
    running(outside)
    assert on_machine(outside)["static/link.html"] == b"<h1>one</h1>\n"


def test_a_broken_link_is_left_out(outside: Outside) -> None:
    (outside.lab.folder / "static/broken").symlink_to("nowhere")
    running(outside)
    assert "static/broken" not in on_machine(outside)


def test_the_laptops_files_are_each_binds_files_and_each_secrets_hash(outside: Outside) -> None:
    laptop = LaptopFiles(outside.lab, Digests())
    site = next(service for service in outside.lab.services if service.name == "site")
    app, static, conf = (set(laptop.bind(bind)) for bind in site.binds)
    assert app == set()
    assert static == {"static/index.html", "static/style/site.css"}
    assert conf == {"conf/site.conf"}
    assert [laptop.file(mount) for mount in site.files] == [""]


def test_a_file_saved_in_the_middle_of_a_run_does_not_make_its_phases_disagree(
    outside: Outside,
) -> None:
    world = connected(running(outside))
    before = world.laptop_files()
    before.of(world.services_on("web"))
    write_files(outside.lab.folder, {"static/index.html": "saved meanwhile"})
    assert world.laptop_files() is before
    with track_of() as track:
        upload(world, track, "web")
    assert on_machine(outside)["static/index.html"] == b"<h1>one</h1>\n"


def test_a_machine_that_cannot_be_listed_is_named(outside: Outside) -> None:
    world = connected(running(outside))
    with pytest.raises(LabError, match="cannot list the files of the machine") as failure:
        observe_files(_Failing(), world.lab, "web", wanted=())
    assert (failure.value.where, failure.value.output) == ("web", "disk on fire")


class _Failing:
    """A shell whose every command fails."""

    def run(self, *_: object, **__: object) -> Completed:
        return Completed(1, "", "disk on fire")

    def close(self) -> None:
        return None


def test_a_lab_of_another_name_lies_in_another_folder(outside: Outside) -> None:
    assert home(outside.lab) != home(replace(outside.lab, name="other"))


def test_a_file_made_executable_is_sent_again(outside: Outside) -> None:
    running(outside)
    (outside.lab.folder / "static/index.html").chmod(0o755)
    assert do_upload(outside).detail == "1 sent"


def test_a_secret_with_another_mode_is_sent_again(outside: Outside) -> None:
    running(outside)
    site = next(service for service in outside.lab.services if service.name == "site")
    files = tuple(replace(file, mode=0o444) for file in site.files)
    outside.lab = change_service(outside.lab, "site", files=files)
    assert do_upload(outside).detail == "1 sent"


def mode_of(outside: Outside, name: str) -> int:
    return outside.machines["web"].disk.files[f"{FILES}/{name}"].mode


def test_a_mode_travels_and_then_there_is_nothing_left_to_do(outside: Outside) -> None:
    running(outside)
    for mode in (0o755, 0o644):
        (outside.lab.folder / "static/index.html").chmod(mode)
        assert do_upload(outside).detail == "1 sent"
        assert mode_of(outside, "static/index.html") == mode
        assert do_upload(outside).status == "skipped"


def test_a_mode_changed_on_the_machine_is_set_right(outside: Outside) -> None:
    running(outside)
    disk = outside.machines["web"].disk
    disk.files[f"{FILES}/static/index.html"].mode = 0o755
    disk.files[secret_path(outside.lab, "password")].mode = 0o444
    assert do_upload(outside).detail == "2 sent"
    assert mode_of(outside, "static/index.html") == 0o644
    assert disk.files[secret_path(outside.lab, "password")].mode == 0o400


def test_a_change_of_the_same_size_on_the_machine_is_seen(outside: Outside) -> None:
    running(outside)
    file = outside.machines["web"].disk.files[f"{FILES}/static/index.html"]
    file.content = file.content.replace(b"one", b"eno")
    assert do_upload(outside).detail == "1 sent"
    assert on_machine(outside)["static/index.html"] == b"<h1>one</h1>\n"


def test_the_times_of_files_travel(outside: Outside) -> None:
    """Some programs compare the time of a file with the one they remember (the JVM does)."""
    running(outside)
    path = outside.lab.folder / "static/index.html"
    path.write_text("other")
    os.utime(path, (1_600_000_000.7, 1_600_000_000.7))
    do_upload(outside)
    with tarfile.open(fileobj=io.BytesIO(outside.machines["web"].archives[-1])) as archive:
        assert archive.getmember("new/files/static/index.html").mtime == 1_600_000_000


def test_many_files_travel_by_rsync_and_secrets_by_the_open_connection(outside: Outside) -> None:
    running(outside)
    write_files(outside.lab.folder, {f"static/{number}": str(number) for number in range(3)})
    outside.machines["web"].disk.files[secret_path(outside.lab, "password")].content = b"spoilt"
    assert do_upload(outside).detail == "4 sent"
    copied = [call.words for call in outside.faults.calls if call.name == "connector.copy"]
    assert copied == [("web", ("static/0", "static/1", "static/2"))]
    assert set(travelled(outside.machines["web"].archives[-1])) == {"secrets/password"}


def test_a_big_file_travels_by_rsync(outside: Outside, monkeypatch: pytest.MonkeyPatch) -> None:
    running(outside)
    monkeypatch.setattr(files, "SMALL", 100)
    write_files(outside.lab.folder, {"static/big": "x" * 101})
    assert do_upload(outside).bytes_sent > 101
    assert "connector.copy" in outside.faults.names()
    write_files(outside.lab.folder, {"static/big": "y" * 100})
    outside.faults.calls.clear()
    do_upload(outside)
    assert "connector.copy" not in outside.faults.names()
    assert on_machine(outside)["static/big"] == b"y" * 100


def test_a_large_file_that_is_there_twice_travels_once(
    outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    running(outside)
    monkeypatch.setattr(files, "SMALL", 100)
    monkeypatch.setattr(files, "LARGE", 101)
    same, other = "x" * 101, "y" * 101
    big = {"static/a.jar": same, "static/b.jar": same, "static/c.jar": other, "static/d.jar": same}
    write_files(outside.lab.folder, {**big, "static/small": "x", "static/small2": "x"})
    for name in big:
        os.utime(outside.lab.folder / name, (1, 1))
    os.utime(outside.lab.folder / "static/d.jar", (2, 2))  # a JVM compares times
    assert do_upload(outside).detail == "6 sent"
    [copied] = [call.words for call in outside.faults.calls if call.name == "connector.copy"]
    names = ("a.jar", "c.jar", "d.jar", "small", "small2")
    assert copied == ("web", tuple(f"static/{name}" for name in names))
    assert on_machine(outside)["static/b.jar"] == same.encode()


def test_files_that_somebody_changes_while_they_arrive_are_named(
    outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    running(outside)
    write_files(outside.lab.folder, {"static/index.html": "edited"})
    place = FakeShell._place

    def spoil(shell: FakeShell, path: str, content: bytes, mode: int) -> None:
        place(shell, path, content + b" spoilt", mode)

    monkeypatch.setattr(FakeShell, "_place", spoil)
    with pytest.raises(
        LabError, match=r"files are not what was sent: static/index\.html"
    ) as failure:
        do_upload(outside)
    assert failure.value.where == "web"
    monkeypatch.undo()
    assert do_upload(outside).detail == "1 sent"


def test_a_lost_manifest_is_written_again_and_nothing_is_sent(outside: Outside) -> None:
    running(outside)
    outside.machines["web"].disk.delete("/var/lib/hashlab/small/manifest")
    row = do_upload(outside)
    assert (row.status, row.detail) == ("ok", "recorded")
    assert travelled(outside.machines["web"].archives[-1]) == {}
    assert do_upload(outside).status == "skipped"


def causes_of(outside: Outside, machine: str = "web") -> list[Cause]:
    """Why the upload had something to do."""
    world = connected(outside)
    with track_of() as track:
        upload(world, track, machine)
    return world.facts.causes


def test_files_that_somebody_edited_are_told_as_the_cause(outside: Outside) -> None:
    running(outside)
    write_files(outside.lab.folder, {"static/index.html": "edited"})
    (outside.lab.folder / "static/style/site.css").unlink()
    assert causes_of(outside) == [
        Cause("files of web", ("static/index.html", "static/style/site.css"))
    ]
    assert causes_of(outside) == []


def test_what_an_artifact_made_is_no_cause_by_itself(outside: Outside) -> None:
    running(outside)
    write_files(outside.lab.folder, {"out/app/main.bin": "built", "out/app/new.bin": "built"})
    assert causes_of(outside) == []
    assert on_machine(outside)["out/app/new.bin"] == b"built"


def test_files_outside_of_the_lab_are_no_cause_for_they_have_no_name_in_it(
    outside: Outside, tmp_path: Path
) -> None:
    write_files(tmp_path, {"shared/lib.txt": "lib"})
    outside.lab = with_bind(outside.lab, tmp_path / "shared")
    running(outside)
    write_files(tmp_path, {"shared/lib.txt": "other", "lab/static/index.html": "edited"})
    assert causes_of(outside) == [Cause("files of web", ("static/index.html",))]
