"""The screen at the end of a run: the table of phases, notes, addresses and the error."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TextIO

from hashlab.errors import HashlabError, Interrupted
from hashlab.pipeline import Row, RunResult, Status
from hashlab.report.formats import SYMBOLS, TONES, Tone, clean_text, one_line, seconds, size, title
from hashlab.report.terminal import show, width
from hashlab.report.view import Alarm, Block, Cell, Column, Lines, Table, pairs
from hashlab.report.view import without_empty_columns as tidy

MAIN_URL = "web"
WIDE = 100
WIDE_COLUMNS = (
    Column("phase"),
    Column("machine"),
    Column("service"),
    Column("seconds", right=True),
    Column("status"),
    Column("sent", right=True),
    Column("detail", long=True),
)
NARROW_COLUMNS = (Column("phase"), Column("seconds", right=True), Column("detail", long=True))


def show_result(
    result: RunResult,
    stream: TextIO,
    *,
    notes: Sequence[str] = (),
    urls: Mapping[str, str] | None = None,
) -> None:
    """Show the result of a run. ``urls``: id → address; the main one, ``web``, comes first."""
    show(summary(result, notes=notes, urls=urls or {}, columns=width(stream)), stream)


def show_error(error: HashlabError, stream: TextIO) -> None:
    """Show an expected error that ended a command before or outside a workflow."""
    name = "interrupted" if isinstance(error, Interrupted) else "failed"
    show([Alarm(name, clean_text(str(error)))], stream)


def summary(
    result: RunResult,
    *,
    notes: Sequence[str],
    urls: Mapping[str, str],
    columns: int | None,
) -> list[Block]:
    """Return the blocks of the screen for a terminal of this width (None: no limit)."""
    blocks: list[Block] = [phase_table(result, columns)]
    if notes:
        blocks.append(Lines(tuple(Cell(f"  {note}", "warn") for note in notes), title="Notes"))
    if urls:
        blocks.append(addresses(urls))
    if result.error is not None:
        name = "interrupted" if _status(result) == "cancelled" else "failed"
        blocks.append(Alarm(name, clean_text(str(result.error))))
    return blocks


def addresses(urls: Mapping[str, str]) -> Lines:
    """Return the addresses to open, the main one first and in bold."""
    ordered = dict(sorted(urls.items(), key=lambda item: item[0] != MAIN_URL))
    first, *rest = pairs(ordered)
    return Lines((Cell(first.text, "strong"), *rest), title="Open")


def phase_table(result: RunResult, columns: int | None) -> Table:
    """Return a row for each step, its parts indented below it. The total is wall-clock time."""
    narrow = columns is not None and columns < WIDE
    make = _narrow_row if narrow else _wide_row
    total = Row("total", None, None, None, result.seconds, _status(result), _counted(result))
    return tidy(
        Table(
            columns=NARROW_COLUMNS if narrow else WIDE_COLUMNS,
            rows=tuple(make(row, row.bytes_sent) for row in result.rows),
            total=make(total, sum(row.bytes_sent for row in result.rows)),
        )
    )


def _wide_row(row: Row, sent: int) -> tuple[Cell, ...]:
    return (
        _name(row, row.name),
        Cell(row.machine or ""),
        Cell(row.service or ""),
        _seconds(row),
        Cell(row.status, TONES[row.status]),
        Cell(size(sent) if sent else ""),
        _detail(row, row.detail),
    )


def _narrow_row(row: Row, sent: int) -> tuple[Cell, ...]:
    """Return a row whose name has machine and service, and whose detail has a bad status."""
    status = row.status if row.status != "ok" else ""
    parts = [status, row.detail, f"{size(sent)} sent" if sent else ""]
    return (
        _name(row, title(row, without=(row.name,) if row.depth else ())),
        _seconds(row),
        _detail(row, ", ".join(part for part in parts if part)),
    )


def _name(row: Row, text: str) -> Cell:
    tone: Tone = "strong" if row.depth == 0 else "plain"
    return Cell(f"{'  ' * row.depth}{SYMBOLS[row.status]} {text}", tone)


def _seconds(row: Row) -> Cell:
    return Cell(seconds(row.seconds) if row.status != "not-reached" else "")


def _detail(row: Row, text: str) -> Cell:
    return Cell(one_line(text), "bad" if row.status == "failed" else "dim")


def _status(result: RunResult) -> Status:
    if result.ok:
        return "ok"
    return "cancelled" if isinstance(result.error, Interrupted) else "failed"


def _counted(result: RunResult) -> str:
    """Return the number of phases of each status, without their parts."""
    counts = Counter(row.status for row in result.rows if row.depth == 0)
    return ", ".join(f"{counts[status]} {status}" for status in SYMBOLS if counts[status])
