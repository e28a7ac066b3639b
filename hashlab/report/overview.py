"""The screen of `hashlab top`, once: machines, services and the last log lines."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TextIO

from hashlab.documents import json_text
from hashlab.documents.logs import Level, LogLine
from hashlab.documents.overview import Overview
from hashlab.documents.status import MachineStatus, ServiceStatus, Status
from hashlab.documents.usage import MachineUsage, ReplicaUsage, Usage
from hashlab.report.formats import Tone, age, one_line, share, size
from hashlab.report.logs import readable
from hashlab.report.status import TONES, alert_cells, state_cell
from hashlab.report.terminal import show
from hashlab.report.view import Block, Cell, Column, Lines, Table, without_empty_columns

# The columns that a narrow terminal can do without come last.
MACHINE_COLUMNS = (
    Column("machine"),
    Column("state"),
    Column("processor", right=True),
    Column("memory", right=True),
    Column("disk free", right=True),
    Column("in", right=True),
    Column("out", right=True),
)
SERVICE_COLUMNS = (
    Column("service"),
    Column("machine"),
    Column("state"),
    Column("since", right=True),
    Column("processor", right=True),
    Column("memory", right=True),
    Column("restarts", right=True),
    Column("build"),
)
LEVEL_TONES: Mapping[Level | None, Tone] = {
    "trace": "dim",
    "debug": "dim",
    "warn": "warn",
    "error": "bad",
    "fatal": "bad",
}


def show_overview(overview: Overview, stream: TextIO, *, now: float, as_json: bool) -> None:
    """Show the lab. ``now``: Unix time."""
    if as_json:
        stream.write(f"{json_text(overview)}\n")
    else:
        show(overview_page(overview, now), stream)


def overview_page(overview: Overview, now: float) -> list[Block]:
    """Return the blocks of the screen."""
    status, usage = overview.status, overview.usage
    services = tuple(service_rows(status, usage, now))
    blocks: list[Block] = [
        Lines((), title=heading(status)),
        without_empty_columns(Table(MACHINE_COLUMNS, tuple(machine_rows(status, usage)))),
    ]
    if services:
        blocks.append(without_empty_columns(Table(SERVICE_COLUMNS, services)))
    if status.alerts:
        blocks.append(Lines(alert_cells(status, now), title="Alerts"))
    if overview.logs:
        blocks.append(Lines(tuple(map(log_cell, overview.logs)), title="Last log lines"))
    return blocks


def heading(status: Status) -> str:
    """Return the lab, and how much of it runs."""
    up = sum(machine.state == "running" for machine in status.machines)
    serving = sum(service.state == "running" for service in status.services)
    return (
        f"lab {status.lab}, provider {status.provider}, "
        f"{up} of {len(status.machines)} machines and "
        f"{serving} of {len(status.services)} services running"
    )


def machine_rows(status: Status, usage: Usage) -> list[tuple[Cell, ...]]:
    """Return a row for each machine."""
    used = {each.machine: each for each in usage.machines}
    return [_machine(machine, used.get(machine.name)) for machine in status.machines]


def _machine(machine: MachineStatus, used: MachineUsage | None) -> tuple[Cell, ...]:
    start = (Cell(machine.name, "strong"), Cell(machine.state, TONES[machine.state]))
    if used is None or machine.state != "running":
        return (*start, *(Cell("") for _ in MACHINE_COLUMNS[len(start) :]))
    disk: Tone = "bad" if used.disk_available_bytes < used.disk_total_bytes / 20 else "plain"
    return (
        *start,
        Cell("" if used.cpu_cores is None else f"{used.cpu_cores:.2f} of {used.cpus:g}"),
        Cell(share(used.memory_bytes, used.memory_limit_bytes)),
        Cell(size(used.disk_available_bytes), disk),
        Cell(_rate(used.network_received_bytes_per_second)),
        Cell(_rate(used.network_sent_bytes_per_second)),
    )


def _rate(value: float | None) -> str:
    return "" if value is None else f"{size(int(value))}/s"


def service_rows(status: Status, usage: Usage, now: float) -> list[tuple[Cell, ...]]:
    """Return a row for each replica of a service."""
    used = {(each.service, each.replica): each for each in usage.services}
    several = {service.name for service in status.services if service.replica > 1}
    return [
        _service(row, used.get((row.name, row.replica)), now, numbered=row.name in several)
        for row in status.services
    ]


def _service(
    row: ServiceStatus, used: ReplicaUsage | None, now: float, *, numbered: bool
) -> tuple[Cell, ...]:
    differs = row.running_build not in (None, row.build)
    return (
        Cell(f"{row.name} {row.replica}" if numbered else row.name, "strong"),
        Cell(row.machine),
        state_cell(row),
        Cell(age(row.healthy_since or row.since, now)),
        Cell("" if used is None or used.cpu_cores is None else f"{used.cpu_cores:.2f}"),
        Cell("" if used is None or used.memory_bytes is None else size(used.memory_bytes)),
        Cell(str(row.restarts or ""), "warn"),
        Cell(row.running_build or "", "bad" if differs else "dim"),
    )


def log_cell(line: LogLine) -> Cell:
    """Return a log line on one line: its time, its service and its text."""
    name = line.service or f"{line.machine} {line.unit or ''}".rstrip()
    text = f"{datetime.fromtimestamp(line.time):%H:%M:%S} {name} | "
    return Cell(text + one_line(readable(line.message)), LEVEL_TONES.get(line.level, "plain"))
