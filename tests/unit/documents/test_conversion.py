"""A document as JSON: names of fields, times, numbers, and back."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import pytest

from hashlab.documents import iso_time, json_text, to_json, unix_time
from hashlab.pipeline import UNIX_TIME, Row


@dataclass(frozen=True)
class Inner:
    seconds: float
    began: float | None = field(default=None, metadata=UNIX_TIME)


@dataclass(frozen=True)
class Outer:
    name: str
    ok: bool
    parts: tuple[Inner, ...]
    sizes: dict[str, int | None]


DOCUMENT = Outer("x", True, (Inner(1.23456, 1_700_000_000.25), Inner(2.0)), {"a": 5, "b": None})
WRITTEN = {
    "name": "x",
    "ok": True,
    "parts": [
        {"seconds": 1.235, "began": "2023-11-14T22:13:20.250Z"},
        {"seconds": 2.0, "began": None},
    ],
    "sizes": {"a": 5, "b": None},
}


def test_a_document_becomes_its_fields_with_times_as_text_and_rounded_numbers() -> None:
    assert to_json(DOCUMENT) == WRITTEN
    assert json.loads(json_text(DOCUMENT)) == WRITTEN


def test_a_row_that_never_began_has_no_time() -> None:
    assert to_json(Row("seed", None, None, None, 0.0, "not-reached"))["started"] is None


@pytest.mark.parametrize("unix", [0.0, 1_700_000_000.25, 253_370_764_800.0])
def test_a_time_that_was_written_is_read_back(unix: float) -> None:
    assert unix_time(iso_time(unix)) == unix


@pytest.mark.parametrize("text", ["2026-01-01T09:00:00", "2026-01-01T10:00:00+01:00"])
def test_a_time_without_a_zone_is_in_utc(text: str) -> None:
    assert iso_time(unix_time(text) or 0.0) == "2026-01-01T09:00:00.000Z"


@pytest.mark.parametrize("value", [None, "", "yesterday", 5, ["2026"]])
def test_what_is_not_a_time_is_none(value: object) -> None:
    assert unix_time(value) is None
