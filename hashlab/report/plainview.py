"""Draws a screen as plain text, for files, pipes and simple terminals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hashlab.report.view import Alarm, Block, Cell, Column, Lines, Table

RULE = "─" * 80


def drawn(blocks: Iterable[Block]) -> str:
    """Return the screen as text; empty lines separate the blocks."""
    return "".join(f"{_block(block)}\n\n" for block in blocks)[:-1]


def _block(block: Block) -> str:
    match block:
        case Table():
            return "\n".join([*_heading(block.title), *_table(block)])
        case Lines():
            return "\n".join([*_heading(block.title), *(cell.text for cell in block.cells)])
        case Alarm():
            return f"{RULE[:3]} {block.title.upper()} {RULE}\n{block.text}\n{RULE}"


def _heading(title: str) -> list[str]:
    return [title] if title else []


def _table(table: Table) -> list[str]:
    header = tuple(Cell(column.header) for column in table.columns)
    everything = [header, *table.rows, *([table.total] if table.total else [])]
    widths = [max(len(row[i].text) for row in everything) for i in range(len(table.columns))]
    rule = RULE[0] * min(len(RULE), sum(widths) + 2 * (len(widths) - 1))
    lines = [_row(table.columns, row, widths) for row in everything]
    lines.insert(1, rule)
    if table.total:
        lines.insert(-1, rule)
    return lines


def _row(columns: Sequence[Column], row: Sequence[Cell], widths: Sequence[int]) -> str:
    texts = [
        cell.text.rjust(width) if column.right else cell.text.ljust(width)
        for column, cell, width in zip(columns, row, widths, strict=True)
    ]
    return "  ".join(texts).rstrip()
