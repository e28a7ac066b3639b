"""The page of `hashlab snapshots`: what is kept of the lab, how old and how large it is."""

from __future__ import annotations

from typing import TextIO

from hashlab.documents.snapshots import Snapshot, Snapshots
from hashlab.report.terminal import show
from hashlab.report.view import Block, Cell, Column, Lines, Table, without_empty_columns
from hashlab.report.words import age, moment, size

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
    """The blocks of the page."""
    snapshots = document.snapshots
    said = "none yet: hashlab snapshot NAME" if not snapshots else "hashlab restore NAME"
    title = f"snapshots of lab {document.lab} ({len(snapshots)})"
    blocks: list[Block] = [Lines((Cell(said, "dim"),), title=title)]
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
