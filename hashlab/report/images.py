"""The screen of `hashlab images`: the image of each service and its layers."""

from __future__ import annotations

from typing import TextIO

from hashlab.documents.images import ServiceImage, ServiceImages
from hashlab.report.formats import size
from hashlab.report.terminal import show
from hashlab.report.view import Block, Cell, Column, Lines, Table

COLUMNS = (
    Column("image"),
    Column("size", right=True),
    Column("digest"),
    Column("", long=True),
)
# Digits of a digest that people compare.
DIGITS = 12


def show_images(document: ServiceImages, stream: TextIO) -> None:
    """Show the self-contained images of a lab."""
    show(images_page(document), stream)


def images_page(document: ServiceImages) -> list[Block]:
    """Return the blocks of the screen: each image, and its layers below it."""
    rows = [row for image in document.images for row in _rows(image)]
    blocks: list[Block] = [
        Table(COLUMNS, tuple(rows), title=f"images of lab {document.lab} ({len(document.images)})")
    ]
    if document.notes:
        notes = tuple(Cell(f"  {note}", "warn") for note in document.notes)
        blocks.append(Lines(notes, title="Notes"))
    return blocks


def _rows(image: ServiceImage) -> list[tuple[Cell, ...]]:
    head = (Cell(image.image, "strong"), Cell(size(image.bytes)), _digest(image.digest), Cell(""))
    layers = [
        (Cell(""), Cell(size(layer.bytes), "dim"), _digest(layer.digest), Cell(layer.origin, "dim"))
        for layer in image.layers
    ]
    return [head, *layers]


def _digest(digest: str) -> Cell:
    return Cell(digest.partition(":")[2][:DIGITS])
