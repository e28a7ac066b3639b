"""Finds the lab that a command line is about."""

from __future__ import annotations

from pathlib import Path

import pytest

from hashlab.state.labfolder import (
    COMPOSE_FILES,
    chosen,
    example,
    has_state,
    is_lab,
    nearest,
)
from hashlab.state.private import make_state


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    folder = tmp_path / "lab"
    (folder / "site/pages").mkdir(parents=True)
    (folder / "hashlab.toml").write_text("")
    return folder


def test_the_nearest_folder_upwards_is_the_lab(lab: Path) -> None:
    assert nearest(str(lab / "site/pages")) == str(lab)
    assert nearest(str(lab)) == str(lab)
    (lab / "site/hashlab.toml").write_text("")
    assert nearest(str(lab / "site/pages")) == str(lab / "site")


def test_without_a_lab_above_none_is_found(lab: Path) -> None:
    assert nearest(str(lab.parent)) is None
    assert nearest("/") is None


@pytest.mark.parametrize("name", COMPOSE_FILES)
def test_a_folder_with_a_compose_file_is_a_lab_if_none_above_has_a_hashlab_toml(
    lab: Path, name: str
) -> None:
    bare = lab.parent / "bare"
    (bare / "src").mkdir(parents=True)
    for folder in (bare, lab / "site"):
        (folder / name).write_text("")
    assert nearest(str(bare / "src")) == str(bare)
    assert nearest(str(lab / "site/pages")) == str(lab)
    assert is_lab(str(bare))
    assert not is_lab(str(bare / "src"))


def test_a_folder_named_like_the_file_is_not_a_lab(lab: Path) -> None:
    (lab / "site/hashlab.toml").mkdir()
    assert nearest(str(lab / "site")) == str(lab)


@pytest.mark.parametrize("typed", ["lab", "../{name}/lab", "lab/site/..", "lab/", "{absolute}"])
def test_a_named_lab_is_relative_to_the_current_folder(lab: Path, typed: str) -> None:
    place = typed.format(name=lab.parent.name, absolute=lab)
    assert chosen(place, str(lab.parent)) == str(lab)


def test_without_a_name_the_lab_is_the_nearest(lab: Path) -> None:
    assert chosen("", str(lab / "site")) == str(lab)
    assert chosen("", str(lab.parent)) is None


def test_in_hashlabs_own_folder_the_example_is_the_lab(tmp_path: Path) -> None:
    here = str(tmp_path)
    assert chosen("", here) is None
    (tmp_path / "hashlab/run").mkdir(parents=True)
    (tmp_path / "hashlab/run/wiring.py").write_text("")
    folder = tmp_path / "examples/hash-collision"
    folder.mkdir(parents=True)
    assert example(here) is None
    (folder / "hashlab.toml").write_text("")
    assert example(here) == chosen("", here) == str(folder)
    (tmp_path / "hashlab.toml").write_text("")
    assert example(here) is None
    assert chosen("", here) == here


def test_a_folder_of_a_named_file_is_a_lab_and_its_state_is_known_without_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = str(tmp_path)
    (tmp_path / "stack.yml").write_text("")
    assert not is_lab(folder)
    monkeypatch.setenv("COMPOSE_FILE", str(tmp_path / "stack.yml"))
    assert is_lab(folder)
    assert chosen("", "/") == folder
    monkeypatch.delenv("COMPOSE_FILE")
    make_state(folder)
    assert has_state(folder)
    assert not is_lab(folder)
