"""State files are written whole or not at all, have their mode from the first byte, and are never
trusted.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from hashlab.errors import LaptopError
from hashlab.state import files as statefiles
from hashlab.state import private
from hashlab.state.files import (
    StateFolder,
    make_lasting,
    make_tool_folder,
    names,
    open_binary,
    read_json,
    read_text,
    remove,
    remove_tree,
    write_json,
    write_text,
)


def test_a_written_value_is_read_back(tmp_path: Path) -> None:
    write_json(tmp_path / "deep/er/one.json", {"ü": [1, None]})
    assert read_json(tmp_path / "deep/er/one.json") == {"ü": [1, None]}


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[1,", b"nul", b"[" * 100_000])
def test_a_damaged_file_reads_as_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "one.json").write_bytes(content)
    assert read_json(tmp_path / "one.json") is None


def test_a_missing_file_reads_as_none(tmp_path: Path) -> None:
    assert read_json(tmp_path / "none.json") is None
    (tmp_path / "file").write_text("")
    assert read_json(tmp_path / "file/none.json") is None


def test_nothing_is_left_but_the_file(tmp_path: Path) -> None:
    write_text(tmp_path / "one", "1")
    write_text(tmp_path / "one", "2")
    assert [path.name for path in tmp_path.iterdir()] == ["one"]
    assert (tmp_path / "one").read_text() == "2"


@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_a_file_has_its_mode(tmp_path: Path, mode: int) -> None:
    write_text(tmp_path / "one", "x", mode=mode)
    assert stat.S_IMODE((tmp_path / "one").stat().st_mode) == mode


def test_a_private_file_is_private_from_its_first_byte_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    real = os.open

    def spy(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if flags & os.O_CREAT:
            asked.append(mode)
        return real(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr("hashlab.state.files.os.open", spy)
    write_text(tmp_path / "one", "secret", mode=0o600)
    assert asked == [0o600]


def test_a_reader_sees_the_old_file_until_the_new_one_is_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "one"
    write_text(path, "old")
    seen: list[str] = []
    real = os.replace

    def look_first(half: str, name: str, **folders: int) -> None:
        seen.append(path.read_text())
        assert (tmp_path / half).read_text() == "new"
        real(half, name, **folders)

    monkeypatch.setattr("hashlab.state.files.os.replace", look_first)
    write_text(path, "new")
    assert seen == ["old"]


def test_a_value_that_is_not_json_leaves_the_old_file(tmp_path: Path) -> None:
    write_json(tmp_path / "one", 1)
    with pytest.raises(TypeError):
        write_json(tmp_path / "one", {1, 2})
    assert read_json(tmp_path / "one") == 1


def test_all_paths_are_below_the_one_folder(tmp_path: Path) -> None:
    state = StateFolder(tmp_path, "docker")
    properties = [name for name, value in vars(StateFolder).items() if isinstance(value, property)]
    paths = [getattr(state, name) for name in properties] + [state.artifact("app")]
    assert all(path.is_relative_to(tmp_path) and path != tmp_path for path in paths)
    assert len(set(paths)) == len(paths)


def test_files_about_machines_are_in_a_folder_of_their_provider(tmp_path: Path) -> None:
    docker, libvirt = (StateFolder(tmp_path, name) for name in ("docker", "libvirt"))
    apart = ("vagrantfile", "vagrant", "key", "ssh_config", "machines", "unverified", "disks_ready")
    for name in apart:
        assert getattr(docker, name).is_relative_to(tmp_path / "docker")
        assert getattr(libvirt, name).is_relative_to(tmp_path / "libvirt")
    for name in ("secrets", "runs", "lock", "children", "engine"):
        assert getattr(docker, name) == getattr(libvirt, name)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """The ``.hashlab`` of a lab, next to a folder of unrelated files."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own/precious").write_text("precious")
    (tmp_path / "lab").mkdir()
    private.make_state(str(tmp_path / "lab"))
    return tmp_path / "lab/.hashlab"


def test_the_state_folder_is_private_and_ignored_by_git(state: Path) -> None:
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    assert (state / ".gitignore").read_text() == "*\n"
    write_text(state / "runs/one.json", "{}")
    assert stat.S_IMODE((state / "runs/one.json").stat().st_mode) == 0o600
    assert stat.S_IMODE((state / "runs").stat().st_mode) == 0o700


def test_a_state_folder_of_an_earlier_version_becomes_private(tmp_path: Path) -> None:
    (tmp_path / ".hashlab").mkdir(mode=0o755)
    write_text(tmp_path / ".hashlab/docker/one", "1")
    assert stat.S_IMODE((tmp_path / ".hashlab").stat().st_mode) == 0o700
    assert (tmp_path / ".hashlab/.gitignore").exists()


USES = {
    "write_text": lambda path: write_text(path, "new"),
    "append": lambda path: statefiles.append(path, "more"),
    "open_binary": lambda path: open_binary(path, write=True).close(),
    "remove": remove,
    "remove_tree": remove_tree,
    "make_lasting": make_lasting,
    "make_tool_folder": make_tool_folder,
    "read_text": read_text,
    "read_json": read_json,
    "names": names,
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
@pytest.mark.parametrize("place", ["file", "folder", "folder/precious", "folder/new"])
def test_no_use_of_a_state_file_goes_through_a_link(state: Path, use: Any, place: str) -> None:
    own = state.parents[1] / "own"
    (state / "file").symlink_to(own / "precious")
    (state / "folder").symlink_to(own)
    try:
        found = use(state / place)
    except (OSError, LaptopError):
        found = None
    assert not found  # nothing is read through the link either
    assert {path.name: path.read_text() for path in own.iterdir()} == {"precious": "precious"}


def test_nothing_is_done_if_the_state_folder_itself_is_a_link(tmp_path: Path) -> None:
    (tmp_path / "own/docker/kept").mkdir(parents=True)
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab/.hashlab").symlink_to(tmp_path / "own")
    with pytest.raises(LaptopError, match="it is a link"):
        remove_tree_of_link(tmp_path / "lab/.hashlab/docker/kept")
    with pytest.raises(LaptopError, match="it is a link"):
        write_text(tmp_path / "lab/.hashlab/new", "x")
    assert (tmp_path / "own/docker/kept").is_dir()
    assert [path.name for path in (tmp_path / "own").iterdir()] == ["docker"]


def remove_tree_of_link(path: Path) -> None:
    with statefiles.explained(path), private.parent(str(path)) as (folder, name):
        os.rmdir(name, dir_fd=folder)


def test_a_link_in_a_folder_of_another_program_is_refused(state: Path) -> None:
    (state / "docker/vagrant/machines/web").mkdir(parents=True)
    make_tool_folder(state / "docker/vagrant")
    (state / "docker/vagrant/machines/web/id").symlink_to(state.parents[1] / "own/precious")
    with pytest.raises(LaptopError, match=r"machines/web/id: it is a link"):
        make_tool_folder(state / "docker/vagrant")


def test_a_pipe_in_place_of_a_file_does_not_block(state: Path) -> None:
    os.mkfifo(state / "lock")
    assert read_json(state / "lock") is None
    with pytest.raises(LaptopError, match="not a regular file"):
        read_text(state / "lock")


def test_removing_a_tree_keeps_the_targets_of_its_links(state: Path) -> None:
    (state / "ssh").mkdir()
    (state / "ssh/link").symlink_to(state.parents[1] / "own")
    remove_tree(state / "ssh")
    assert not (state / "ssh").exists()
    assert (state.parents[1] / "own/precious").read_text() == "precious"


def test_a_write_that_fails_leaves_the_old_file_and_no_litter(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_text(state / "one", "old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("hashlab.state.files.os.fsync", full)
    with pytest.raises(LaptopError, match=r"one: .*No space left") as caught:
        write_text(state / "one", "new", lasting=True)
    assert "free space" in caught.value.next_step
    assert (state / "one").read_text() == "old"
    assert sorted(path.name for path in state.iterdir()) == [".gitignore", "one"]


def test_a_lasting_file_is_synced_with_its_folder(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[bool] = []
    real = os.fsync

    def spy(descriptor: int) -> None:
        synced.append(stat.S_ISDIR(os.fstat(descriptor).st_mode))
        real(descriptor)

    monkeypatch.setattr("hashlab.state.files.os.fsync", spy)
    write_text(state / "cache", "x")
    assert synced == []
    write_text(state / "secrets/password", "x", lasting=True)
    # the file is synced before its rename, and the folder before the call returns
    assert synced == [False, True]
