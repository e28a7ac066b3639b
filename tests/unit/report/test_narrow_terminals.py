"""On a terminal of any width nothing of a table is lost and no line is too long."""

from __future__ import annotations

import io
from collections import Counter

import pytest
from rich.console import Console

from hashlab.report import richview
from hashlab.report.view import Cell, Column, Table

COLUMNS = (
    Column("service"),
    Column("machine"),
    Column("seconds", right=True),
    Column("", long=True),
    Column("detail", long=True),
)
ROWS = (
    ("✓ collector", "services", "14.13", "", "replaced: its build changed"),
    ("✗ web", "front", "180.00", "build/differs-in-a-long-name", "not ready after 180 s"),
    ("○ seed", "", "", "", ""),
)
TOTAL = ("✗ total", "", "194.13", "", "1 ok, 1 failed, 1 not-reached")


def table(*, total: bool) -> Table:
    rows = tuple(tuple(Cell(text) for text in row) for row in ROWS)
    return Table(COLUMNS, rows, total=tuple(Cell(text) for text in TOTAL) if total else ())


def drawn(block: Table, width: int) -> str:
    stream = io.StringIO()
    richview.draw([block], Console(file=stream, width=width, color_system=None, markup=False))
    return stream.getvalue()


@pytest.mark.parametrize("total", [False, True])
@pytest.mark.parametrize("width", [16, 24, 40, 52, 53, 54, 55, 60, 80, 100, 200])
def test_a_table_never_loses_a_character(width: int, total: bool) -> None:
    lines = drawn(table(total=total), width).splitlines()
    assert max(len(line) for line in lines) <= width
    assert "…" not in "".join(lines)
    wanted = Counter("".join(text for row in (*ROWS, *([TOTAL] if total else [])) for text in row))
    del wanted[" "]
    missing = wanted - Counter("".join(lines))
    assert not missing


def test_a_table_that_does_not_fit_is_printed_as_lines() -> None:
    least = richview.least_width(table(total=True))
    assert "service      machine" in drawn(table(total=True), least)
    upright = drawn(table(total=True), least - 1).splitlines()
    assert [line.rstrip() for line in upright[:4]] == [
        "✓ collector",
        "    machine services",
        "    seconds 14.13",
        "    detail replaced: its build changed",
    ]
