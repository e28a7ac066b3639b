"""The JSON record of a run: the same rows as on the screen, for scripts and for later."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hashlab.errors import HashlabError, tail
from hashlab.pipeline import Row, RunResult
from hashlab.state.files import names, remove, write_json

KEPT = 200
RECORD = re.compile(r"[0-9]{4}-.*Z-.*\.json")
OUTPUT_LINES = 200


def run_record(
    command: str,
    lab: str,
    provider: str,
    result: RunResult,
    *,
    peak_memory: int = 0,
    causes: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """The record of one run; ``peak_memory`` in bytes. ``causes``: why it had anything to do,
    each with ``what``, ``files`` and ``more``. docs/reference/json.md describes each field.
    """
    return {
        "command": command,
        "lab": lab,
        "provider": provider,
        "started": moment(result.started),
        "seconds": round(result.seconds, 3),
        "ok": result.ok,
        "peak_memory": peak_memory,
        "causes": [dict(cause) for cause in causes],
        "phases": [phase_record(row) for row in result.rows],
        "error": None if result.error is None else error_record(result.error),
    }


def error_record(error: HashlabError) -> dict[str, Any]:
    """What the message says, as fields; of a long output the end."""
    return {
        "what": error.what,
        "where": error.where,
        "output": tail(error.output, lines=OUTPUT_LINES),
        "next_step": error.next_step,
        "exit_code": int(error.exit_code),
    }


def save_record(folder: Path, record: dict[str, Any]) -> Path:
    """Write the record as ``<time>-<command>.json``; of all records the newest 200 stay."""
    time = str(record["started"]).replace(":", "-")
    path = folder / f"{time}-{record['command']}.json"
    write_json(path, record)
    for old in [name for name in names(folder) if RECORD.fullmatch(name)][:-KEPT]:
        remove(folder / old)
    return path


def moment(unix: float) -> str:
    """Unix time in seconds → ISO 8601 in UTC with milliseconds."""
    text = datetime.fromtimestamp(unix, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def phase_record(row: Row) -> dict[str, Any]:
    """A row as fields."""
    return {
        "name": row.name,
        "machine": row.machine,
        "service": row.service,
        "started": None if row.started is None else moment(row.started),
        "seconds": round(row.seconds, 3),
        "status": row.status,
        "detail": row.detail,
        "bytes_sent": row.bytes_sent,
        "depth": row.depth,
    }
