"""The screen of `hashlab deploy`: what differs between the stack in the Swarm and the lab."""

from __future__ import annotations

from typing import TextIO

from hashlab.documents.deployment import Change, DeployedFile, DeployedService, Deployment
from hashlab.report.formats import Tone
from hashlab.report.terminal import show
from hashlab.report.view import Block, Cell, Column, Lines, Table, without_empty_columns

COLUMNS = (
    Column(""),
    Column("change"),
    Column("what"),
    Column("image"),
    Column("before"),
)
# Digits of a digest that people compare.
DIGITS = 12
TONES: dict[Change, Tone] = {"new": "good", "changed": "warn", "removed": "bad", "same": "dim"}


def show_deployment(document: Deployment, stream: TextIO) -> None:
    """Show what a deployment changes, or has changed."""
    show(deployment_page(document), stream)


def deployment_page(document: Deployment) -> list[Block]:
    """Return the blocks of the screen: services, then secrets and configs, then notes."""
    rows = [_service(each) for each in document.services]
    rows += [_file(each) for each in document.files]
    head = "would change" if document.planned else "changed"
    title = f"stack {document.stack} on {document.place}: what {head}"
    blocks: list[Block] = [without_empty_columns(Table(COLUMNS, tuple(rows), title=title))]
    if document.notes:
        notes = tuple(Cell(f"  {note}", "warn") for note in document.notes)
        blocks.append(Lines(notes, title="Notes"))
    return blocks


def _service(service: DeployedService) -> tuple[Cell, ...]:
    before = service.before if service.before != service.image else None
    return (
        Cell(service.service, "strong"),
        Cell(service.change, TONES[service.change]),
        Cell(", ".join(service.why)),
        _digest(service.image),
        _digest(before),
    )


def _file(file: DeployedFile) -> tuple[Cell, ...]:
    named = Cell(f"{file.kind} {file.name}")
    return (named, Cell(file.change, TONES[file.change]), Cell(""), Cell(""), Cell(""))


def _digest(image: str | None) -> Cell:
    return Cell((image or "").rpartition(":")[2][:DIGITS], "dim")
