"""Draws a screen in colour on a terminal, as wide as the terminal."""

from __future__ import annotations

from collections.abc import Iterable

import rich.table
from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.rule import Rule
from rich.text import Text

from hashlab.report.formats import Tone
from hashlab.report.view import Alarm, Block, Cell, Column, Lines, Table

STYLES: dict[Tone, str] = {
    "plain": "",
    "good": "green",
    "bad": "bold red",
    "warn": "yellow",
    "dim": "dim",
    "strong": "bold",
}
# The least width of a long column, and the space between two columns.
LEAST_LONG = 10
BETWEEN = 2


def draw(blocks: Iterable[Block], console: Console) -> None:
    """Print the screen; empty lines separate the blocks."""
    for number, block in enumerate(blocks):
        if number:
            console.print()
        _block(block, console)


def _block(block: Block, console: Console) -> None:
    match block:
        case Table():
            _heading(block.title, console)
            if least_width(block) <= console.width:
                console.print(_table(block))
            else:
                _upright(block, console)
        case Lines():
            _heading(block.title, console)
            for cell in block.cells:
                console.print(_text(cell), soft_wrap=True)
        case Alarm():
            _alarm(block, console)


def _heading(title: str, console: Console) -> None:
    if title:
        console.print(Text(title, style="bold"))


def _alarm(alarm: Alarm, console: Console) -> None:
    console.print(Rule(Text(alarm.title, style="bold red"), style="red", align="left"))
    for number, line in enumerate(alarm.text.splitlines()):
        strong = number == 0 or line.startswith("Next: ")
        console.print(Text(line, style="bold" if strong else ""), soft_wrap=True)
    console.print(Rule(style="red"))


def least_width(table: Table) -> int:
    """Return the width that the table needs if no text is to be cut."""
    everything = [*table.rows, *([table.total] if table.total else [])]
    widths = [
        LEAST_LONG
        if column.long
        else max(cell_len(text) for text in (column.header, *(row[n].text for row in everything)))
        for n, column in enumerate(table.columns)
    ]
    return sum(widths) + BETWEEN * (len(widths) - 1)


def _upright(table: Table, console: Console) -> None:
    """Print each row as lines below each other, for a terminal too narrow for the table."""
    for row in [*table.rows, *([table.total] if table.total else [])]:
        console.print(_text(row[0]), overflow="fold")
        for column, cell in zip(table.columns[1:], row[1:], strict=True):
            if cell.text:
                name = Text(f"{column.header} " if column.header else "", style="dim")
                line = Padding(Text.assemble(name, _text(cell), overflow="fold"), (0, 0, 0, 4))
                console.print(line)


def _table(table: Table) -> rich.table.Table:
    drawn = rich.table.Table(
        box=box.SIMPLE,
        pad_edge=False,
        show_edge=False,
        show_footer=bool(table.total),
        header_style="dim",
        footer_style="",
        padding=(0, 1, 0, 0),
    )
    for number, column in enumerate(table.columns):
        _add_column(drawn, column, table.total[number] if table.total else Cell(""))
    for row in table.rows:
        drawn.add_row(*(_text(cell) for cell in row))
    return drawn


def _add_column(drawn: rich.table.Table, column: Column, total: Cell) -> None:
    drawn.add_column(
        column.header,
        _text(total),
        justify="right" if column.right else "left",
        no_wrap=not column.long,
        overflow="fold" if column.long else "ellipsis",
        min_width=LEAST_LONG if column.long else None,
    )


def _text(cell: Cell) -> Text:
    return Text(cell.text, style=STYLES[cell.tone])
