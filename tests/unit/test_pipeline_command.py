"""`hashlab pipeline`: one run from the sources to a verified lab, on fakes."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import yaml
from fakes import Outside, register_box, write_files

from hashlab.cli.parser import parse
from hashlab.commands import pipeline
from hashlab.config.model import Step
from hashlab.errors import ExitCode, LabError
from hashlab.phases.selfcontained.images import lab_of_images
from hashlab.phases.selfcontained.store import Store
from hashlab.run import execution
from hashlab.run.execution import Options

CI = (Path(__file__).parents[2] / "docs/how-to/ci.md").read_text(encoding="utf-8")
Told = pytest.CaptureFixture[str]


@pytest.fixture
def lab(outside: Outside, monkeypatch: pytest.MonkeyPatch) -> Outside:
    """A lab that can be built."""
    register_box(outside)
    outside.lab = replace(outside.lab, test=Step(("make", "test")))
    outside.runner.prepare("make", "test", stdout="9 passed\n")
    outside.runner.prepare("git", code=1)
    monkeypatch.setattr(execution, "open_lab", lambda *_, **__: outside.lab)

    def world(given: Any, *, images: bool | None = None, **_: object) -> Any:
        return outside.world(lab_of_images(given.built_from or given) if images else given)

    monkeypatch.setattr(execution, "make_world", world)
    return outside


def run(lab: Outside, **how: Any) -> int:
    defaults: dict[str, Any] = {
        "push": "",
        "junit": "",
        "summary": "",
        "changed_since": "",
        "keep": False,
        "yes": True,
    }
    options = Options(lab=lab.lab.folder, json=True)
    return pipeline.run(options, **{**defaults, **how})


def phases(capsys: Told) -> dict[str, set[str]]:
    document = json.loads(capsys.readouterr().out)
    assert document["command"] == "pipeline"
    found: dict[str, set[str]] = {}
    for row in document["phases"]:
        found.setdefault(row["name"], set()).add(row["status"])
    return found


def test_it_builds_tests_pushes_deploys_verifies_and_destroys(
    lab: Outside, capsys: Told, tmp_path: Path
) -> None:
    files = {"junit": str(tmp_path / "report.xml"), "summary": str(tmp_path / "summary.md")}
    assert run(lab, push="registry.test/team", **files) == ExitCode.OK
    found = phases(capsys)
    for name in ("artifacts", "assemble", "test", "push", "containers", "verify", "look"):
        assert "ok" in found[name], name
    assert lab.machines == {}
    assert "team/small/site" in lab.registries["registry.test"].repositories
    assert ET.parse(tmp_path / "report.xml").getroot().get("failures") == "0"
    assert "passed" in (tmp_path / "summary.md").read_text()


def test_a_failed_test_pushes_and_boots_nothing(lab: Outside, capsys: Told, tmp_path: Path) -> None:
    lab.runner.prepare("make", "test", code=1, stderr="1 failed")
    assert run(lab, push="registry.test", junit=str(tmp_path / "r.xml")) == ExitCode.LAB
    assert phases(capsys)["test"] == {"failed"}
    assert lab.registries.all == {}
    assert lab.machines == {}
    assert "1 failed" in (tmp_path / "r.xml").read_text()


def test_images_are_made_before_tests_may_change_the_outputs_of_builds(lab: Outside) -> None:
    made: list[object] = []
    store = Store(lab.state.oci)
    effect = lambda _: made.append(store.document())  # noqa: E731
    lab.runner.prepare("make", "test", effect=effect)
    assert run(lab) == ExitCode.OK
    assert made != [None]


def test_a_lab_that_fails_its_verification_stays(lab: Outside, capsys: Told) -> None:
    lab.faults.arm("runner.verify.py", LabError("no answer"))
    assert run(lab) == ExitCode.LAB
    assert phases(capsys)["verify"] == {"failed"}
    assert set(lab.machines) == {"broker", "web", "spare"}


def test_keep_leaves_the_lab(lab: Outside, capsys: Told) -> None:
    assert run(lab, keep=True) == ExitCode.OK
    assert "look" not in phases(capsys)
    assert set(lab.machines) == {"broker", "web", "spare"}


@pytest.mark.parametrize(
    ("changed", "runs"),
    [("src/main.txt", True), ("site/run.sh", True), ("static/index.html", True), ("notes", False)],
)
def test_it_runs_only_if_a_file_of_the_lab_has_changed(
    lab: Outside, capsys: Told, changed: str, runs: bool
) -> None:
    write_files(lab.lab.folder, {"notes": "text"})
    lab.runner.prepare("git", "diff", stdout=f"{changed}\0")
    lab.runner.prepare("git", "ls-files", stdout="")
    assert run(lab, changed_since="origin/main", keep=True) == ExitCode.OK
    assert bool(lab.machines) is runs
    told = capsys.readouterr()
    assert runs or "no file of the lab differs from origin/main" in told.err


def test_an_unknown_commit_is_named(lab: Outside, capsys: Told) -> None:
    lab.runner.prepare("git", "diff", code=128, stderr="fatal: bad revision")
    assert run(lab, changed_since="nowhere") == ExitCode.CONFIG
    assert "bad revision" in capsys.readouterr().err


def test_a_wrong_registry_is_refused_before_anything_runs(lab: Outside) -> None:
    lab.faults.calls.clear()
    assert run(lab, push="team") == ExitCode.CONFIG
    assert lab.faults.calls == []


def test_the_files_of_the_page_are_yaml_and_their_commands_can_be_typed() -> None:
    files = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", CI, re.DOTALL)]
    assert [*files[0]["jobs"], *files[1]] == ["lab", "lab"]
    typed = re.findall(r"(?:^|- run: |- )hashlab ([a-z].*)$", CI, re.MULTILINE)
    assert len(typed) > 3
    for line in typed:
        parse(line.replace('"', "").split())
