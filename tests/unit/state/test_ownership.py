"""Ownership of a lab folder: hashlab only uses labs that no other user could have written."""

from __future__ import annotations

import grp
import os
import pwd
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hashlab.errors import LaptopError, UsageError
from hashlab.run.labs import lab_folder
from hashlab.state import ownership
from hashlab.state.ownership import distrusted


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A lab of the caller. Exceptions of the person who runs the tests do not apply."""
    monkeypatch.delenv(ownership.SAFE, raising=False)
    monkeypatch.delenv("SUDO_UID", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    folder = tmp_path / "lab"
    (folder / ".hashlab").mkdir(parents=True)
    (folder / "hashlab.toml").write_text("[lab]\n")
    folder.chmod(0o755)
    return folder


def as_user(monkeypatch: pytest.MonkeyPatch, user: int) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user)


def why(lab: Path) -> str:
    found = distrusted(str(lab))
    return f"{found.where}: {found.what}. {found.next_step}" if found else ""


def test_a_lab_of_ones_own_is_trusted(lab: Path) -> None:
    assert why(lab) == ""
    (lab / ".hashlab").rmdir()
    assert why(lab) == ""
    assert why(lab / "missing") == ""


def test_the_lab_of_another_user_is_not_trusted(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = lab.stat().st_uid
    as_user(monkeypatch, owner + 1)
    assert why(lab).startswith(f"{lab}: it belongs to user {pwd.getpwuid(owner).pw_name}")
    assert f"chown -R {owner + 1} {lab}" in why(lab)
    assert f"export HASHLAB_SAFE_DIRECTORY={lab}" in why(lab)
    with pytest.raises(LaptopError, match="it belongs to"):
        lab_folder(lab)


def test_root_under_sudo_may_use_the_labs_of_the_user_who_typed_it(
    lab: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = lab.stat()

    def of_another(path: object, **how: Any) -> Any:
        return SimpleNamespace(st_uid=4242, st_gid=real.st_gid, st_mode=real.st_mode)

    monkeypatch.setattr(ownership.os, "stat", of_another)
    as_user(monkeypatch, 0)
    assert "the user with the id 4242" in why(lab)
    monkeypatch.setenv("SUDO_UID", "4242")
    assert why(lab) == ""
    as_user(monkeypatch, 17)  # the variable has no meaning for a user who is not root
    assert why(lab) != ""


@pytest.mark.parametrize("where", ["", ".hashlab"])
def test_a_lab_that_every_user_can_write_to_is_not_trusted(lab: Path, where: str) -> None:
    (lab / where).chmod(0o777)
    assert why(lab).startswith(f"{lab / where}".rstrip("/") + ": every user of this computer can")
    assert f"chmod o-w {lab / where}" in why(lab)


def test_a_group_counts_by_its_members(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    me = pwd.getpwuid(lab.stat().st_uid)
    lab.chmod(0o775)

    def group(members: list[str], primary: list[int]) -> str:
        monkeypatch.setattr(
            grp, "getgrgid", lambda gid: SimpleNamespace(gr_name="g", gr_mem=members)
        )
        rows = [SimpleNamespace(pw_uid=uid, pw_gid=lab.stat().st_gid) for uid in primary]
        monkeypatch.setattr(pwd, "getpwall", lambda: rows)
        return why(lab)

    assert group([], [me.pw_uid]) == ""
    assert group([me.pw_name], []) == ""
    assert "the group g, which has other members, can write" in group([me.pw_name, "eve"], [])
    assert "the group g" in group([], [me.pw_uid, me.pw_uid + 1])


@pytest.mark.parametrize("exception", ["{lab}", "*", "/elsewhere:{lab}", "{link}"])
def test_the_user_can_make_an_exception(
    lab: Path, monkeypatch: pytest.MonkeyPatch, exception: str
) -> None:
    lab.chmod(0o777)
    link = lab.parent / "link"
    link.symlink_to(lab)
    monkeypatch.setenv(ownership.SAFE, exception.format(lab=lab, link=link))
    assert why(lab) == ""


@pytest.mark.parametrize("exception", ["", "/elsewhere", "{lab}/sub", "{above}", "lab", ":"])
def test_an_exception_for_another_folder_does_not_apply(
    lab: Path, monkeypatch: pytest.MonkeyPatch, exception: str
) -> None:
    monkeypatch.chdir(lab.parent)
    lab.chmod(0o777)
    monkeypatch.setenv(ownership.SAFE, exception.format(lab=lab, above=lab.parent))
    assert why(lab) != ""


@pytest.mark.parametrize(
    ("text", "trusted"),
    [
        ("safe_directories = ['{lab}']", True),
        ("safe_directories = ['/elsewhere', '~/lab']", True),
        ("safe_directories = '{lab}'", False),
        ("safe_directories = [1, {{}}]", False),
        ("safe_directories = ", False),
        ("a = " + "[" * 10_000, False),
        ("\udcff", False),
    ],
)
def test_exceptions_are_read_from_the_users_configuration(
    lab: Path, monkeypatch: pytest.MonkeyPatch, text: str, trusted: bool
) -> None:
    monkeypatch.setenv("HOME", str(lab.parent))
    lab.chmod(0o777)
    path = lab.parent / "config/hashlab/config.toml"
    path.parent.mkdir(parents=True)
    path.write_text(text.format(lab=lab), errors="surrogateescape")
    assert (why(lab) == "") is trusted


def test_the_labs_own_file_makes_no_exception(lab: Path) -> None:
    lab.chmod(0o777)
    (lab / "hashlab.toml").write_text(f"safe_directories = ['{lab}']\n[lab]\nname = 'x'\n")
    assert why(lab) != ""


def test_a_state_folder_that_is_a_link_or_a_file_is_refused_despite_exceptions(
    lab: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ownership.SAFE, "*")
    (lab / ".hashlab").rmdir()
    (lab / ".hashlab").symlink_to(lab.parent)
    assert "is a link" in why(lab)
    (lab / ".hashlab").unlink()
    (lab / ".hashlab").write_text("")
    assert "is not a folder" in why(lab)


def test_links_of_a_named_lab_are_resolved(lab: Path) -> None:
    link = lab.parent / "link"
    link.symlink_to(lab)
    assert lab_folder(link) == lab
    assert lab_folder(link / ".hashlab/..") == lab
    (lab.parent / "circle").symlink_to("circle")
    with pytest.raises(UsageError, match="cannot be a folder"):
        lab_folder(lab.parent / "circle")
    with pytest.raises(UsageError, match="cannot be a folder"):
        lab_folder(Path("a\0b"))


def test_the_lab_above_the_current_folder_is_checked_too(
    lab: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (lab / "sub").mkdir()
    monkeypatch.chdir(lab / "sub")
    assert lab_folder(None) == lab
    lab.chmod(0o777)
    with pytest.raises(LaptopError, match="every user"):
        lab_folder(None)
