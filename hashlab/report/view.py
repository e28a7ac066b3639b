"""What a page for people is made of: tables, lines and alarms, free of how they are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hashlab.report.words import Tone


@dataclass(frozen=True)
class Cell:
    """A piece of text and what it means."""

    text: str
    tone: Tone = "plain"


@dataclass(frozen=True)
class Column:
    """A column's header; numbers stand ``right``; a ``long`` column may take several lines."""

    header: str
    right: bool = False
    long: bool = False


@dataclass(frozen=True)
class Table:
    """Rows of cells; ``total`` is set off below them."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    total: tuple[Cell, ...] = ()
    title: str = ""


@dataclass(frozen=True)
class Lines:
    """Lines of text under each other; never cut, so that addresses stay whole."""

    cells: tuple[Cell, ...]
    title: str = ""


@dataclass(frozen=True)
class Alarm:
    """A text that must not be overlooked."""

    title: str
    text: str


Block = Table | Lines | Alarm


def without_empty_columns(table: Table) -> Table:
    """The table without columns in which nothing stands."""
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
    """Names and values as lines with the values under each other."""
    width = max((len(name) for name in values), default=0)
    return tuple(Cell(f"  {name:<{width}}  {value}") for name, value in values.items())
