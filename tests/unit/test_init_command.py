"""`hashlab init` writes hashlab's own choices, or copies an example, and overwrites nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import pytest

from hashlab.cli import main
from hashlab.commands.init import EXAMPLES, LEFT_OUT
from hashlab.config.load import load_lab
from hashlab.errors import ExitCode

COMPOSE = """\
services:
  web: {image: nginx, ports: ["8080:80"]}
  api: {image: api}
  db: {image: db, volumes: ["data:/data"]}
  backup: {image: db, volumes: ["data:/data"]}
volumes: {data: }
"""
Told = pytest.CaptureFixture[str]


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a Compose file."""
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "compose.yaml").write_text(COMPOSE)
    monkeypatch.chdir(folder)
    return folder


def typed(*words: str) -> int:
    return main.run(*main.parse(["init", *words]))


def test_the_file_makes_the_same_lab_as_none(shop: Path, capsys: Told) -> None:
    before = load_lab(shop, environ={})
    assert typed() == ExitCode.OK
    after = load_lab(shop, environ={})
    assert after == replace(before, own_machines=True)
    text = (shop / "hashlab.toml").read_text()
    assert "[machines.one]  # " in text
    assert "db, backup" in text
    assert f"wrote {shop / 'hashlab.toml'}" in capsys.readouterr().out


def test_a_provider_of_the_command_line_is_written(shop: Path) -> None:
    assert typed("--provider", "docker") == ExitCode.OK
    assert load_lab(shop, environ={}).provider == "docker"


def test_a_file_that_exists_is_left_alone(shop: Path, capsys: Told) -> None:
    (shop / "hashlab.toml").write_text("# mine\n")
    assert typed() == ExitCode.CONFIG
    assert (shop / "hashlab.toml").read_text() == "# mine\n"
    assert "exists already" in capsys.readouterr().err


def test_mistakes_of_the_compose_file_are_shown_and_nothing_is_written(
    shop: Path, capsys: Told
) -> None:
    (shop / "compose.yaml").write_text("services: {web: {imag: nginx}}\n")
    assert typed() == ExitCode.CONFIG
    assert "compose.yaml:1: unknown key 'imag'" in capsys.readouterr().err
    assert not (shop / "hashlab.toml").exists()


def test_without_a_compose_file_the_next_step_is_an_example(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Told
) -> None:
    monkeypatch.chdir(tmp_path)
    assert typed() == ExitCode.CONFIG
    assert "hashlab init --example hello" in capsys.readouterr().err


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_copied_without_what_labs_left_in_it(
    shop: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    assert typed("--example", name) == ExitCode.OK
    copied = {path.relative_to(shop / name) for path in (shop / name).rglob("*")}
    assert Path("hashlab.toml") in copied
    assert not {part for path in copied for part in path.parts} & {*LEFT_OUT}
    assert typed("--example", name) == ExitCode.CONFIG


def test_an_example_may_go_to_an_empty_folder_but_not_to_one_with_files(
    shop: Path, capsys: Told
) -> None:
    (shop / "empty").mkdir()
    assert typed("--example", "hello", "--lab", "empty") == ExitCode.OK
    assert (shop / "empty/compose.yaml").is_file()
    assert typed("--example", "hello", "--lab", ".") == ExitCode.CONFIG
    assert (shop / "compose.yaml").read_text() == COMPOSE
    assert "is not an empty folder" in capsys.readouterr().err


def test_an_unknown_example_is_refused_with_the_similar_one(shop: Path, capsys: Told) -> None:
    assert typed("--example", "helo") == ExitCode.CONFIG
    assert "hashlab init --example hello" in capsys.readouterr().err


def test_a_file_that_cannot_be_written_is_named(
    shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: Told
) -> None:
    opened = Path.open

    def refused(path: Path, mode: str = "r", encoding: str | None = None) -> IO[Any]:
        if mode == "x":
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, mode, encoding=encoding)

    monkeypatch.setattr(Path, "open", refused)
    assert typed() == ExitCode.LAPTOP
    assert f"{shop / 'hashlab.toml'}: Permission denied" in capsys.readouterr().err
