"""The parts of a screen for people: tables, lines and alarms, independent of how to draw them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hashlab.report.formats import Tone


@dataclass(frozen=True)
class Cell:
    """A text and its tone."""

    text: str
    tone: Tone = "plain"


@dataclass(frozen=True)
class Column:
    """A column. ``right``: aligned right, for numbers; ``long``: it may take several lines."""

    header: str
    right: bool = False
    long: bool = False


@dataclass(frozen=True)
class Table:
    """Rows of cells, and ``total`` below them."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    total: tuple[Cell, ...] = ()
    title: str = ""


@dataclass(frozen=True)
class Lines:
    """Lines of text, never cut, so that addresses stay whole."""

    cells: tuple[Cell, ...]
    title: str = ""


@dataclass(frozen=True)
class Alarm:
    """A text in a frame that nobody overlooks."""

    title: str
    text: str


Block = Table | Lines | Alarm


def without_empty_columns(table: Table) -> Table:
    """Return the table without its empty columns."""
    everything = [*table.rows, *([table.total] if table.total else [])]
    kept = [i for i in range(len(table.columns)) if any(row[i].text for row in everything)]

    def narrowed(row: Sequence[Cell]) -> tuple[Cell, ...]:
        return tuple(row[i] for i in kept) if row else ()

    return replace(
        table,
        columns=tuple(table.columns[i] for i in kept),
        rows=tuple(narrowed(row) for row in table.rows),
        total=narrowed(table.total),
    )


def pairs(values: dict[str, str]) -> tuple[Cell, ...]:
    """Return names and values as lines with aligned values."""
    width = max((len(name) for name in values), default=0)
    return tuple(Cell(f"  {name:<{width}}  {value}") for name, value in values.items())
