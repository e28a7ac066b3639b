"""The JSON record of a run: its shape, and the folder that keeps the newest ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hashlab.documents import to_json
from hashlab.documents.run import OUTPUT_LINES, Cause, run_record
from hashlab.errors import Interrupted, LabError
from hashlab.pipeline import RunResult
from hashlab.report import save_record
from hashlab.report.record import KEPT


def written(*words: Any, **more: Any) -> Any:
    """Return the JSON of a run record."""
    return to_json(run_record(*words, **more))


def test_a_record_has_the_documented_shape(good: RunResult) -> None:
    record = written("refresh", "demo", "docker", good, peak_memory=61_440_000)
    assert list(record) == [
        "command",
        "lab",
        "provider",
        "started",
        "seconds",
        "ok",
        "peak_memory",
        "causes",
        "phases",
        "error",
    ]
    assert record["peak_memory"] == 61_440_000
    assert record["started"] == "2023-11-14T22:13:20.250Z"
    assert (record["seconds"], record["ok"], record["error"]) == (4.21, True, None)
    assert record["phases"][1] == {
        "name": "upload",
        "machine": "web",
        "service": None,
        "started": "2023-11-14T22:13:22.750Z",
        "seconds": 0.04,
        "status": "ok",
        "detail": "3 sent",
        "bytes_sent": 18_400_000,
        "depth": 0,
    }
    assert [phase["depth"] for phase in record["phases"]] == [0, 0, 0, 1, 0]


def test_a_record_has_the_causes_of_the_run(good: RunResult) -> None:
    cause = {"what": "artifact user", "files": ["user/src/main/java/Users.java"], "more": 0}
    assert written("refresh", "demo", "docker", good)["causes"] == []
    record = written(
        "refresh",
        "demo",
        "docker",
        good,
        causes=[Cause("artifact user", ("user/src/main/java/Users.java",))],
    )
    assert record["causes"] == [cause]
    assert json.loads(json.dumps(record)) == record


def test_a_failure_is_recorded_with_everything_the_message_says(bad: RunResult) -> None:
    record = written("dev", "demo", "docker", bad)
    assert record["ok"] is False
    assert record["error"] == {
        "what": "nginx did not become healthy in 60 s",
        "where": "web",
        "output": "first line\nconnect() failed (111: Connection refused)",
        "next_step": "hashlab ssh web",
        "exit_code": 4,
    }
    assert [phase["status"] for phase in record["phases"]] == ["failed", "cancelled", "not-reached"]
    assert record["phases"][2]["started"] is None


def test_a_record_is_plain_json(bad: RunResult) -> None:
    record = written("dev", "demo", "docker", bad)
    assert json.loads(json.dumps(record)) == record


def test_ctrl_c_is_recorded_with_its_exit_code() -> None:
    result = RunResult((), 0.0, 1.0, Interrupted("interrupted. Half done: boot"))
    assert written("dev", "demo", "docker", result)["error"]["exit_code"] == 130


def test_of_a_long_output_the_end_is_kept() -> None:
    output = "\n".join(f"line {number}" for number in range(10_000))
    result = RunResult((), 0.0, 1.0, LabError("failed", output=output))
    kept = written("dev", "demo", "docker", result)["error"]["output"].splitlines()
    assert (len(kept), kept[-1]) == (OUTPUT_LINES, "line 9999")


def test_a_record_is_saved_under_its_time_and_command(tmp_path: Path, good: RunResult) -> None:
    record = run_record("init-box", "demo", "docker", good)
    path = save_record(tmp_path / "runs", record)
    assert path == tmp_path / "runs" / "2023-11-14T22-13-20.250Z-init-box.json"
    assert json.loads(path.read_text()) == to_json(record)
    assert list(path.parent.iterdir()) == [path]


def test_only_the_newest_records_are_kept_and_other_files_left_alone(
    tmp_path: Path, good: RunResult
) -> None:
    (tmp_path / "mine.json").write_text("{}")
    for number in range(KEPT + 5):
        (tmp_path / f"2022-01-01T00-00-00.{number:03d}Z-dev.json").write_text("{}")
    path = save_record(tmp_path, run_record("dev", "demo", "docker", good))
    names = sorted(file.name for file in tmp_path.iterdir())
    assert len(names) == KEPT + 1
    assert names[0] == "2022-01-01T00-00-00.006Z-dev.json"
    assert {path.name, "mine.json"} <= set(names)
