"""The screen of `hashlab snapshots`: name, age and size of each."""

from __future__ import annotations

from typing import TextIO

from hashlab.documents.snapshots import Snapshot, Snapshots
from hashlab.report.formats import age, moment, size
from hashlab.report.terminal import show
from hashlab.report.view import Block, Cell, Column, Lines, Table, without_empty_columns

COLUMNS = (
    Column("snapshot"),
    Column("taken"),
    Column("age", right=True),
    Column("size", right=True),
    Column("machines"),
    Column("", long=True),
)


def show_snapshots(document: Snapshots, stream: TextIO, *, now: float) -> None:
    """Show the snapshots of a lab. ``now``: Unix time."""
    show(snapshots_page(document, now), stream)


def snapshots_page(document: Snapshots, now: float) -> list[Block]:
    """Return the blocks of the screen."""
    snapshots = document.snapshots
    step = "hashlab restore NAME" if snapshots else "none yet: hashlab snapshot NAME"
    title = f"snapshots of lab {document.lab} ({len(snapshots)})"
    blocks: list[Block] = [Lines((Cell(step, "dim"),), title=title)]
    if snapshots:
        rows = tuple(_row(snapshot, now) for snapshot in snapshots)
        blocks.append(without_empty_columns(Table(COLUMNS, rows)))
    return blocks


def _row(snapshot: Snapshot, now: float) -> tuple[Cell, ...]:
    return (
        Cell(snapshot.name, "strong"),
        Cell(moment(snapshot.taken) if snapshot.taken is not None else ""),
        Cell(age(snapshot.taken, now)),
        Cell(size(snapshot.bytes) if snapshot.bytes is not None else ""),
        Cell(", ".join(snapshot.machines)),
        Cell(snapshot.note, "bad"),
    )
