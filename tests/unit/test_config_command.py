"""`hashlab config` as it is typed: YAML or JSON of the files alone, or their mistakes."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
import yaml

from hashlab.cli import main
from hashlab.errors import ExitCode

TOML = '[lab]\nname = "shop"\n[machines.one]\naddress = "192.168.60.5"\n'


def typed(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """Run a command line; return its exit code."""
    monkeypatch.setattr(sys, "argv", ["hashlab", "config", *words])
    for variable in ("COMPOSE_FILE", "COMPOSE_PATH_SEPARATOR"):
        monkeypatch.setenv(variable, "")  # the command sets it, and the next test starts without
    with pytest.raises(SystemExit) as ended:
        main.main()
    return int(ended.value.code or 0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "hashlab.toml").write_text(TOML)
    (tmp_path / "compose.yaml").write_text("services: {web: {image: nginx}}\n")
    return tmp_path


def test_yaml_and_json_show_the_same(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert typed(monkeypatch, "--lab", str(folder)) == ExitCode.OK
    page = capsys.readouterr().out
    assert typed(monkeypatch, "--lab", str(folder), "--json") == ExitCode.OK
    document = json.loads(capsys.readouterr().out)
    assert yaml.safe_load(page) == document
    assert document["services"]["web"]["x-hashlab"] == {"machine": "one"}
    assert not (folder / ".hashlab").exists()


def test_mistakes_are_shown_in_place_of_the_document(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "compose.yaml").write_text("services: {web: {imag: nginx}}\n")
    assert typed(monkeypatch, "--lab", str(folder), "--json") == ExitCode.CONFIG
    outcome = capsys.readouterr()
    assert "compose.yaml:1: unknown key 'imag'" in outcome.err
    assert json.loads(outcome.out)["ok"] is False


def test_a_file_alone_makes_its_folder_a_lab(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "shop"
    (folder / "src").mkdir(parents=True)
    (folder / "stack.yml").write_text("services: {web: {image: nginx, volumes: ['./src:/src']}}\n")
    monkeypatch.chdir(folder / "src")
    assert typed(monkeypatch, "--json", "--file", "../stack.yml") == ExitCode.OK
    document = json.loads(capsys.readouterr().out)
    assert document["name"] == "shop"
    assert document["services"]["web"]["volumes"][0]["source"] == str(folder / "src")
    assert typed(monkeypatch, "--file", "missing.yml") == ExitCode.CONFIG
    assert "or name a file that exists by --file" in " ".join(capsys.readouterr().err.split())


def test_a_file_from_standard_input_is_read_as_one_of_the_lab_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / ".env").write_text("TAG=7\n")
    (folder / "site").mkdir()
    monkeypatch.chdir(folder)

    def piped(text: str) -> int:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        return typed(monkeypatch, "--json", "--file", "-")

    assert piped('services: {web: {image: "nginx:$TAG", volumes: ["./site:/site"]}}') == ExitCode.OK
    web = json.loads(capsys.readouterr().out)["services"]["web"]
    assert web["image"] == "nginx:7"
    assert web["volumes"][0]["source"] == str(folder / "site")
    assert (folder / ".hashlab/stdin.yaml").stat().st_mode & 0o777 == 0o600
    assert piped("services: {web: {imag: nginx}}") == ExitCode.CONFIG
    assert ".hashlab/stdin.yaml:1: unknown key 'imag'" in capsys.readouterr().err


def test_standard_input_without_a_lab_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"services: {}")))
    missing = str(tmp_path / "missing")
    assert typed(monkeypatch, "--lab", missing, "--file", "-") == ExitCode.CONFIG
    assert "this folder does not exist" in capsys.readouterr().err
