"""The page of `hashlab snapshots`."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import Any

from hashlab.report import show_snapshots

NOW = datetime(2026, 1, 3, 10, 0, tzinfo=UTC)
GOOD = {
    "name": "before-upgrade",
    "taken": "2026-01-01T09:00:00Z",
    "bytes": 117_232_999,
    "machines": ["front", "back"],
    "note": "",
}
CUT_OFF = {"name": "cut", "taken": None, "bytes": None, "machines": [], "note": "unfinished"}


def shown(*snapshots: dict[str, Any]) -> str:
    stream = io.StringIO()
    document = {"lab": "hello", "provider": "docker", "snapshots": list(snapshots)}
    show_snapshots(document, stream, now=NOW)
    return stream.getvalue()


def test_the_page_tells_name_time_age_size_and_machines() -> None:
    said = shown(GOOD)
    for word in ("lab hello (1)", "before-upgrade", "2026-01-01T09:00:00Z", "2 d", "117.2 MB"):
        assert word in said
    assert "front, back" in said


def test_what_is_not_known_is_left_out_and_why_is_told() -> None:
    said = shown(GOOD, CUT_OFF)
    assert "None" not in said
    assert "unfinished" in said


def test_a_lab_without_snapshots_is_told_how_to_take_one() -> None:
    assert "hashlab snapshot NAME" in shown()
