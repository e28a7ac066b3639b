"""Saves the records of runs, the same rows as on the screen, for scripts and for the report."""

from __future__ import annotations

import re
from pathlib import Path

from hashlab.documents import iso_time, to_json
from hashlab.documents.run import RunRecord
from hashlab.state.files import names, remove, write_json

KEPT = 200
RECORD = re.compile(r"[0-9]{4}-.*Z-.*\.json")


def save_record(folder: Path, record: RunRecord) -> Path:
    """Write the record as ``<time>-<command>.json``, and delete all but the newest 200 records."""
    time = iso_time(record.started).replace(":", "-")
    path = folder / f"{time}-{record.command}.json"
    write_json(path, to_json(record))
    for old in [name for name in names(folder) if RECORD.fullmatch(name)][:-KEPT]:
        remove(folder / old)
    return path
