"""The page of `hashlab doctor`: what the laptop has, what it lacks, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO

from hashlab.report.terminal import show
from hashlab.report.view import Block, Cell, Column, Lines, Table
from hashlab.report.words import SYMBOLS

Check = tuple[str, bool, str, str]
COLUMNS = (Column("check"), Column(""), Column("detail", long=True))


def show_checks(rows: Sequence[Check], stream: TextIO) -> None:
    """Show checks, each ``(name, ok, detail, next step)``."""
    show(checks_page(rows), stream)


def checks_page(rows: Sequence[Check]) -> list[Block]:
    """The blocks of the page: all checks, then what to do about the failed ones."""
    blocks: list[Block] = [Table(COLUMNS, tuple(_row(*row) for row in rows))]
    todo = tuple(Cell(f"  {name}: {step}", "strong") for name, ok, _, step in rows if not ok)
    closing = Lines((Cell("All is there.", "good"),))
    blocks.append(Lines(todo, title="What to do") if todo else closing)
    return blocks


def _row(name: str, ok: bool, detail: str, _: str) -> tuple[Cell, ...]:
    sign = SYMBOLS["ok" if ok else "failed"]
    said = Cell("ok", "good") if ok else Cell("missing", "bad")
    return Cell(f"{sign} {name}", "strong"), said, Cell(detail)
