"""The screen of `hashlab ps`: one line for each container."""

from __future__ import annotations

from typing import TextIO

from hashlab.documents.ps import Container, Containers
from hashlab.report.formats import Tone, age
from hashlab.report.terminal import show
from hashlab.report.view import Block, Cell, Column, Lines, Table, without_empty_columns

COLUMNS = (
    Column("name"),
    Column("service"),
    Column("machine"),
    Column("state"),
    Column("since", right=True),
    Column("image"),
    Column("ports", long=True),
)
TONES: dict[str, Tone] = {"running": "good", "exited": "dim", "created": "dim"}


def show_containers(document: Containers, stream: TextIO, *, now: float) -> None:
    """Show the containers of a lab. ``now``: Unix time."""
    show(containers_page(document, now), stream)


def containers_page(document: Containers, now: float) -> list[Block]:
    """Return the blocks of the screen."""
    if not document.containers:
        return [Lines((Cell("no container runs: hashlab ps --all, hashlab dev", "dim"),))]
    rows = tuple(_row(container, now) for container in document.containers)
    return [without_empty_columns(Table(COLUMNS, rows))]


def _row(container: Container, now: float) -> tuple[Cell, ...]:
    how = {"exited": f" ({container.exit_code})", "running": f", {container.health}"}
    known = container.state != "running" or container.health
    state = f"{container.state}{how.get(container.state, '') if known else ''}"
    tone: Tone = "bad" if container.health == "unhealthy" else TONES.get(container.state, "warn")
    return (
        Cell(container.name, "strong"),
        Cell(container.service),
        Cell(container.machine),
        Cell(state, tone),
        Cell(age(container.since, now)),
        Cell(container.image),
        Cell(", ".join(container.ports)),
    )
