"""Budgets: which words make sense, which run is measured, and what is said when it was late."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from fakes import past_run

from hashlab.documents.run import RunRecord
from hashlab.errors import ExitCode, LabError, UsageError
from hashlab.report.budget import RECORDED, compare, over_budget, read_budgets
from hashlab.report.runs import read_runs

PAGE = "/lab/.hashlab/report.html"
JSON_PAGE = Path(__file__).parents[3] / "docs" / "reference" / "json.md"


def runs(tmp_path: Path, *records: dict[str, object]) -> tuple[RunRecord, ...]:
    for number, record in enumerate(records):
        (tmp_path / f"{number}.json").write_text(json.dumps(record))
    return read_runs(tmp_path).runs


@pytest.mark.parametrize(
    "words", [["refresh=3", "dev=30.5"], ["refresh=3,dev=30.5"], [" refresh = 3 , dev=30.5"]]
)
def test_several_budgets_may_be_given_in_either_way(words: list[str]) -> None:
    assert read_budgets(words) == {"refresh": 3.0, "dev": 30.5}


@pytest.mark.parametrize(
    ("word", "what", "step"),
    [
        ("refresh", "is not COMMAND=SECONDS", "refresh=3"),
        ("", "is not COMMAND=SECONDS", "refresh=3"),
        ("=3", "is not COMMAND=SECONDS", "refresh=3"),
        ("refresh=3,", "is not COMMAND=SECONDS", "refresh=3"),
        ("refresh=", "is not a valid number of seconds", "refresh=3"),
        ("refresh=abc", "'abc' is not a valid number of seconds", "refresh=3"),
        ("refresh=-3", "is not a valid number of seconds", "refresh=3"),
        ("refresh=0", "is not a valid number of seconds", "refresh=3"),
        ("refresh=nan", "is not a valid number of seconds", "refresh=3"),
        ("refresh=1e3", "is not a valid number of seconds", "refresh=3"),
        ("refresh=٣", "is not a valid number of seconds", "refresh=3"),
        ("refresh=3=4", "is not a valid number of seconds", "refresh=3"),
        ("refresh=3,refresh=4", "has refresh twice", "refresh=3"),
        ("refesh=3", "unknown command 'refesh'", "perhaps you meant: refresh"),
        ("xyzzy=3", "unknown command 'xyzzy'", "one of: box-export"),
    ],
)
def test_an_invalid_budget_is_refused_with_the_right_form(word: str, what: str, step: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_budgets([word])
    assert what in caught.value.what
    assert step in caught.value.next_step
    assert caught.value.exit_code == ExitCode.CONFIG


def test_a_command_that_only_a_record_names_is_known() -> None:
    assert read_budgets(["migrate=3"], known=["migrate"]) == {"migrate": 3.0}


def test_the_known_commands_are_those_of_the_documentation() -> None:
    [row] = re.findall(r"^\| `command` \| string \| (.*) \|$", JSON_PAGE.read_text(), re.MULTILINE)
    assert re.findall(r"`([a-z-]+)`", row) == sorted(RECORDED, key=list(RECORDED).index)
    assert set(re.findall(r"`([a-z-]+)`", row)) == set(RECORDED)


def test_the_last_good_run_is_measured(tmp_path: Path) -> None:
    late = past_run(number=2, seconds=9.0, error=LabError("failed"))
    found = runs(tmp_path, past_run(seconds=9.0), past_run(number=1, seconds=2.0), late)
    [one] = compare({"refresh": 3.0}, found)
    assert (one.ok, one.run) == (True, found[1])
    assert over_budget([one], PAGE) is None


def test_a_run_that_took_exactly_its_budget_kept_to_it(tmp_path: Path) -> None:
    [one] = compare({"refresh": 2.5}, runs(tmp_path, past_run()))
    assert one.ok


def test_a_slow_run_is_reported_with_its_phases_and_the_next_step(tmp_path: Path) -> None:
    found = runs(tmp_path, past_run(build=4.0, start=1.5))
    error = over_budget(compare({"refresh": 3.0}, found), PAGE)
    assert error is not None
    assert error.exit_code == ExitCode.LAB
    assert error.what == (
        "refresh took 6.00 s, its budget is 3 s (on docker, 2026-11-24T08:00:00.000Z)"
    )
    assert (
        error.output == "most of refresh: artifacts 4.10 s, containers 1.60 s, "
        "connect services 0.35 s"
    )
    assert error.next_step == f"see what took the time: {PAGE}"


def test_a_command_without_a_successful_run_exceeds_its_budget(tmp_path: Path) -> None:
    found = runs(tmp_path, past_run("dev-replace", seconds=1.0, error=LabError("failed")))
    error = over_budget(compare({"dev-replace": 30.0}, found), PAGE)
    assert error is not None
    assert error.what == "no successful run of dev-replace is recorded to compare with 30 s"
    assert error.next_step == "run it, then repeat this command: hashlab dev --replace"


def test_several_late_runs_are_one_message(tmp_path: Path) -> None:
    found = runs(tmp_path, past_run(), past_run("dev", number=1, seconds=40.0))
    error = over_budget(compare({"refresh": 1.0, "dev": 30.0, "seed": 5.0}, found), PAGE)
    assert error is not None
    assert error.what.count(";") == 2
    assert [line.split(":")[0] for line in error.output.splitlines()] == [
        "most of refresh",
        "most of dev",
    ]
