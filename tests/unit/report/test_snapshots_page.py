"""The page of `hashlab snapshots`."""

from __future__ import annotations

import io

from fakes.documents import NOW, all_snapshots, one_snapshot

from hashlab.documents.snapshots import Snapshot
from hashlab.report import show_snapshots


def shown(*snapshots: Snapshot) -> str:
    stream = io.StringIO()
    show_snapshots(all_snapshots(*snapshots), stream, now=NOW)
    return stream.getvalue()


def test_the_screen_shows_name_time_age_size_and_machines() -> None:
    said = shown(one_snapshot())
    for word in ("lab hello (1)", "before-upgrade", "2026-11-21 09:00:00 UTC", "2 d", "117.2 MB"):
        assert word in said
    assert "front, back" in said


def test_unknown_values_are_left_out_and_the_reason_is_shown() -> None:
    cut_off = Snapshot("cut", None, None, (), note="unfinished")
    said = shown(one_snapshot(), cut_off)
    assert "None" not in said
    assert "unfinished" in said


def test_without_snapshots_the_screen_says_how_to_take_one() -> None:
    assert "hashlab snapshot NAME" in shown()
