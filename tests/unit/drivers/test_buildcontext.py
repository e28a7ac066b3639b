"""Build contexts: the files `docker build` would send, as .dockerignore says."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes import write_files

from hashlab.config.model import Build
from hashlab.drivers.buildcontext import context_files

FILES = {
    "Dockerfile": "",
    "run.sh": "",
    "notes.md": "",
    "docs/one.md": "",
    "docs/keep.md": "",
    "target/app.jar": "",
    "a b/ü.txt": "",
    ".hidden": "",
}


def sent(folder: Path, ignore: str | None = None) -> set[str]:
    write_files(folder, FILES)
    if ignore is not None:
        write_files(folder, {".dockerignore": ignore})
    found = context_files(Build(folder, folder / "Dockerfile"))
    assert list(found) == sorted(found)
    return set(found) - {".dockerignore"}


def test_without_dockerignore_every_file_is_sent(tmp_path: Path) -> None:
    assert sent(tmp_path) == set(FILES)


@pytest.mark.parametrize(
    ("ignore", "left_out"),
    [
        ("target\n", {"target/app.jar"}),
        ("target/\n", {"target/app.jar"}),
        ("/target\n", {"target/app.jar"}),
        ("*.md\n", {"notes.md"}),
        ("**/*.md\n", {"notes.md", "docs/one.md", "docs/keep.md"}),
        ("docs\n!docs/keep.md\n", {"docs/one.md"}),
        ("# a comment\n\n  notes.md  \n", {"notes.md"}),
        ("", set()),
        ("*\n!run.sh\n", set(FILES) - {"run.sh", "Dockerfile"}),
    ],
)
def test_dockerignore_is_read_as_docker_reads_it(
    tmp_path: Path, ignore: str, left_out: set[str]
) -> None:
    assert sent(tmp_path, ignore) >= set(FILES) - left_out - {"Dockerfile"}
    assert not sent(tmp_path, ignore) & left_out


def test_a_folder_without_files_has_no_context(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert list(context_files(Build(tmp_path, tmp_path / "Dockerfile"))) == []
