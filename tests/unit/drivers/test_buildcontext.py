"""The archive of a build context contains exactly the listed files, or nothing is sent."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import pytest
from fakes import write_files

from hashlab.drivers.buildcontext import EXTRA, packed
from hashlab.errors import FilesChanged
from hashlab.hashing import Digests
from hashlab.inputs.boundary import Boundary
from hashlab.inputs.contexts import BuildContext, read_context


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_files(tmp_path / "app", {"Dockerfile": "FROM a\n", "bin/run": "go", "long" * 40: ""})
    (tmp_path / "app/empty").mkdir()
    (tmp_path / "app/link").symlink_to("../outside")
    (tmp_path / "app/bin/run").chmod(0o4710)
    return tmp_path / "app"


def listed(root: Path, dockerfile: Path | None = None) -> BuildContext:
    return read_context(
        root, dockerfile or root / "Dockerfile", boundary=Boundary(), digests=Digests()
    )


def members(context: BuildContext) -> dict[str, tarfile.TarInfo]:
    with packed(context) as (stream, _), tarfile.open(fileobj=stream, encoding="utf-8") as archive:
        return {member.name: member for member in archive.getmembers()}


def content(context: BuildContext, name: str) -> bytes:
    with packed(context) as (stream, _), tarfile.open(fileobj=stream, encoding="utf-8") as archive:
        file = archive.extractfile(name)
        assert file is not None
        return file.read()


def test_the_archive_contains_the_listed_files(root: Path) -> None:
    context = listed(root)
    found = members(context)
    assert set(found) == {entry.name for entry in context.entries}
    assert [n for n, m in found.items() if m.isdir()] == ["bin", "empty"]
    assert found["link"].linkname == "../outside"
    assert found["bin/run"].mode == 0o4710
    assert {(m.uid, m.gid) for m in found.values()} == {(0, 0)}
    assert content(context, "bin/run") == b"go"


def test_a_name_that_is_not_utf_8_keeps_its_bytes(root: Path) -> None:
    name = os.fsdecode(b"a\xff\nb")
    (root / name).write_text("odd")
    assert name in members(listed(root))


def test_a_dockerfile_among_the_entries_is_used_unchanged(root: Path) -> None:
    with packed(listed(root)) as (_, name):
        assert name == "Dockerfile"


@pytest.mark.parametrize("rules", [None, "docs", "*.dockerignore"])
def test_a_dockerfile_from_elsewhere_is_hidden_from_the_image(
    root: Path, rules: str | None
) -> None:
    write_files(root.parent, {"other.Dockerfile": "FROM b\n"})
    if rules is not None:
        write_files(root, {".dockerignore": rules})
    context = listed(root, root.parent / "other.Dockerfile")
    with packed(context) as (_, name):
        assert name == EXTRA
    assert content(context, EXTRA) == b"FROM b\n"
    hidden = content(context, ".dockerignore").decode().splitlines()
    assert EXTRA in hidden
    # Files that were hidden from the image before are still hidden.
    assert (".dockerignore" in hidden) is (rules is None or rules.startswith("*"))


def test_a_dockerfile_that_dockerignore_excludes_is_sent_anyway(root: Path) -> None:
    write_files(root, {".dockerignore": "Dockerfile\n"})
    context = listed(root)
    assert "Dockerfile" not in members(context)
    assert content(context, EXTRA) == b"FROM a\n"


@pytest.mark.parametrize("change", ["edited", "same size", "longer", "gone", "folder"])
def test_a_file_that_changed_since_it_was_listed_is_never_sent(root: Path, change: str) -> None:
    context = listed(root)
    path = root / "bin/run"
    if change in ("gone", "folder"):
        path.unlink()
    if change == "folder":
        path.mkdir()
    elif change != "gone":
        path.write_text({"edited": "x", "same size": "no", "longer": "longer"}[change])
    with pytest.raises(FilesChanged, match="bin/run"), packed(context):
        pass


def test_a_dockerfile_without_a_file_is_one_that_no_copy_sees(root: Path) -> None:
    write_files(root, {".dockerignore": "bin\n"})
    text = "FROM scratch\nCOPY . /\n"
    context = read_context(root, None, boundary=Boundary(), digests=Digests(), inline=text)
    with packed(context) as (_, name):
        assert name == EXTRA
    assert content(context, EXTRA) == text.encode()
    assert content(context, ".dockerignore") == f"bin\n\n{EXTRA}\n".encode()
