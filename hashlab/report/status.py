"""The page of `hashlab status`: machines, services with what should and does run, addresses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TextIO

from hashlab.report.summary import addresses
from hashlab.report.terminal import show
from hashlab.report.view import Block, Cell, Column, Lines, Table, without_empty_columns
from hashlab.report.words import Tone

MACHINE_COLUMNS = (
    Column("machine"),
    Column("address"),
    Column("state"),
    Column("ssh"),
    Column("box"),
)
SERVICE_COLUMNS = (
    Column("service"),
    Column("machine"),
    Column("state"),
    Column("health"),
    Column("build"),
    Column("running build"),
    Column("", long=True),
)
TONES: dict[str, Tone] = {
    "running": "good",
    "healthy": "good",
    "starting": "warn",
    "restarting": "bad",
    "unhealthy": "bad",
    "unreachable": "bad",
    "unknown": "bad",
    "exited": "bad",
    "dead": "bad",
}


def show_status(document: Mapping[str, Any], stream: TextIO) -> None:
    """Show the status document (its fields: docs/reference/json.md)."""
    show(status_page(document), stream)


def status_page(document: Mapping[str, Any]) -> list[Block]:
    """The blocks of the page."""
    blocks: list[Block] = [_head(document)]
    if document["machines"]:
        rows = tuple(_machine(machine) for machine in document["machines"])
        blocks.append(without_empty_columns(Table(MACHINE_COLUMNS, rows)))
    if document["services"]:
        rows = tuple(_service(service) for service in document["services"])
        blocks.append(without_empty_columns(Table(SERVICE_COLUMNS, rows)))
    if document["urls"]:
        blocks.append(addresses(document["urls"]))
    if document["notes"]:
        notes = tuple(Cell(f"  {note}", "warn") for note in document["notes"])
        blocks.append(Lines(notes, title="Notes"))
    return blocks


def _head(document: Mapping[str, Any]) -> Lines:
    box = document["box"]
    tone: Tone = "warn"
    if box is None or not box.get("registered", True):
        said = "no box yet: hashlab init-box"
    elif box["stale"]:
        said = f"box {box['version']} is not built yet, an older one is there: hashlab init-box"
    else:
        said, tone = f"box {box['version']}", "plain"
    return Lines(
        (Cell(said, tone),), title=f"lab {document['lab']}, provider {document['provider']}"
    )


def _machine(machine: Mapping[str, Any]) -> tuple[Cell, ...]:
    ssh = machine["ssh"]
    return (
        Cell(machine["name"], "strong"),
        Cell(machine["address"] or ""),
        _state(machine["state"]),
        Cell(f"{ssh['user']}@{ssh['host']}:{ssh['port']}" if ssh else ""),
        Cell(f"older box {machine['recipe'] or ''}".strip(), "warn")
        if machine["stale"]
        else Cell(""),
    )


def _service(service: Mapping[str, Any]) -> tuple[Cell, ...]:
    build, running = service["build"], service["running_build"]
    differs = bool(build and running and build != running)
    return (
        Cell(service["name"], "strong"),
        Cell(service["machine"]),
        _state(service["state"]),
        _state(service["health"]),
        Cell(build or ""),
        Cell(running or "-", "bad" if differs else "plain"),
        Cell(service["problem"] or service["stale"] or ("differs" if differs else ""), "bad"),
    )


def _state(state: str | None) -> Cell:
    return Cell(state or "", TONES.get(state or "", "dim"))
