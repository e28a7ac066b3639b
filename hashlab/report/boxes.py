"""The screen of `hashlab box`: the boxes of this laptop, their sizes, their users."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TextIO

from hashlab.documents.boxes import Box, Boxes
from hashlab.report.formats import age, size
from hashlab.report.terminal import show
from hashlab.report.view import Block, Cell, Column, Lines, Table, without_empty_columns

BOX_COLUMNS = (
    Column("box"),
    Column("recipe"),
    Column("size", right=True),
    Column("age", right=True),
    Column(""),
    Column("system", long=True),
    Column("used by", long=True),
)
PART_COLUMNS = (Column("where the bytes are"), Column("size", right=True))


def show_boxes(document: Boxes, stream: TextIO, *, now: float) -> None:
    """Show the boxes of this laptop. ``now``: Unix time."""
    show(boxes_page(document, now), stream)


def boxes_page(document: Boxes, now: float) -> list[Block]:
    """Return the blocks of the screen: all boxes, then the contents of each."""
    boxes = document.boxes
    promised = document.promised_bytes
    limit = f"a box of the example takes {size(promised)} at most"
    head = Cell(f"provider {document.provider}, {limit}")
    blocks: list[Block] = [Lines((head,), title=f"boxes of this laptop ({len(boxes)})")]
    if boxes:
        rows = tuple(_row(box, promised, now) for box in boxes)
        blocks.append(without_empty_columns(Table(BOX_COLUMNS, rows)))
    blocks += [_contents(box) for box in boxes if box.parts]
    if document.notes:
        notes = tuple(Cell(f"  {note}", "warn") for note in document.notes)
        blocks.append(Lines(notes, title="Notes"))
    return blocks


def _row(box: Box, promised: int, now: float) -> tuple[Cell, ...]:
    large = (box.bytes or 0) > promised
    system = [box.os, box.docker and f"Docker {box.docker}"]
    system.append(box.kernel and f"kernel {box.kernel}")
    return (
        Cell(box.name, "strong"),
        Cell(box.recipe),
        Cell(size(box.bytes) if box.bytes else "", "warn" if large else "plain"),
        Cell(age(box.created, now)),
        _state(box),
        Cell(", ".join(part for part in system if part)),
        Cell(", ".join(box.machines) or "-"),
    )


def _state(box: Box) -> Cell:
    if not box.usable:
        return Cell("not usable", "bad")
    return Cell("current", "good") if box.current else Cell("")


def _contents(box: Box) -> Table:
    """Return the parts, whose sizes add up to the box's, and the images and packages in them."""
    rows = [(Cell(part, "strong"), Cell(size(count))) for part, count in box.parts.items()]
    rows += [(Cell(f"  image {name}"), _size(count)) for name, count in _sorted(box.images)]
    rows += [(Cell(f"  package {name}"), _size(count)) for name, count in _sorted(box.packages)]
    return Table(PART_COLUMNS, tuple(rows), title=f"{box.name} {box.version}")


def _sorted(sizes: Mapping[str, int | None]) -> list[tuple[str, int | None]]:
    return sorted(sizes.items(), key=lambda item: -(item[1] or 0))


def _size(count: int | None) -> Cell:
    return Cell(size(count) if count else "", "dim")
