"""The command `report`: where the page goes, what is printed, budgets, exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fakes import past_run, save_runs

from hashlab.cli import main
from hashlab.commands import report as command
from hashlab.errors import ExitCode
from hashlab.run.execution import Options
from hashlab.run.lock import held

Told = pytest.CaptureFixture[str]


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """A lab whose files are broken: what ran can be told all the same."""
    (tmp_path / "hashlab.toml").write_text("this is [no TOML")
    return tmp_path


def runs(lab: Path, *records: dict[str, object]) -> Path:
    return save_runs(lab / ".hashlab" / "runs", records)


def report(lab: Path, *budgets: str, output: Path | None = None, **options: object) -> ExitCode:
    code = command.run(
        Options(lab=lab, **options),  # type: ignore[arg-type]
        output=str(output or ""),
        budget=budgets,
    )
    return ExitCode(code)


def test_the_page_is_written_and_its_path_is_all_that_stdout_tells(lab: Path, capsys: Told) -> None:
    runs(lab, past_run())
    assert report(lab) == ExitCode.OK
    path = lab / ".hashlab" / "report.html"
    assert capsys.readouterr() == (f"{path}\n", "")
    assert "<title>hashlab report: demo</title>" in path.read_text(encoding="utf-8")


def test_the_page_goes_where_it_is_wanted(
    lab: Path, capsys: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(lab)
    assert report(lab, output=Path("deep/down/page.html")) == ExitCode.OK
    path = lab / "deep" / "down" / "page.html"
    assert path.exists()
    assert capsys.readouterr().out == f"{path}\n"
    assert not (lab / ".hashlab").exists()


def test_a_folder_is_no_place_for_the_page(lab: Path, capsys: Told) -> None:
    assert report(lab, output=lab) == ExitCode.CONFIG
    assert str(lab / "report.html") in capsys.readouterr().err


def test_a_page_that_cannot_be_written_is_an_expected_failure(lab: Path, capsys: Told) -> None:
    assert report(lab, output=lab / "hashlab.toml" / "page.html") == ExitCode.LAPTOP
    assert "hashlab report --output FILE" in capsys.readouterr().err


def test_without_any_run_there_is_a_page_that_says_what_to_type(lab: Path) -> None:
    assert report(lab) == ExitCode.OK
    assert "hashlab dev" in (lab / ".hashlab" / "report.html").read_text(encoding="utf-8")


def test_broken_records_are_counted_on_the_page_and_on_stderr(lab: Path, capsys: Told) -> None:
    folder = runs(lab, past_run())
    (folder / "half.json").write_text('{"command": "re')
    (folder / "foreign.json").write_text("{}")
    assert report(lab) == ExitCode.OK
    assert "2 files skipped" in capsys.readouterr().err
    assert "2 files in .hashlab/runs" in (lab / ".hashlab" / "report.html").read_text()


def test_json_is_one_document_with_what_the_page_shows(lab: Path, capsys: Told) -> None:
    runs(lab, past_run(), past_run("dev", number=1))
    assert report(lab, json=True) == ExitCode.OK
    document = json.loads(capsys.readouterr().out)
    assert [command["command"] for command in document["commands"]] == ["dev", "refresh"]
    assert document["page"] == str(lab / ".hashlab" / "report.html")
    assert (document["ok"], document["error"]) == (True, None)


def test_a_budget_that_was_kept_ends_with_zero(lab: Path, capsys: Told) -> None:
    runs(lab, past_run())
    assert report(lab, "refresh=3") == ExitCode.OK
    assert capsys.readouterr().err == ""


def test_a_budget_that_was_not_kept_is_one_message_and_exit_code_4(lab: Path, capsys: Told) -> None:
    runs(lab, past_run(build=4.0))
    assert report(lab, "refresh=3") == ExitCode.LAB
    told = capsys.readouterr().err
    for words in ("refresh took 5.00 s", "budget is 3 s", "artifacts 4.10 s", "Next: see what"):
        assert words in told
    assert "over its budget" in (lab / ".hashlab" / "report.html").read_text(encoding="utf-8")


def test_a_late_run_is_in_the_document_too(lab: Path, capsys: Told) -> None:
    runs(lab, past_run(build=4.0))
    assert report(lab, "refresh=3,refresh=4", json=True) == ExitCode.CONFIG
    assert json.loads(capsys.readouterr().out)["error"]["exit_code"] == 2
    assert report(lab, "refresh=3", json=True) == ExitCode.LAB
    document = json.loads(capsys.readouterr().out)
    assert (document["ok"], document["error"]["exit_code"]) == (False, 4)
    assert document["budgets"][0]["ok"] is False


def test_wrong_words_write_no_page(lab: Path, capsys: Told) -> None:
    runs(lab, past_run())
    assert report(lab, "refesh=3") == ExitCode.CONFIG
    assert "perhaps you meant: refresh" in capsys.readouterr().err
    assert not (lab / ".hashlab" / "report.html").exists()


def test_a_command_without_a_good_run_keeps_no_budget(lab: Path, capsys: Told) -> None:
    assert report(lab, "dev=30") == ExitCode.LAB
    assert "Next: run it, then repeat this command: hashlab dev" in capsys.readouterr().err


def test_the_report_waits_for_no_run_and_leaves_no_record(lab: Path) -> None:
    folder = runs(lab, past_run())
    with held(lab / ".hashlab" / "lock", "dev"):
        assert report(lab) == ExitCode.OK
    assert len(list(folder.iterdir())) == 1


def test_runs_of_one_provider_can_be_asked_for(lab: Path, capsys: Told) -> None:
    runs(lab, past_run(), past_run(number=1, provider="libvirt", seconds=40.0))
    assert report(lab, "refresh=3", provider="docker") == ExitCode.OK
    assert report(lab, "refresh=3", provider="auto") == ExitCode.LAB
    assert report(lab, provider="dokcer") == ExitCode.CONFIG
    assert "Perhaps you meant 'docker'" in capsys.readouterr().err


def test_a_folder_without_a_lab_is_told(tmp_path: Path, capsys: Told) -> None:
    assert report(tmp_path) == ExitCode.CONFIG
    (tmp_path / "hashlab.toml").touch()
    (tmp_path / "inside").mkdir()
    assert report(tmp_path / "inside") == ExitCode.CONFIG
    assert f"perhaps you meant: --lab {tmp_path}" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["--budget", "refresh=3", "--budget", "dev=30"],
        ["--budget", "refresh=3,dev=30"],
        ["--budget=refresh=3", "-b", "dev=30"],
    ],
)
def test_the_command_line_takes_several_budgets(
    lab: Path, capsys: Told, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    runs(lab, past_run(), past_run("dev", number=1, seconds=40.0))
    line = ["hashlab", "report", "--lab", str(lab), "--json", *words]
    monkeypatch.setattr(sys, "argv", line)
    with pytest.raises(SystemExit) as ending:
        main.main()
    assert ending.value.code == ExitCode.LAB
    document = json.loads(capsys.readouterr().out)
    assert [(one["command"], one["ok"]) for one in document["budgets"]] == [
        ("refresh", True),
        ("dev", False),
    ]


def test_no_other_command_loads_what_makes_pages() -> None:
    program = (
        "import sys, hashlab.tasks, hashlab.run.execution\n"
        "print([name for name in sys.modules if 'page' in name or name == 'statistics'])"
    )
    told = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert told.stdout == "[]\n"
