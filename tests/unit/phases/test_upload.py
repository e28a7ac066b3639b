"""Upload: what machines have, what must travel, and that only hashlab's own files are deleted."""

from __future__ import annotations

import io
import json
import os
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fakes import (
    ODD_NAMES,
    Outside,
    change_service,
    connected,
    go,
    run,
    running,
    track_of,
    write_files,
)
from fakes.machine import Disk
from fakes.outside import Silent

from hashlab.config.model import BindMount, Content, FileMount, Lab, Service
from hashlab.documents.run import Cause
from hashlab.errors import LabError
from hashlab.hashing import Digests
from hashlab.phases.upload import transfer
from hashlab.phases.upload.laptop import LaptopFiles, home, remote_path, secret_path, upload_root
from hashlab.phases.upload.machine import MachineFiles, Placed, observe_files
from hashlab.phases.upload.transfer import Difference, difference, upload
from hashlab.pipeline import CancelToken, Recorder, Row
from hashlab.protocols import Completed
from hashlab.run import workflows

FILES = "/var/lib/hashlab/small/files"
SECRET = FileMount("password", Path("/lab/password"), "/run/secrets/password", 0o400, secret=True)


A, B, C = ("a" * 64, "b" * 64, "c" * 64)
FILE, FOLDER = f"{A}:644", "folder:755"


def placed(content: str) -> Placed:
    """An entry of this content, as a machine has it."""
    kind = {"folder": "d", "link": "l"}.get(content.partition(":")[0], "f")
    mode = content.rpartition(":")[2] if kind != "l" else "777"
    return Placed(f"{kind}:1:2:3:4.0:5.0:{mode or 644}", content)


def have(files: dict[str, str] | None = None, own: dict[str, str] | None = None) -> MachineFiles:
    """What lies on a machine, by content; ``own`` is what hashlab put there."""
    return MachineFiles(
        {name: placed(content) for name, content in (files or {}).items()},
        {name: placed(content) for name, content in (own or {}).items()},
    )


SECRET_NAME = "secrets/secret/password/400"


@pytest.mark.parametrize(
    ("wanted", "there", "expected"),
    [
        ({}, have(), Difference()),
        ({"files/a": FILE}, have(), Difference(send=("files/a",))),
        ({"files/a": FILE}, have({"files/a": FILE}), Difference()),
        ({"files/a": FILE}, have({"files/a": f"{B}:644"}), Difference(send=("files/a",))),
        # Executable here and not there, and the reverse.
        ({"files/a": f"{A}:755"}, have({"files/a": FILE}), Difference(send=("files/a",))),
        ({"files/a": FILE}, have({"files/a": f"{A}:755"}), Difference(send=("files/a",))),
        # Another mode, which somebody chose on the laptop, or a container on the machine.
        (
            {"files/a": f"{A}:600"},
            have({"files/a": FILE}, own={"files/a": FILE}),
            Difference(send=("files/a",)),
        ),
        ({"files/a": FILE}, have({"files/a": f"{A}:600"}, own={"files/a": FILE}), Difference()),
        # A file whose content nobody could read is not what is wanted.
        ({"files/a": FILE}, have({"files/a": ""}), Difference(send=("files/a",))),
        # What hashlab put there and nobody wants any more is deleted.
        ({}, have({"files/a": FILE}, own={"files/a": FILE}), Difference(delete=("files/a",))),
        # What somebody else put there stays.
        ({}, have({"files/log": FILE}), Difference()),
        # What is named in the manifest, but gone already, needs no deleting.
        ({}, have(own={"files/a": FILE}), Difference()),
        # Links are what they lead to.
        ({"files/a": "link:b"}, have({"files/a": "link:b"}), Difference()),
        ({"files/a": "link:b"}, have({"files/a": "link:c"}), Difference(send=("files/a",))),
        ({"files/a": "link:b"}, have({"files/a": FILE}), Difference(send=("files/a",))),
        ({"files/a": FILE}, have({"files/a": f"link:{A}:644"}), Difference(send=("files/a",))),
        # Folders are made, get another mode, take the place of something else, and go.
        ({"files/a": FOLDER}, have(), Difference(send=("files/a",))),
        ({"files/a": FOLDER}, have({"files/a": FOLDER}), Difference()),
        ({"files/a": FOLDER}, have({"files/a": "folder:700"}), Difference()),
        (
            {"files/a": "folder:700"},
            have({"files/a": FOLDER}, own={"files/a": FOLDER}),
            Difference(modes=("files/a",)),
        ),
        (
            {"files/a": FOLDER},
            have({"files/a": "link:/etc"}),
            Difference(send=("files/a",), clear=("files/a",)),
        ),
        (
            {},
            have({"files/a": FOLDER, "files/a/b": FOLDER}, own={"files/a": "", "files/a/b": ""}),
            Difference(empty=("files/a/b", "files/a")),
        ),
        ({SECRET_NAME: f"{A}:400"}, have(), Difference(send=(SECRET_NAME,))),
        ({SECRET_NAME: f"{A}:400"}, have({SECRET_NAME: f"{A}:400"}), Difference()),
        # Nobody but hashlab may change a secret's mode.
        (
            {SECRET_NAME: f"{A}:400"},
            have({SECRET_NAME: f"{A}:444"}, own={SECRET_NAME: f"{A}:400"}),
            Difference(send=(SECRET_NAME,)),
        ),
        # A secret as an earlier hashlab placed it makes way.
        (
            {SECRET_NAME: f"{A}:400"},
            have({"secrets/password": f"{A}:400"}, own={"secrets/password": A}),
            Difference(send=(SECRET_NAME,), delete=("secrets/password",)),
        ),
        (
            {"files/a": FILE, "files/b": f"{B}:644", "files/c": f"{C}:644"},
            have(
                {"files/a": FILE, "files/b": f"{C}:644", "files/z": FILE},
                own={"files/a": FILE, "files/b": FILE, "files/z": FILE},
            ),
            Difference(send=("files/b", "files/c"), delete=("files/z",)),
        ),
    ],
)
def test_the_difference_is_what_must_travel_or_leave(
    wanted: dict[str, str], there: MachineFiles, expected: Difference
) -> None:
    assert difference(wanted, there) == expected
    assert expected.nothing == (expected == Difference())


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
    file = disk.files[secret_path(outside.lab, SECRET)]
    assert file.content.decode() == (outside.state.secrets / "password").read_text()
    assert file.mode == 0o400
    assert secret_path(outside.lab, SECRET) not in outside.machines["broker"].disk.files


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
    path = secret_path(outside.lab, SECRET)
    outside.machines["web"].disk.files[path].content = b"spoilt"
    assert do_upload(outside).detail == "1 sent"
    assert outside.machines["web"].disk.files[path].content != b"spoilt"


@pytest.mark.parametrize("name", ODD_NAMES)
def test_files_with_unusual_names_travel_and_leave(outside: Outside, name: str) -> None:
    running(outside)
    write_files(outside.lab.folder, {f"static/{name}": "x"})
    assert do_upload(outside).detail == "1 sent"
    assert on_machine(outside)[f"static/{name}"] == b"x"
    assert do_upload(outside).status == "skipped"
    (outside.lab.folder / "static" / name).unlink()
    assert do_upload(outside).detail == "1 deleted"
    assert f"static/{name}" not in on_machine(outside)


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


def links_on_machine(outside: Outside) -> dict[str, str]:
    links = outside.machines["web"].disk.links
    return {path.removeprefix(f"{FILES}/"): link.target for path, link in links.items()}


@pytest.mark.parametrize(
    "target",
    ["index.html", "style", "./style/", "nowhere", "loop", "/etc/hostname", "../../out", "a\nb"],
)
def test_a_link_travels_as_a_link_whatever_it_leads_to(outside: Outside, target: str) -> None:
    running(outside)
    link = outside.lab.folder / "static/loop"
    link.symlink_to(target)
    assert do_upload(outside).detail == "1 sent"
    assert links_on_machine(outside) == {"static/loop": target}
    assert do_upload(outside).status == "skipped"
    link.unlink()
    assert do_upload(outside).detail == "1 deleted"
    assert links_on_machine(outside) == {}


def test_a_link_to_a_device_or_to_a_pipe_is_not_read(outside: Outside) -> None:
    folder = outside.lab.folder / "static"
    (folder / "device").symlink_to("/dev/zero")
    os.mkfifo(folder / "pipe")
    (folder / "link").symlink_to("pipe")
    running(outside)
    assert set(links_on_machine(outside)) == {"static/device", "static/link"}
    assert "static/pipe" not in outside.machines["web"].disk.entries(FILES)


def test_a_folder_becomes_a_link_and_a_folder_again(outside: Outside) -> None:
    running(outside)
    style = outside.lab.folder / "static/style"
    style.rename(outside.lab.folder / "static/other")
    style.symlink_to("other")
    go(outside, workflows.REFRESH)
    assert links_on_machine(outside) == {"static/style": "other"}
    assert on_machine(outside)["static/other/site.css"] == b"h1 {}\n"
    assert "static/style/site.css" not in on_machine(outside)
    style.unlink()
    (outside.lab.folder / "static/other").rename(style)
    go(outside, workflows.REFRESH)
    assert links_on_machine(outside) == {}
    assert on_machine(outside)["static/style/site.css"] == b"h1 {}\n"
    assert f"{FILES}/static/other" not in outside.machines["web"].disk.folders
    assert do_upload(outside).status == "skipped"


def notes_of_upload(outside: Outside) -> list[str]:
    world = connected(outside)
    with track_of() as track:
        upload(world, track, "web")
    return world.facts.notes


def test_links_that_lead_out_of_their_mount_are_named(outside: Outside) -> None:
    running(outside)
    static = outside.lab.folder / "static"
    (static / "inside").symlink_to("style/site.css")
    assert notes_of_upload(outside) == []
    (static / "absolute").symlink_to("/etc/hostname")
    (static / "style/up").symlink_to("../../conf")
    (note,) = notes_of_upload(outside)
    assert note.endswith("as under Docker: static/absolute, static/style/up")
    assert notes_of_upload(outside) == []


def test_the_source_of_a_mount_may_be_a_link_to_a_folder(outside: Outside) -> None:
    """Docker follows it as well."""
    folder = outside.lab.folder
    write_files(folder, {"v1/page": "1", "v2/page": "2", "v2/more": "2"})
    (folder / "current").symlink_to("v1")
    outside.lab = with_bind(outside.lab, folder / "current")
    running(outside)
    assert on_machine(outside)["current/page"] == b"1"
    (folder / "current").unlink()
    (folder / "current").symlink_to("v2")
    go(outside, workflows.REFRESH)
    assert on_machine(outside)["current/page"] == b"2"
    assert on_machine(outside)["current/more"] == b"2"


def test_what_is_neither_a_file_nor_a_folder_is_not_mounted(outside: Outside) -> None:
    os.mkfifo(outside.lab.folder / "pipe")
    outside.lab = with_bind(outside.lab, outside.lab.folder / "pipe")
    with pytest.raises(LabError, match="neither a file nor a folder") as failure:
        LaptopFiles(outside.lab, Digests()).wanted(outside.lab.services)
    assert failure.value.where == str(outside.lab.folder / "pipe")


def test_folders_in_a_mount_are_made_with_their_modes_and_go_when_they_are_empty(
    outside: Outside,
) -> None:
    running(outside)
    disk, static = outside.machines["web"].disk, outside.lab.folder / "static"
    (static / "a/b").mkdir(parents=True)
    (static / "a/b").chmod(0o700)
    do_upload(outside)
    assert disk.folders[f"{FILES}/static/a/b"].mode == 0o700
    assert do_upload(outside).status == "skipped"
    (static / "a/b").chmod(0o750)
    do_upload(outside)
    assert disk.folders[f"{FILES}/static/a/b"].mode == 0o750
    assert do_upload(outside).status == "skipped"
    shutil.rmtree(static / "a")
    disk.put(f"{FILES}/static/a/by-hand.txt", b"mine")
    do_upload(outside)
    assert f"{FILES}/static/a/b" not in disk.folders
    assert on_machine(outside)["static/a/by-hand.txt"] == b"mine"


def test_a_mode_that_a_container_gives_what_it_mounts_stays(outside: Outside) -> None:
    """A data base makes its folder private; under Docker that stays, too."""
    running(outside)
    disk = outside.machines["web"].disk
    disk.folders[f"{FILES}/static"].mode = 0o700
    disk.files[f"{FILES}/static/index.html"].mode = 0o600
    assert do_upload(outside).detail == "recorded"
    assert do_upload(outside).status == "skipped"
    assert mode_of(outside, "static/index.html") == 0o600
    (outside.lab.folder / "static/index.html").chmod(0o640)
    assert do_upload(outside).detail == "1 sent"
    assert mode_of(outside, "static/index.html") == 0o640


def test_declared_secrets_and_configs_are_not_in_a_mount_of_their_folder(outside: Outside) -> None:
    folder = outside.lab.folder
    write_files(folder, {"static/token.txt": "secret"})
    outside.lab = replace(outside.lab, declared=(folder / "static/token.txt",))
    running(outside)
    assert "static/token.txt" not in on_machine(outside)


def test_a_secret_and_a_config_of_one_name_and_two_modes_of_a_secret_are_three_files(
    outside: Outside,
) -> None:
    folder = outside.lab.folder
    write_files(folder, {"motd": "config"})
    site = next(service for service in outside.lab.services if service.name == "site")
    (secret,) = site.files
    more = (
        replace(secret, target="/again", mode=0o444),
        FileMount(secret.name, folder / "motd", "/motd", 0o400),
    )
    outside.lab = change_service(outside.lab, "site", files=(secret, *more))
    running(outside)
    disk = outside.machines["web"].disk
    password = (outside.state.secrets / "password").read_bytes()
    found = {
        mount.target: (
            disk.files[secret_path(outside.lab, mount)].content,
            disk.files[secret_path(outside.lab, mount)].mode,
        )
        for mount in (secret, *more)
    }
    assert found == {
        secret.target: (password, 0o400),
        "/again": (password, 0o444),
        "/motd": (b"config", 0o400),
    }


def test_a_lab_that_an_earlier_hashlab_made_converges_and_keeps_its_secret(
    outside: Outside,
) -> None:
    running(outside)
    disk, home_ = outside.machines["web"].disk, home(outside.lab)
    password = (outside.state.secrets / "password").read_text()
    disk.delete_tree(f"{home_}/secrets/secret")
    disk.put(f"{home_}/secrets/password", password.encode(), 0o400)
    earlier = {f"files/{name}": ["1:2:3:4.0:5.0:644", "0" * 64] for name in on_machine(outside)}
    earlier |= {"secrets/password": ["1:2:3:4.0:5.0:400", ""], "folders/static": ["", ""]}
    disk.put(f"{home_}/manifest", json.dumps(earlier).encode(), 0o600)
    (outside.state.secrets / "password").unlink()
    go(outside, workflows.REFRESH)
    assert (outside.state.secrets / "password").read_text() == password
    assert f"{home_}/secrets/password" not in disk.files
    assert disk.files[secret_path(outside.lab, SECRET)].content.decode() == password
    assert do_upload(outside).status == "skipped"


def test_a_file_that_may_not_be_read_is_named(
    outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: object, path: Path) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Digests, "file", refuse)
    with pytest.raises(LabError, match=r"cannot read .*static/index.html: Permission denied"):
        LaptopFiles(outside.lab, Digests()).wanted(outside.lab.services)


def test_the_laptops_files_are_each_binds_files_and_each_secrets_hash(outside: Outside) -> None:
    laptop = LaptopFiles(outside.lab, Digests())
    site = next(service for service in outside.lab.services if service.name == "site")
    app, static, conf = (set(laptop.bind(bind)) for bind in site.binds)
    assert app == set()
    assert static == {
        "files/static",
        "files/static/index.html",
        "files/static/style",
        "files/static/style/site.css",
    }
    assert conf == {"files/conf/site.conf"}
    assert [laptop.file(mount) for mount in site.files] == [""]


def test_a_file_saved_in_the_middle_of_a_run_does_not_make_its_phases_disagree(
    outside: Outside,
) -> None:
    world = connected(running(outside))
    before = world.laptop_files()
    before.wanted(world.services_on("web"))
    write_files(outside.lab.folder, {"static/index.html": "saved meanwhile"})
    assert world.laptop_files() is before
    with track_of() as track:
        upload(world, track, "web")
    assert on_machine(outside)["static/index.html"] == b"<h1>one</h1>\n"


def test_a_machine_that_cannot_be_listed_is_named(outside: Outside) -> None:
    world = connected(running(outside))
    shell: Any = _Failing()
    with pytest.raises(LabError, match="cannot list the files of the machine") as failure:
        observe_files(shell, world.lab, "web", wanted=())
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
    assert do_upload(outside).detail == "1 sent, 1 deleted"


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
    disk.files[secret_path(outside.lab, SECRET)].mode = 0o444
    assert do_upload(outside).detail == "2 sent"
    assert mode_of(outside, "static/index.html") == 0o644
    assert disk.files[secret_path(outside.lab, SECRET)].mode == 0o400


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
    outside.machines["web"].disk.files[secret_path(outside.lab, SECRET)].content = b"spoilt"
    assert do_upload(outside).detail == "4 sent"
    copied = [call.words for call in outside.faults.calls if call.name == "connector.copy"]
    assert copied == [("web", ("static/0", "static/1", "static/2"))]
    assert set(travelled(outside.machines["web"].archives[-1])) == {SECRET_NAME}


def test_a_big_file_travels_by_rsync(outside: Outside, monkeypatch: pytest.MonkeyPatch) -> None:
    running(outside)
    monkeypatch.setattr(transfer, "SMALL", 100)
    write_files(outside.lab.folder, {"static/big": "x" * 101})
    assert do_upload(outside).bytes_sent > 101
    assert "connector.copy" in outside.faults.names()
    write_files(outside.lab.folder, {"static/big": "y" * 100})
    outside.faults.calls.clear()
    do_upload(outside)
    assert "connector.copy" not in outside.faults.names()
    assert on_machine(outside)["static/big"] == b"y" * 100


def test_files_that_somebody_changes_while_they_arrive_are_named(
    outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    running(outside)
    write_files(outside.lab.folder, {"static/index.html": "edited"})
    move = Disk.move

    def spoil(disk: Disk, source: str, target: str) -> None:
        disk.files[source].content += b" spoilt"
        move(disk, source, target)

    monkeypatch.setattr(Disk, "move", spoil)
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


def test_a_secret_of_a_variable_and_a_config_of_the_file_are_sent_without_a_file(
    outside: Outside,
) -> None:
    files = (
        FileMount("token", Content("t", environment="TOKEN"), "/token", 0o400, secret=True),
        FileMount("motd", Content("hello\n"), "/etc/motd", uid=1000, gid=50),
    )
    outside.lab = change_service(outside.lab, "site", files=files)
    running(outside)
    sent = travelled(outside.machines["web"].archives[-1])
    names = {"secrets/secret/token/400": b"t", "secrets/config/motd/444.1000.50": b"hello\n"}
    assert {name: sent[name] for name in names} == names
    assert run(outside, workflows.REFRESH).error is None
    changed = (replace(files[0], source=Content("u", environment="TOKEN")), files[1])
    outside.lab = change_service(outside.lab, "site", files=changed)
    assert run(outside, workflows.REFRESH).error is None
    assert travelled(outside.machines["web"].archives[-1]) == {"secrets/secret/token/400": b"u"}


def test_the_text_of_a_secret_is_not_in_its_representation() -> None:
    assert "s3cret" not in repr(FileMount("a", Content("s3cret"), "/a", secret=True))
