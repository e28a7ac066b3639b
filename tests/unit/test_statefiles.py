"""State files: whole or not at all, with their mode from the first byte, and never trusted."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from hashlab.statefiles import StateFolder, json_text, read_json, write_json, write_text


def test_what_was_written_is_read(tmp_path: Path) -> None:
    write_json(tmp_path / "deep/er/one.json", {"ü": [1, None]})
    assert read_json(tmp_path / "deep/er/one.json") == {"ü": [1, None]}


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[1,", b"nul"])
def test_a_broken_file_reads_as_none(tmp_path: Path, content: bytes) -> None:
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

    def spy(path: str, flags: int, mode: int = 0o777) -> int:
        asked.append(mode)
        return real(path, flags, mode)

    monkeypatch.setattr("hashlab.statefiles.os.open", spy)
    write_text(tmp_path / "one", "secret", mode=0o600)
    assert asked == [0o600]


def test_a_reader_sees_the_old_file_until_the_new_one_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "one"
    write_text(path, "old")
    seen: list[str] = []
    real = Path.replace

    def look_first(self: Path, target: Path) -> Path:
        seen.append(path.read_text())
        assert self.read_text() == "new"
        return real(self, target)

    monkeypatch.setattr(Path, "replace", look_first)
    write_text(path, "new")
    assert seen == ["old"]


def test_a_value_that_is_no_json_leaves_the_old_file(tmp_path: Path) -> None:
    write_json(tmp_path / "one", 1)
    with pytest.raises(TypeError):
        write_json(tmp_path / "one", {1, 2})
    assert read_json(tmp_path / "one") == 1


def test_everything_lies_below_the_one_folder(tmp_path: Path) -> None:
    state = StateFolder(tmp_path, "docker")
    properties = [name for name, value in vars(StateFolder).items() if isinstance(value, property)]
    paths = [getattr(state, name) for name in properties] + [state.artifact("app")]
    assert all(path.is_relative_to(tmp_path) and path != tmp_path for path in paths)
    assert len(set(paths)) == len(paths)


def test_what_speaks_of_machines_lies_in_a_folder_of_their_provider(tmp_path: Path) -> None:
    docker, libvirt = (StateFolder(tmp_path, name) for name in ("docker", "libvirt"))
    apart = ("vagrantfile", "vagrant", "key", "ssh_config", "machines", "unverified", "disks_ready")
    for name in apart:
        assert getattr(docker, name).is_relative_to(tmp_path / "docker")
        assert getattr(libvirt, name).is_relative_to(tmp_path / "libvirt")
    for name in ("secrets", "runs", "lock", "children", "engine"):
        assert getattr(docker, name) == getattr(libvirt, name)


def test_json_has_a_line_for_each_member_and_each_object_of_a_list() -> None:
    value = {"one": [1, 2], "rows": [{"a": None}, {"b": {"c": "ü"}}], "none": [], "deep": {"d": 1}}
    text = json_text(value)
    assert json.loads(text) == value
    assert text.splitlines() == [
        "{",
        '  "one": [1, 2],',
        '  "rows": [',
        '    {"a": null},',
        '    {"b": {"c": "\\u00fc"}}',
        "  ],",
        '  "none": [],',
        '  "deep": {"d": 1}',
        "}",
    ]


@pytest.mark.parametrize("value", [{}, [], 1, None, "text", [{"a": 1}]])
def test_other_json_is_written_plainly(value: object) -> None:
    assert json_text(value) == json.dumps(value)
