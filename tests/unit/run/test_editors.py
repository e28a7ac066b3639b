"""Attach configurations: their content, and the user's files, of which nothing is lost."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from hashlab.config.model import Debugger, DebuggerKind
from hashlab.documents.debug import DebugSession
from hashlab.errors import LaptopError
from hashlab.run.editors import intellij, jsonc, vscode
from hashlab.run.editors.files import opened_folder, write

NAME = "hashlab: api"


def own(kind: DebuggerKind = "jdwp", port: int = 5005, root: Path = Path("/lab")) -> dict[str, Any]:
    return vscode.entry(NAME, Debugger(kind, 9, Path("/lab/src"), "/srv"), port, root)


def plain(text: str) -> Any:
    """Return the value of JSON with comments, which the test has without them."""
    return json.loads(re.sub(r",(\s*[\]}])", r"\1", re.sub(r"//.*", "", text)))


def session(root: Path, kind: DebuggerKind = "jdwp", port: int = 5005) -> DebugSession:
    return DebugSession(
        lab="small",
        service="api",
        container="small-api-1",
        machine="web",
        debugger=kind,
        port=9,
        address=f"127.0.0.1:{port}",
        vscode=vscode.entry(NAME, Debugger(kind, 9, root / "src", "/srv"), port, root),
        intellij=intellij.configuration(NAME, kind, port),
    )


def test_each_debugger_has_an_entry_with_its_port_and_its_sources() -> None:
    assert own("jdwp")["sourcePaths"] == ["${workspaceFolder}/src"]
    assert own("debugpy")["connect"] == {"host": "127.0.0.1", "port": 5005}
    mapping = {"localRoot": "${workspaceFolder}/src", "remoteRoot": "/srv"}
    assert own("debugpy")["pathMappings"] == [mapping]
    assert {**own("inspector"), **mapping} == own("inspector")
    assert own("delve")["substitutePath"] == [{"from": "${workspaceFolder}/src", "to": "/srv"}]
    assert {own(kind)["type"] for kind in ("jdwp", "debugpy", "inspector", "delve")} == {
        "java",
        "debugpy",
        "node",
        "go",
    }


def test_sources_are_shown_relative_to_the_opened_folder() -> None:
    assert own(root=Path("/lab/src"))["sourcePaths"] == ["${workspaceFolder}"]
    assert own(root=Path("/other"))["sourcePaths"] == ["/lab/src"]


FILES = [
    "",
    "{}",
    "\ufeff{\n}\n",
    '{"version": "0.2.0", "configurations": []}',
    '{\n\t"version": "0.2.0",\n\t"configurations": [\n\t\t{"name": "a"}, // mine ]\n\t]\n}\n',
    '{\n    // "configurations": [\n    "configurations": [\n    {"name": "a"} /* , */\n    ]\n}\n',
    '{"inputs": [{"id": "a"}],\r\n "configurations": [\r\n  {"name": "a"}\r\n ]\r\n}\r\n',
    '{"inputs": [{"id": "a"}], /* { */ "compounds": [],}',
    '{"configurations": [{"name": "a", "args": ["}", "\\"]"]}]}',
]


def squeezed(text: str) -> str:
    return re.sub(r"[,\s]", "", text)


@pytest.mark.parametrize("text", FILES)
def test_the_entry_is_added_and_every_line_of_the_user_stays(text: str) -> None:
    added = vscode.added(text, own())
    tree = jsonc.parse(added)
    assert tree.members is not None
    listed = tree.members["configurations"].items
    assert listed is not None
    last = listed[-1]
    assert json.loads(added[last.start : last.end]) == own()
    left = squeezed(added[: last.start] + added[last.end :])
    # Without the entry and a comma, the text is the one that was there; a new list is at its end.
    assert left == squeezed(text) or left.startswith(squeezed(text).removesuffix("}"))
    before = jsonc.parse(text) if text.strip() else None
    if before and before.members and "configurations" in before.members:
        assert len(listed) == len(before.members["configurations"].items or ()) + 1
    assert ("\r\n" in text) == ("\r\n" in added)
    assert vscode.added(added, own()) == added, "a second time changes nothing"


def test_of_an_entry_that_exists_only_the_port_changes() -> None:
    text = vscode.added("{}", own()).replace('"name"', '"mine": [1, /* x */ 2], "name"')
    changed = vscode.added(text, own(port=6006))
    assert changed == text.replace("5005", "6006")
    python = vscode.added("{}", own("debugpy"))
    assert vscode.added(python, own("debugpy", 6006)) == python.replace("5005", "6006")


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "{",
        '{"configurations": {}}',
        '{"a": 1 "b": 2}',
        '{"configurations": [{"name": "hashlab: api", "type": "java"}]}',
        '{"configurations": [{"name": "hashlab: api", "type": "go", "port": 5005}]}',
        "[" * 200,
        '{"a": nothing}',
    ],
)
def test_a_file_without_a_place_for_it_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        vscode.added(text, own())


@pytest.mark.parametrize("kind", ["jdwp", "inspector", "delve"])
def test_a_run_configuration_is_xml_whose_port_can_be_changed(kind: DebuggerKind) -> None:
    text = intellij.configuration('a "name" & more', kind, 5005)
    [configuration] = ET.fromstring(text)
    assert configuration.get("name") == 'a "name" & more'
    assert text.count('"5005"') == 1
    assert intellij.with_port(text, 6006) == text.replace("5005", "6006")
    with pytest.raises(ValueError):
        intellij.with_port("<component/>", 6006)


def test_files_are_written_for_the_editors_that_the_folder_has_settings_of(tmp_path: Path) -> None:
    assert write(session(tmp_path), tmp_path) == [
        ".vscode/launch.json",
        ".run/hashlab-api.run.xml",
    ]
    (tmp_path / "one/.idea").mkdir(parents=True)
    assert write(session(tmp_path), tmp_path / "one") == [".run/hashlab-api.run.xml"]
    (tmp_path / "two/.vscode").mkdir(parents=True)
    assert write(session(tmp_path), tmp_path / "two") == [".vscode/launch.json"]
    assert not (tmp_path / "two/.run").exists()
    (tmp_path / "three").mkdir()
    assert write(session(tmp_path, "debugpy"), tmp_path / "three") == [".vscode/launch.json"]


def test_a_file_keeps_its_mode_and_the_link_that_leads_to_it(tmp_path: Path) -> None:
    real = tmp_path / "shared.json"
    real.write_text("{}")
    real.chmod(0o640)
    (tmp_path / ".vscode").mkdir()
    link = tmp_path / ".vscode/launch.json"
    link.symlink_to(real)
    write(session(tmp_path), tmp_path)
    assert link.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o640
    assert plain(real.read_text())["configurations"][0]["name"] == NAME
    assert [each.name for each in (tmp_path / ".vscode").iterdir()] == ["launch.json"]


def test_a_file_that_cannot_be_read_is_left_as_it_was(tmp_path: Path) -> None:
    (tmp_path / ".vscode").mkdir()
    file = tmp_path / ".vscode/launch.json"
    file.write_bytes(b'{"configurations": [ oh\xff')
    with pytest.raises(LaptopError) as caught:
        write(session(tmp_path), tmp_path)
    assert file.read_bytes() == b'{"configurations": [ oh\xff'
    assert "without --write" in caught.value.next_step
    assert [each.name for each in (tmp_path / ".vscode").iterdir()] == ["launch.json"]


def test_the_opened_folder_has_settings_or_is_the_labs_own(tmp_path: Path) -> None:
    lab = tmp_path / "outer/repository/lab"
    lab.mkdir(parents=True)
    (tmp_path / "outer/.vscode").mkdir()
    assert opened_folder(lab) == lab, "without a git repository nothing above the lab counts"
    (tmp_path / "outer/repository/.git").mkdir()
    assert opened_folder(lab) == lab, "what is outside of the repository does not count"
    (tmp_path / "outer/repository/.idea").mkdir()
    assert opened_folder(lab) == tmp_path / "outer/repository"
    (lab / ".vscode").mkdir()
    assert opened_folder(lab) == lab
