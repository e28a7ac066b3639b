"""The boundary: a lab's state never leaves its folder, and declared files leave it only as secrets
or configs.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes import write_files

from hashlab.inputs.boundary import Boundary, in_state

LAB = {
    "hashlab.toml": "",
    ".hashlab/docker/ssh/key": "private",
    ".hashlab/secrets/password": "secret",
    "db.txt": "secret",
    "app/run.sh": "",
    "app/conf/site.conf": "",
}


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    write_files(tmp_path / "lab", LAB)
    return tmp_path / "lab"


@pytest.mark.parametrize(
    "name",
    [
        ".hashlab",
        ".hashlab/docker/ssh/key",
        "app/.hashlab",
        "a/b/.hashlab/secrets/x",
        ".HashLab",
    ],
)
def test_state_never_leaves_at_any_depth(lab: Path, name: str) -> None:
    assert not Boundary().below(lab)(name)
    assert not Boundary().below(lab.parent)(f"lab/{name}")


@pytest.mark.parametrize("name", ["app", "app/run.sh", ".hashlab.md", "my.hashlab/x", ".git/HEAD"])
def test_anything_else_may_leave(lab: Path, name: str) -> None:
    assert Boundary().below(lab)(name)


@pytest.mark.parametrize("root", [".hashlab", ".hashlab/docker", ".hashlab/secrets/password"])
def test_nothing_leaves_from_a_root_inside_of_the_state(lab: Path, root: str) -> None:
    assert in_state(lab / root)
    assert not Boundary().below(lab / root)("ssh/key")


def test_a_link_into_the_state_is_the_state(lab: Path) -> None:
    (lab / "data").symlink_to(".hashlab/docker")
    assert in_state(lab / "data")
    assert in_state(lab / "data/ssh")
    assert not Boundary().below(lab / "data")("ssh/key")


def test_a_lab_may_itself_be_below_a_folder_of_that_name(tmp_path: Path) -> None:
    lab = tmp_path / ".hashlab/labs/one"
    write_files(lab, LAB)
    assert not in_state(lab / "app")
    assert Boundary().below(lab)("app/run.sh")
    assert in_state(lab / ".hashlab/secrets")


def test_declared_files_leave_only_as_secrets_or_configs(lab: Path) -> None:
    boundary = Boundary(frozenset({lab / "db.txt", lab / "app/conf/site.conf"}))
    assert boundary.kept_below(lab) == ("app/conf/site.conf", "db.txt")
    allows = boundary.below(lab)
    assert [name for name in ("db.txt", "app/conf/site.conf", "app/run.sh") if allows(name)] == [
        "app/run.sh"
    ]
    assert boundary.below(lab / "app")("conf/other")
    assert not boundary.below(lab / "app")("conf/site.conf")


def test_declared_files_are_recognised_on_any_path(lab: Path) -> None:
    (lab / "way").symlink_to("app/conf")
    (lab / "chosen.txt").symlink_to("db.txt")
    boundary = Boundary(frozenset({lab / "chosen.txt", lab / "way/site.conf"}))
    assert boundary.kept_below(lab) == ("app/conf/site.conf", "chosen.txt", "db.txt")
    assert boundary.kept_below(lab / "way") == ("site.conf",)


def test_declared_files_in_the_state_are_not_listed_again(lab: Path) -> None:
    boundary = Boundary(frozenset({lab / ".hashlab/secrets/password"}))
    assert boundary.kept_below(lab) == ()
    assert not boundary.below(lab)(".hashlab/secrets/password")


def test_a_declared_file_that_is_itself_the_source_may_leave(lab: Path) -> None:
    boundary = Boundary(frozenset({lab / "db.txt"}))
    assert boundary.kept_below(lab / "db.txt") == ()
    assert boundary.below(lab / "db.txt")(".")
