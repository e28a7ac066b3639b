"""Hashes are the same for equal content, and different for any other, in any order of reading."""

from __future__ import annotations

import hashlib
import os
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fakes import write_files

from hashlab import hashing
from hashlab.errors import FilesChanged, LabError
from hashlab.hashing import (
    Digests,
    Unsteady,
    digest,
    file_digest,
    files_below,
    settled,
    short,
)


def test_a_digest_is_64_hex_digits_and_its_short_form_12() -> None:
    assert len(digest({})) == 64
    assert short(digest({})) == digest({})[:12]


def test_the_order_of_a_mapping_does_not_matter_and_that_of_a_list_does() -> None:
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest([1, 2]) != digest([2, 1])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (["ab", "c"], ["a", "bc"]),
        ({"a": ""}, {"a": None}),
        (1, "1"),
        (["a"], "a"),
        ({"a": {"b": 1}}, {"a": {"b": 2}}),
        ("", []),
    ],
)
def test_different_values_have_different_digests(one: object, other: object) -> None:
    assert digest(one) != digest(other)


def test_a_value_that_is_not_plain_is_refused() -> None:
    with pytest.raises(TypeError):
        digest({"path": Path("/a")})


def test_the_digest_of_a_file_is_the_sha_256_of_its_content(tmp_path: Path) -> None:
    content = b"x" * (3 << 20)
    (tmp_path / "big").write_bytes(content)
    assert file_digest(tmp_path / "big") == hashlib.sha256(content).hexdigest()


def test_a_missing_file_has_no_digest(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        file_digest(tmp_path / "none")


def names(path: Path, root: Path) -> list[str]:
    return [found.relative_to(root).as_posix() for found in files_below(path)]


def test_every_file_below_a_folder_is_found_in_a_steady_order(tmp_path: Path) -> None:
    write_files(tmp_path, {"b": "", "a/z": "", "a/b/c": "", ".hidden": "", "c/.x/y": ""})
    assert names(tmp_path, tmp_path) == [".hidden", "b", "a/z", "a/b/c", "c/.x/y"]


def test_a_file_yields_itself_and_a_missing_path_nothing(tmp_path: Path) -> None:
    write_files(tmp_path, {"one": ""})
    assert names(tmp_path / "one", tmp_path) == ["one"]
    assert names(tmp_path / "none", tmp_path) == []


def test_links_to_files_are_files_and_broken_ones_are_not(tmp_path: Path) -> None:
    write_files(tmp_path, {"file": "1"})
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "broken").symlink_to("nowhere")
    assert names(tmp_path, tmp_path) == ["file", "link"]


def test_a_link_to_its_own_folder_is_not_followed_for_ever(tmp_path: Path) -> None:
    write_files(tmp_path, {"a/file": "1"})
    (tmp_path / "a/loop").symlink_to(tmp_path / "a")
    assert names(tmp_path, tmp_path) == ["a/file"]


class Reads:
    """Counts how often content is read. The clock has advanced since each change."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        monkeypatch.setattr(hashing, "file_digest", self._read)
        monkeypatch.setattr(hashing, "CLOCK_STEP_NANOSECONDS", -1)

    def _read(self, path: Path) -> str:
        self.count += 1
        return file_digest(path)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    return Reads(monkeypatch)


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_a_file_that_stays_the_same_is_read_once(tmp_path: Path, reads: Reads) -> None:
    digests = Digests()
    (tmp_path / "a").write_text("1")
    assert [digests.file(tmp_path / "a") for _ in range(3)] == [sha("1")] * 3
    assert reads.count == 1
    assert Digests().file(tmp_path / "a") == sha("1")
    assert reads.count == 2


def test_two_files_of_the_same_content_are_two_files(tmp_path: Path, reads: Reads) -> None:
    write_files(tmp_path, {"a": "1", "b": "1"})
    digests = Digests()
    assert digests.file(tmp_path / "a") == digests.file(tmp_path / "b")
    (tmp_path / "b").write_text("2")
    assert digests.file(tmp_path / "a") == sha("1")
    assert digests.file(tmp_path / "b") == sha("2")


def test_an_edit_is_noticed(tmp_path: Path, reads: Reads) -> None:
    digests = Digests()
    for text in ("1", "22", "333"):
        (tmp_path / "a").write_text(text)
        assert digests.file(tmp_path / "a") == sha(text)


def test_an_edit_of_the_same_size_within_one_step_of_the_clock_is_not_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two changes within one step leave the same times, so the first is not cached."""
    path = tmp_path / "a"
    digests = Digests()
    path.write_text("1")
    seen = path.stat()
    monkeypatch.setattr(hashing, "_identity", lambda _: (1, 1, 1, 1, seen.st_ctime_ns))
    monkeypatch.setattr(hashing.time, "time_ns", lambda: seen.st_ctime_ns + 1_000_000)
    assert digests.file(path) == sha("1")
    path.write_text("2")
    assert digests.file(path) == sha("2")
    # Long after it, the same times mean the same file.
    monkeypatch.setattr(hashing.time, "time_ns", lambda: seen.st_ctime_ns + 1_000_000_000)
    assert digests.file(path) == sha("2")
    path.write_text("3")
    assert digests.file(path) == sha("2")


def test_very_quick_edits_are_all_noticed(tmp_path: Path) -> None:
    digests = Digests()
    for number in range(10, 99):
        (tmp_path / "a").write_text(str(number))
        assert digests.file(tmp_path / "a") == sha(str(number))


def test_a_file_from_the_future_is_not_cached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The laptop's clock was set back, so its times are unreliable for a while."""
    reads = Reads(monkeypatch)
    monkeypatch.setattr(hashing, "CLOCK_STEP_NANOSECONDS", 100_000_000)
    (tmp_path / "a").write_text("1")
    monkeypatch.setattr(hashing.time, "time_ns", lambda: 0)
    digests = Digests()
    assert [digests.file(tmp_path / "a") for _ in range(2)] == [sha("1")] * 2
    assert reads.count == 2


def test_a_file_replaced_by_a_rename_is_noticed_with_any_times(
    tmp_path: Path, reads: Reads
) -> None:
    digests = Digests()
    path = tmp_path / "a"
    path.write_text("1")
    digests.file(path)
    stat = path.stat()
    (tmp_path / "other").write_text("2")
    os.utime(tmp_path / "other", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    (tmp_path / "other").replace(path)
    assert digests.file(path) == sha("2")


def test_an_edit_whose_time_was_set_back_is_noticed(tmp_path: Path, reads: Reads) -> None:
    digests = Digests()
    path = tmp_path / "a"
    path.write_text("1")
    os.utime(path, ns=(1, 1))
    digests.file(path)
    path.write_text("2")
    os.utime(path, ns=(1, 1))
    assert digests.file(path) == sha("2")


def test_a_touched_file_is_read_again_and_is_the_same(tmp_path: Path, reads: Reads) -> None:
    digests = Digests()
    (tmp_path / "a").write_text("1")
    before = digests.file(tmp_path / "a")
    os.utime(tmp_path / "a", ns=(1, 1))
    assert digests.file(tmp_path / "a") == before
    assert reads.count == 2


def test_a_file_saved_while_it_is_read_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    path.write_text("1")
    monkeypatch.setattr(hashing, "CLOCK_STEP_NANOSECONDS", -1)

    def read(path: Path) -> str:
        found = file_digest(path)
        monkeypatch.undo()
        path.write_text("22")
        return found

    digests = Digests()
    monkeypatch.setattr(hashing, "file_digest", read)
    assert settled(lambda: digests.file(path)) == sha("22")
    assert digests.file(path) == sha("22")


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashing, "PAUSE_SECONDS", 0)


@pytest.mark.usefixtures("no_pauses")
def test_a_file_that_vanishes_during_reading_is_read_again(tmp_path: Path) -> None:
    looks = iter(range(9))

    def read() -> str:
        if next(looks) == 2:
            (tmp_path / "a").write_text("1")
        return file_digest(tmp_path / "a")

    assert settled(read) == sha("1")
    assert next(looks) == 3


@pytest.mark.usefixtures("no_pauses")
def test_a_file_that_keeps_changing_is_named(tmp_path: Path) -> None:
    looks: list[int] = []

    def read() -> str:
        looks.append(1)
        raise Unsteady(tmp_path / "growing.log")

    with pytest.raises(FilesChanged, match=r"growing\.log: it changes while it is read"):
        settled(read)
    assert len(looks) == hashing.TRIES


def test_a_file_that_may_not_be_read_is_named_at_once(tmp_path: Path) -> None:
    looks: list[int] = []

    def read() -> str:
        looks.append(1)
        raise PermissionError(13, "Permission denied", str(tmp_path / "closed"))

    with pytest.raises(LabError, match=r"cannot read .*/closed: Permission denied"):
        settled(read)
    assert len(looks) == 1


def test_a_folder_that_may_not_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "closed").mkdir()

    def refuse(path: object) -> object:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("os.scandir", refuse)
    with pytest.raises(LabError, match=f"cannot read {tmp_path}: Permission denied"):
        settled(lambda: list(files_below(tmp_path)))


@pytest.mark.parametrize("kind", ["pipe", "socket", "device", "folder"])
def test_only_regular_files_are_read_and_nothing_blocks(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "special"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
    with pytest.raises(OSError, match="special"):
        file_digest(path)


def test_a_vanished_file_is_not_cached(tmp_path: Path, reads: Reads) -> None:
    digests = Digests()
    (tmp_path / "a").write_text("1")
    digests.file(tmp_path / "a")
    (tmp_path / "a").unlink()
    with pytest.raises(FileNotFoundError):
        digests.file(tmp_path / "a")


def test_several_threads_get_the_same_answers(tmp_path: Path, reads: Reads) -> None:
    names = [f"{number:02}" for number in range(20)]
    write_files(tmp_path, {name: name for name in names})
    digests = Digests()
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda name: digests.file(tmp_path / name), names * 20))
    assert found == [sha(name) for name in names] * 20
