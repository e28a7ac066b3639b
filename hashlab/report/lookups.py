"""The screen of `hashlab status --services`: where names lead to, and where services run."""

from __future__ import annotations

from typing import TextIO

from hashlab.documents.lookups import Lookup, Lookups
from hashlab.report.terminal import show
from hashlab.report.view import Block, Cell, Column, Lines, Table

COLUMNS = (
    Column("service"),
    Column("network"),
    Column("asked on"),
    Column("its name leads to"),
    Column("runs", long=True),
)


def show_lookups(names: Lookups, stream: TextIO) -> None:
    """Show where the names of services lead to."""
    show(lookups_page(names), stream)


def lookups_page(names: Lookups) -> list[Block]:
    """Return the blocks of the screen."""
    if not names.names:
        return [Lines((Cell("no service runs in a network of the lab", "dim"),))]
    return [Table(COLUMNS, tuple(map(_row, names.names)))]


def _row(name: Lookup) -> tuple[Cell, ...]:
    found = ", ".join(name.addresses) or "nothing"
    runs = f"{', '.join(name.running)} ({', '.join(name.containers)})"
    return (
        Cell(name.service, "strong"),
        Cell(name.network),
        Cell(name.machine),
        Cell(found, "plain" if name.ok else "bad"),
        Cell(runs, "plain" if name.ok else "bad"),
    )
