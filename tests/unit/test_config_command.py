"""`hashlab config` as it is typed: YAML or JSON of the files alone, or their mistakes."""

from __future__ import annotations

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
