"""The screen of `hashlab doctor`: what the laptop has, what it lacks, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO

from hashlab.documents.doctor import Check
from hashlab.report.formats import SYMBOLS
from hashlab.report.terminal import show
from hashlab.report.view import Block, Cell, Column, Lines, Table

COLUMNS = (Column("check"), Column(""), Column("detail", long=True))


def show_checks(checks: Sequence[Check], stream: TextIO) -> None:
    """Show the checks of the laptop."""
    show(checks_page(checks), stream)


def checks_page(checks: Sequence[Check]) -> list[Block]:
    """Return the blocks of the screen: all checks, what to do about those that failed, and what
    could be improved.
    """
    failed = [check for check in checks if check.needed and not check.ok]
    todo = tuple(Cell(f"  {check.name}: {check.next_step}", "strong") for check in failed)
    more = tuple(
        Cell(f"  {check.name}: {check.next_step}")
        for check in checks
        if check.next_step and check not in failed
    )
    blocks: list[Block] = [Table(COLUMNS, tuple(_row(check) for check in checks))]
    done = Lines((Cell("Nothing is missing.", "good"),))
    blocks.append(Lines(todo, title="What to do") if todo else done)
    return [*blocks, Lines(more, title="What could be improved")] if more else blocks


def _row(check: Check) -> tuple[Cell, ...]:
    if check.ok:
        name = Cell(f"{SYMBOLS['ok']} {check.name}", "strong")
        return name, Cell("ok", "good"), Cell(check.detail)
    if not check.needed:
        name = Cell(f"{SYMBOLS['skipped']} {check.name}")
        return name, Cell("no", "dim"), Cell(check.detail)
    name = Cell(f"{SYMBOLS['failed']} {check.name}", "strong")
    return name, Cell("missing", "bad"), Cell(check.detail)
