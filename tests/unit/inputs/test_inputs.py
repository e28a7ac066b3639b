"""Inputs of artifacts: the files that the laptop's own build reads, even behind links to
folders.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from fakes import write_files

from hashlab.errors import LabError
from hashlab.hashing import Digests
from hashlab.inputs.artifacts import expand, read_inputs

FILES = {
    "src/Main.java": "1",
    "src/deep/Part.java": "2",
    "src/deep/notes.md": "3",
    "shared/Common.java": "4",
    "pom.xml": "5",
}


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    write_files(tmp_path / "lab", FILES)
    return tmp_path / "lab"


def read(lab: Path, *patterns: str) -> dict[str, str]:
    return read_inputs(lab, patterns, Digests())


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("pom.xml", ["pom.xml"]),
        ("src", ["src/Main.java", "src/deep/Part.java", "src/deep/notes.md"]),
        ("src/*", ["src/Main.java", "src/deep/Part.java", "src/deep/notes.md"]),
        ("src/*.java", ["src/Main.java"]),
        ("src/**/*.java", ["src/Main.java", "src/deep/Part.java"]),
        ("**/*.xml", ["pom.xml"]),
        ("src/**", ["src/Main.java", "src/deep/Part.java", "src/deep/notes.md"]),
        ("*/deep/P*", ["src/deep/Part.java"]),
        ("[ps]*/Common.java", ["shared/Common.java"]),
        ("none", []),
        ("none/**/*.java", []),
        ("pom.xml/x", []),
    ],
)
def test_files_folders_and_globs_name_inputs(lab: Path, pattern: str, expected: list[str]) -> None:
    assert sorted(read(lab, pattern)) == expected


@pytest.mark.parametrize("pattern", ["src", "src/**/*.java", "src/*", "src/link/*.java"])
def test_files_behind_a_link_to_a_folder_are_inputs(lab: Path, pattern: str) -> None:
    (lab / "src/link").symlink_to("../shared")
    before = read(lab, pattern)
    assert "src/link/Common.java" in before
    write_files(lab, {"shared/Common.java": "edited"})
    assert read(lab, pattern) != before


def test_a_link_to_a_folder_counts_by_its_target_too(lab: Path) -> None:
    write_files(lab, {"other/Common.java": "4"})
    (lab / "src/link").symlink_to("../shared")
    before = read(lab, "src")
    (lab / "src/link").unlink()
    (lab / "src/link").symlink_to("../other")
    assert read(lab, "src") != before


def test_loops_and_links_across_each_other_end(lab: Path) -> None:
    for number in range(12):
        folder = lab / f"src/{number}"
        folder.mkdir()
        for other in range(12):
            (folder / f"to{other}").symlink_to(f"../{other}")
    (lab / "src/up").symlink_to("..")
    (lab / "src/self").symlink_to("self")
    found = read(lab, "src")
    assert len(found) < 2000
    assert "src/deep/Part.java" in found
    assert list(expand(lab, "src/**/*.xml")) == [lab / "src/up/pom.xml"]


def test_private_folders_are_never_read_through_links(lab: Path) -> None:
    write_files(
        lab, {"hashlab.toml": "", ".hashlab/ssh/key": "private", ".git/HEAD": "", "src/x": ""}
    )
    (lab / "src/state").symlink_to("../.hashlab")
    (lab / "src/ssh").symlink_to("../.hashlab/ssh")
    (lab / "src/git").symlink_to("../.git")
    found = read(lab, "src", "*")
    assert not [name for name in found if name.endswith(("key", "HEAD")) and "src" in name]
    assert not [name for name in found if name.startswith(".hashlab")]


def test_a_pattern_of_endless_parts_matches_nothing(lab: Path) -> None:
    assert list(expand(lab, "/".join(["*"] * 100_000))) == []


def test_temporary_files_of_editors_are_not_inputs(lab: Path) -> None:
    before = read(lab, "src", "src/*")
    write_files(lab, {"src/.Main.java.swp": "", "src/Main.java~": "", "src/deep/4913": ""})
    assert read(lab, "src", "src/*") == before


def test_devices_pipes_and_dangling_links_are_not_read(lab: Path) -> None:
    before = read(lab, "src")
    os.mkfifo(lab / "src/pipe")
    (lab / "src/device").symlink_to("/dev/zero")
    (lab / "src/nowhere").symlink_to("none")
    assert read(lab, "src") == before


def test_an_input_that_may_not_be_read_is_named(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digests = Digests()

    def refuse(path: Path) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(digests, "file", refuse)
    with pytest.raises(LabError, match=r"cannot read .*/pom\.xml: Permission denied"):
        read_inputs(lab, ["pom.xml"], digests)


def test_inputs_are_read_again_if_one_vanishes_meanwhile(
    lab: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests = Digests()
    file = digests.file

    def vanish(path: Path) -> str:
        if path.name == "Part.java":
            path.unlink()
            path.parent.joinpath("New.java").write_text("6")
        return file(path)

    monkeypatch.setattr(digests, "file", vanish)
    found = read_inputs(lab, ["src"], digests)
    assert sorted(found) == ["src/Main.java", "src/deep/New.java", "src/deep/notes.md"]
