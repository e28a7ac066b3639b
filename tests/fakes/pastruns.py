"""Records of runs that never took place, written by hashlab's own writer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hashlab.documents import to_json
from hashlab.documents.run import Cause, run_record
from hashlab.errors import HashlabError
from hashlab.pipeline import Row, RunResult

# 2026-11-24 08:00:00 UTC
MORNING = 1_795_507_200.0
CAUSE = {"what": "artifact user", "files": ["user/src/main/java/Users.java"], "more": 0}


def refresh_rows(started: float, *, build: float = 1.5, start: float = 0.5) -> tuple[Row, ...]:
    """The rows of a refresh of one service. ``connect`` runs in parallel to ``artifacts``, for
    whose end all others wait.
    """
    begun = started + build + 0.1
    ready = begun + 0.1 + start
    return (
        Row("artifacts", None, None, started, build + 0.1, "ok", "built user"),
        Row("connect", "broker", None, started, 0.31, "ok", "SSH on port 2200"),
        Row("connect", "services", None, started, 0.35, "ok", "SSH on port 2222"),
        Row("network", None, None, started + 0.35, 0.01, "skipped", "joined already"),
        Row("containers", None, None, begun, start + 0.1, "ok", "1 started"),
        Row("upload", "broker", None, begun, 0.05, "skipped", "4 unchanged", depth=1),
        Row("upload", "services", None, begun, 0.1, "ok", "1 sent", bytes_sent=18_321, depth=1),
        Row("container", "services", "user", begun + 0.1, start, "ok", "replaced", depth=1),
        Row("proof", None, None, ready, 0.2, "ok", "6 containers run what was built"),
        Row("seed", None, None, ready, 0.0, "skipped", "no data were lost"),
        Row("verify", None, None, ready + 0.2, 0.1, "ok", "7 checks passed"),
    )


def past_run(
    command: str = "refresh",
    *,
    number: int = 0,
    rows: Sequence[Row] | None = None,
    seconds: float | None = None,
    error: HashlabError | None = None,
    provider: str = "docker",
    causes: Sequence[Mapping[str, Any]] = (CAUSE,),
    build: float = 1.5,
    start: float = 0.5,
) -> dict[str, Any]:
    """Return the record of the run that began ``number`` minutes after the first one.

    It is a refresh of ``build + start + 0.5`` seconds unless rows are given.
    """
    started = MORNING + 60 * number
    rows = refresh_rows(started, build=build, start=start) if rows is None else tuple(rows)
    took = build + start + 0.5 if seconds is None else seconds
    result = RunResult(tuple(rows), started, took, error)
    why = [Cause(str(one["what"]), tuple(one["files"]), int(one["more"])) for one in causes]
    record: dict[str, Any] = to_json(run_record(command, "demo", provider, result, causes=why))
    return record


def save_runs(folder: Path, records: Sequence[dict[str, Any]]) -> Path:
    """Save records under the names that hashlab gives them; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for record in records:
        name = f"{record['started'].replace(':', '-')}-{record['command']}.json"
        (folder / name).write_text(json.dumps(record))
    return folder
