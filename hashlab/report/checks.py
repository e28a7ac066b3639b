"""The page of `hashlab doctor`: what the laptop has, what it lacks, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO

from hashlab.report.terminal import show
from hashlab.report.view import Block, Cell, Column, Lines, Table
from hashlab.report.words import SYMBOLS

Check = tuple[str, bool, str, str, bool]
COLUMNS = (Column("check"), Column(""), Column("detail", long=True))


def show_checks(rows: Sequence[Check], stream: TextIO) -> None:
    """Show checks, each ``(name, ok, detail, next step, whether the lab needs it)``."""
    show(checks_page(rows), stream)


def checks_page(rows: Sequence[Check]) -> list[Block]:
    """The blocks of the page: all checks, then what to do about the failed ones, and what more
    could be had.
    """
    blocks: list[Block] = [Table(COLUMNS, tuple(_row(*row) for row in rows))]
    failed = [row for row in rows if row[4] and not row[1]]
    todo = tuple(Cell(f"  {name}: {step}", "strong") for name, _, _, step, _ in failed)
    more = tuple(Cell(f"  {row[0]}: {row[3]}") for row in rows if row[3] and row not in failed)
    closing = Lines((Cell("All is there.", "good"),))
    blocks.append(Lines(todo, title="What to do") if todo else closing)
    return [*blocks, Lines(more, title="What more could be had")] if more else blocks


def _row(name: str, ok: bool, detail: str, _: str, needed: bool) -> tuple[Cell, ...]:
    if ok:
        return Cell(f"{SYMBOLS['ok']} {name}", "strong"), Cell("ok", "good"), Cell(detail)
    if not needed:
        return Cell(f"{SYMBOLS['skipped']} {name}"), Cell("no", "dim"), Cell(detail)
    return Cell(f"{SYMBOLS['failed']} {name}", "strong"), Cell("missing", "bad"), Cell(detail)
