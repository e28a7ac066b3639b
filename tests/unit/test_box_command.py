"""`hashlab box` and `hashlab dev --replace` as they are typed: words, exit codes, documents."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from fakes import Outside, go, register_box, running

from hashlab.cli import main
from hashlab.errors import ExitCode
from hashlab.phases.boxes.listing import box_document
from hashlab.run import execution, workflows

Told = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _on_fakes(outside: Outside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution, "open_lab", lambda lab, provider=None: outside.lab)
    monkeypatch.setattr(execution, "make_world", lambda lab, **_: outside.world())


def records(outside: Outside) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(outside.state.runs.glob("*.json"))]


def typed(*words: str) -> int:
    """Run a command line; return its exit code."""
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as ended:
        patch.setattr(sys, "argv", ["hashlab", *words])
        main.main()
    return int(ended.value.code or 0)


def test_box_alone_lists_the_boxes(outside: Outside, capsys: Told) -> None:
    go(outside, workflows.INIT_BOX)
    assert typed("box") == 0
    assert "hashlab/small" in capsys.readouterr().out
    assert typed("box", "--json") == 0
    assert json.loads(capsys.readouterr().out)["boxes"][0]["name"] == "hashlab/small"
    assert records(outside) == []


@pytest.mark.parametrize("words", [["box", "export"], ["--json", "box", "export"]])
def test_a_box_is_exported_and_imported_by_words(
    outside: Outside, capsys: Told, tmp_path: Path, words: list[str]
) -> None:
    register_box(outside)
    flags = [word for word in words if word.startswith("-")]
    assert typed("box", "export", str(tmp_path / "out"), *flags) == 0
    assert (tmp_path / "out/metadata.json").exists()
    assert typed("box", "import", str(tmp_path / "out"), *flags) == 0
    assert typed("box", "prune", "--plan", *flags) == 0
    names = [record["command"] for record in records(outside)]
    assert sorted(names) == ["box-export", "box-import", "box-prune"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["exprt", "x"], "did you mean: hashlab box export"),
        (["list"], "one of: export, import, prune"),
        (["export"], "hashlab box export TARGET"),
        (["import"], "hashlab box import SOURCE"),
        (["prune", "x"], "unexpected argument: 'x'"),
        (["--plan"], "hashlab box has no option '--plan'"),
        (["import", "x", "--base-url", "http://h"], "box import has no option '--base-url'"),
        (["--nonsense"], "hashlab help box"),
    ],
)
def test_words_that_make_no_sense_are_wrong_usage(
    outside: Outside, capsys: Told, words: list[str], told: str
) -> None:
    assert typed("box", *words) == ExitCode.CONFIG
    assert told in capsys.readouterr().err
    assert outside.faults.calls == []


def test_wrong_usage_is_one_document_too(capsys: Told) -> None:
    assert typed("box", "exprt", "--json") == ExitCode.CONFIG
    assert json.loads(capsys.readouterr().out)["error"]["exit_code"] == 2


def test_dev_replace_replaces_every_stale_machine_in_one_record(
    outside: Outside, capsys: Told
) -> None:
    running(outside)
    outside.machines["broker"].data["small_data"] = "orders"
    outside.provider.system = "system 2"
    register_box(outside)
    assert typed("dev", "--replace", "--json") == 0
    told = capsys.readouterr()
    document = json.loads(told.out)
    assert [document] == records(outside)
    names = [phase["name"] for phase in document["phases"]]
    assert [name for name in names if name.startswith("remove ")] == [
        "remove broker",
        "remove web",
        "remove spare",
    ]
    assert names.count("verify") == 3
    assert document["command"] == "dev-replace"
    assert outside.machines["broker"].data == {"small_data": "orders"}
    assert {machine.recipe for machine in outside.machines.values()} == {
        box_document(outside.world()).recipe
    }
    assert "on an older box" not in told.err.rpartition("Notes")[2]


def test_dev_replace_ends_with_the_first_machine_that_fails(outside: Outside) -> None:
    running(outside)
    outside.provider.system = "system 2"
    register_box(outside)
    outside.faults.arm("runner.verify.py", always=True)
    assert typed("dev", "--replace") == ExitCode.LAB
    [record] = records(outside)
    assert sum(phase["name"].startswith("remove ") for phase in record["phases"]) == 1


def test_dev_replace_without_a_stale_machine_is_dev(outside: Outside) -> None:
    running(outside)
    assert typed("dev", "--replace") == 0
    [record] = records(outside)
    assert [p["name"] for p in record["phases"] if p["name"] == "boot"] == ["boot"]
    assert outside.faults.changes() == []


def test_dev_builds_the_box_if_the_lab_has_none(outside: Outside) -> None:
    assert typed("dev") == 0
    [record] = records(outside)
    names = [phase["name"] for phase in record["phases"]]
    assert names.index("register") < names.index("boot")
    outside.faults.calls.clear()
    assert typed("dev") == 0
    assert outside.faults.changes() == []


def test_dev_replace_with_a_stale_box_says_init_box(outside: Outside, capsys: Told) -> None:
    running(outside)
    outside.provider.system = "system 2"
    assert typed("dev", "--replace") == ExitCode.LAPTOP
    assert "hashlab init-box, then hashlab dev --replace" in capsys.readouterr().err
