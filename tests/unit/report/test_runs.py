"""Reading records back: what was written is what is read, and anything else is passed over."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fakes import CAUSE, MORNING, past_run, refresh_rows, save_runs

from hashlab.documents.run import Cause
from hashlab.errors import Interrupted, LabError
from hashlab.report.runs import read_runs


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    error = LabError("no answer", where="web", output="refused", next_step="hashlab ssh web")
    save_runs(tmp_path, [past_run(), past_run("dev", number=1, error=error)])
    good, bad = read_runs(tmp_path).runs
    assert (good.command, good.lab, good.provider) == ("refresh", "demo", "docker")
    assert (good.started, good.seconds, good.ok) == (MORNING, 2.5, True)
    for read, written in zip(good.phases, refresh_rows(MORNING), strict=True):
        assert read.started == pytest.approx(written.started, abs=0.001)
        assert read.seconds == pytest.approx(written.seconds, abs=0.001)
        assert (read.name, read.machine, read.service) == (
            written.name,
            written.machine,
            written.service,
        )
        assert (read.status, read.depth, read.bytes_sent) == (
            written.status,
            written.depth,
            written.bytes_sent,
        )
    assert good.causes == (Cause("artifact user", ("user/src/main/java/Users.java",), 0),)
    assert bad.error is not None
    assert (bad.error.what, bad.error.exit_code, bad.interrupted) == ("no answer", 4, False)


def test_runs_come_oldest_first_whatever_their_files_are_called(tmp_path: Path) -> None:
    for name, number in (("a.json", 3), ("b.json", 1), ("c.json", 2)):
        (tmp_path / name).write_text(json.dumps(past_run(number=number)))
    started = [run.started for run in read_runs(tmp_path).runs]
    assert started == [MORNING + 60, MORNING + 120, MORNING + 180]


def test_a_missing_folder_has_no_runs(tmp_path: Path) -> None:
    assert read_runs(tmp_path / "missing").runs == ()


def test_an_interrupted_run_is_not_a_failure(tmp_path: Path) -> None:
    save_runs(tmp_path, [past_run(error=Interrupted("interrupted. Half done: boot"))])
    [run] = read_runs(tmp_path).runs
    assert (run.ok, run.interrupted) == (False, True)


def test_records_older_than_causes_and_depth_are_read(tmp_path: Path) -> None:
    record = past_run()
    del record["causes"]
    for phase in record["phases"]:
        del phase["depth"]
    (tmp_path / "old.json").write_text(json.dumps(record))
    [run] = read_runs(tmp_path).runs
    assert run.causes is None
    assert {row.depth for row in run.phases} == {0}


def test_only_runs_of_one_provider_are_kept_where_that_is_asked(tmp_path: Path) -> None:
    save_runs(tmp_path, [past_run(), past_run(number=1, provider="libvirt")])
    assert [run.provider for run in read_runs(tmp_path, provider="libvirt").runs] == ["libvirt"]


BROKEN: dict[str, Any] = {
    "empty": "",
    "half written": json.dumps(past_run(), indent=2)[:400],
    "no text": b"\xff\xfe\x00\x01",
    "nested beyond reason": "[" * 200_000,
    "a list": [past_run()],
    "a number": 5,
    "foreign": {"name": "package.json", "version": "1.0.0"},
    "no command": {"command": None},
    "no time": {"started": None},
    "a time of no calendar": {"started": "2026-13-45T99:00:00Z"},
    "a time before the calendar": {"started": "0001-01-01T00:00:00+23:59"},
    "a duration in words": {"seconds": "fast"},
    "a duration that is no number": {"seconds": float("nan")},
    "an endless duration": {"seconds": float("inf")},
    "a negative duration": {"seconds": -1},
    "a truth for a duration": {"seconds": True},
    "a huge duration": {"seconds": 10**400},
    "no phases": {"phases": None},
    "phases in words": {"phases": ["artifacts"]},
    "a phase of no known status": {"phases": [{**past_run()["phases"][0], "status": "fine"}]},
    "a phase that lasts words": {"phases": [{**past_run()["phases"][0], "seconds": "2"}]},
    "a negative depth": {"phases": [{**past_run()["phases"][0], "depth": -1}]},
    "failed without an error": {"ok": False, "error": None},
    "neither good nor bad": {"ok": "yes"},
    "causes in words": {"causes": "I edited a file"},
    "a cause with numbers for files": {"causes": [{**CAUSE, "files": [1]}]},
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_a_file_that_is_not_a_complete_record_is_skipped_and_named(
    tmp_path: Path, content: Any
) -> None:
    good = past_run()
    save_runs(tmp_path, [good])
    path = tmp_path / "broken.json"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, str):
        path.write_text(content)
    elif isinstance(content, dict) and "version" not in content:
        path.write_text(json.dumps({**good, **content}))
    else:
        path.write_text(json.dumps(content))
    found = read_runs(tmp_path)
    assert (len(found.runs), found.skipped) == (1, ("broken.json",))


def test_a_folder_in_place_of_a_record_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "folder.json").mkdir()
    assert read_runs(tmp_path).skipped == ("folder.json",)


def test_texts_lose_characters_that_a_page_cannot_show(tmp_path: Path) -> None:
    record = past_run()
    record["phases"][0]["detail"] = "\x1b[31mred\x1b[0m\x00 and \ud800 half,\ntwo lines"
    (tmp_path / "a.json").write_text(json.dumps(record))
    [run] = read_runs(tmp_path).runs
    assert run.phases[0].detail == "red and ? half, two lines"
