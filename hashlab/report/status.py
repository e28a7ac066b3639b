"""The screen of `hashlab status`: machines, services with what should and does run, addresses."""

from __future__ import annotations

import json
from typing import TextIO

from hashlab.documents import to_json
from hashlab.documents.status import BoxStatus, MachineStatus, ServiceStatus, Status
from hashlab.report.formats import Tone, age, clean
from hashlab.report.summary import addresses
from hashlab.report.terminal import console, is_rich, show
from hashlab.report.view import Block, Cell, Column, Lines, Table, without_empty_columns

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
    Column("replica", right=True),
    Column("state"),
    Column("since", right=True),
    Column("restarts", right=True),
    Column("build"),
    Column("runs"),
    Column("", long=True),
)
TONES: dict[str, Tone] = {
    "running": "good",
    "starting": "warn",
    "unhealthy": "bad",
    "restarting": "bad",
    "stopped": "bad",
    "intercepted": "warn",
    "paused": "bad",
    "unknown": "bad",
    "unreachable": "bad",
    "not created": "dim",
}


def show_status(status: Status, stream: TextIO, *, now: float) -> None:
    """Show the status of a lab. ``now``: Unix time."""
    show(status_page(status, now), stream)


class StatusScreen:
    """Shows one status after another: on a terminal in the place of the one before, elsewhere only
    if it differs.
    """

    def __init__(self, stream: TextIO, *, as_json: bool = False) -> None:
        self._stream, self._json = stream, as_json
        self._console = console(stream) if is_rich(stream) and not as_json else None
        self._shown: Status | None = None

    def show(self, status: Status, now: float) -> None:
        """Show a status. ``now``: Unix time."""
        if self._console is not None:
            self._console.clear()
        elif status == self._shown:
            return
        self._shown = status
        if self._json:
            self._stream.write(f"{json.dumps(to_json(status))}\n")
            self._stream.flush()
        else:
            show_status(status, self._stream, now=now)


def status_page(status: Status, now: float) -> list[Block]:
    """Return the blocks of the screen."""
    several = {service.name for service in status.services if service.replica > 1}
    machines = tuple(_machine(machine) for machine in status.machines)
    services = tuple(_service(row, now, numbered=row.name in several) for row in status.services)
    blocks: list[Block] = [_head(status)]
    if machines:
        blocks.append(without_empty_columns(Table(MACHINE_COLUMNS, machines)))
    if services:
        blocks.append(without_empty_columns(Table(SERVICE_COLUMNS, services)))
    if status.alerts:
        blocks.append(Lines(alert_cells(status, now), title="Alerts"))
    if status.urls:
        blocks.append(addresses(status.urls))
    if status.notes:
        notes = tuple(Cell(f"  {note}", "warn") for note in status.notes)
        blocks.append(Lines(notes, title="Notes"))
    return blocks


def alert_cells(status: Status, now: float) -> tuple[Cell, ...]:
    """Return a line for each alert that fires."""
    return tuple(
        Cell(f"  {each.alert}: {clean(each.text)}, for {age(each.since, now)}", "bad")
        for each in status.alerts
    )


def _head(status: Status) -> Lines:
    title = f"lab {status.lab}, provider {status.provider}"
    return Lines((_box(status.box),) if status.box else (), title=title)


def _box(box: BoxStatus) -> Cell:
    if not box.registered:
        return Cell("no box yet: hashlab dev builds it", "warn")
    if box.stale:
        text = f"box {box.version} is not built yet, an older one exists: hashlab init-box"
        return Cell(text, "warn")
    return Cell(f"box {box.version}")


def _machine(machine: MachineStatus) -> tuple[Cell, ...]:
    ssh = machine.ssh
    return (
        Cell(machine.name, "strong"),
        Cell(machine.address),
        Cell(machine.state, TONES[machine.state]),
        Cell(f"{ssh.user}@{ssh.host}:{ssh.port}" if ssh else ""),
        Cell(f"older box {machine.recipe or ''}".strip() if machine.stale else "", "warn"),
    )


def _service(service: ServiceStatus, now: float, *, numbered: bool) -> tuple[Cell, ...]:
    running = service.running_build
    differs = bool(running) and running != service.build
    # A build that differs is shown in full; the usual case must fit into 80 columns.
    runs = "same" if running == service.build else running or "-"
    return (
        Cell(service.name, "strong"),
        Cell(service.machine),
        Cell(str(service.replica) if numbered else ""),
        state_cell(service),
        Cell(age(service.healthy_since or service.since, now)),
        Cell(str(service.restarts or "")),
        Cell(service.build),
        Cell(runs, "bad" if differs else "plain"),
        _remark(service, now, differs=differs),
    )


def _remark(service: ServiceStatus, now: float, *, differs: bool) -> Cell:
    """Return what is wrong with a service, else how it ended last if that was by itself."""
    wrong = service.problem or service.stale or ("differs" if differs else "")
    last = service.last_exit
    if last is None or service.stopped_by == "command" or not (wrong or service.restarts):
        return Cell(wrong, "bad")
    code = "" if last.code is None else f" ({last.code})"
    line = f": {clean(last.line)}" if last.line else ""
    ended = f"ended{code} {age(last.time, now)} ago{line}"
    return Cell(f"{wrong}; {ended}" if wrong else ended, "bad" if wrong else "warn")


def state_cell(service: ServiceStatus) -> Cell:
    """Return the state, what a health check adds to it, and how an ended service ended."""
    if service.state == "ended":
        return Cell(f"ended ({service.exit_code})", "bad" if service.problem else "dim")
    if service.stopped_by == "command":
        return Cell("stopped", "dim")
    if service.holder is not None:
        return Cell(f"on {service.holder}", "warn")
    healthy = service.state == "running" and service.health == "healthy"
    return Cell("running, healthy" if healthy else service.state, TONES[service.state])
