"""Hashes: the same for the same, another for anything else, in whatever order it comes."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from fakes import write_files

from hashlab.hashing import digest, file_digest, files_below, short, tree


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


def test_a_files_digest_is_its_contents_sha_256(tmp_path: Path) -> None:
    content = b"x" * (3 << 20)
    (tmp_path / "big").write_bytes(content)
    assert file_digest(tmp_path / "big") == hashlib.sha256(content).hexdigest()


def test_a_file_that_is_not_there_has_no_digest(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        file_digest(tmp_path / "none")


def test_a_tree_is_sorted_by_name_and_holds_each_name_once(tmp_path: Path) -> None:
    write_files(tmp_path, {"b": "2", "a/c": "1"})
    found = tree(tmp_path, ["b", "a/c", "b"])
    assert list(found) == ["a/c", "b"]
    assert found["b"] == hashlib.sha256(b"2").hexdigest()
    assert digest(found) == digest(dict(reversed(found.items())))


def names(path: Path, root: Path) -> list[str]:
    return [found.relative_to(root).as_posix() for found in files_below(path)]


def test_every_file_below_a_folder_is_found_in_a_steady_order(tmp_path: Path) -> None:
    write_files(tmp_path, {"b": "", "a/z": "", "a/b/c": "", ".hidden": "", "c/.x/y": ""})
    assert names(tmp_path, tmp_path) == [".hidden", "b", "a/z", "a/b/c", "c/.x/y"]


def test_a_file_is_its_own_only_file_and_nothing_has_none(tmp_path: Path) -> None:
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
