"""Draws the live screen of `hashlab top`, as large as the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import Self, TextIO

from rich.cells import cell_len, set_cell_size
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from hashlab.documents.logs import LogLine
from hashlab.documents.status import Status
from hashlab.documents.usage import Usage
from hashlab.report.formats import Tone, one_line
from hashlab.report.overview import (
    MACHINE_COLUMNS,
    SERVICE_COLUMNS,
    heading,
    log_cell,
    machine_rows,
    service_rows,
)
from hashlab.report.richview import STYLES
from hashlab.report.status import alert_cells
from hashlab.report.terminal import console as make_console
from hashlab.report.view import Cell, Column

KEYS = "r refresh, t restart, l logs, s shell, up and down choose, q quit"
BETWEEN = 2
# Rows of log lines that are shown at least; of the machines, at most a third of the rest.
LEAST_LOGS = 4
MOST_ALERTS = 3


@dataclass(frozen=True)
class TopView:
    """The content of one frame. ``chosen``: the place of a service's row; ``only``: the service
    whose log lines are shown, "" for all; ``now``: Unix time.
    """

    now: float
    status: Status | None = None
    usage: Usage = field(default_factory=Usage)
    logs: Sequence[LogLine] = ()
    chosen: int = 0
    only: str = ""
    message: str = ""
    tone: Tone = "plain"


class TopScreen:
    """Shows frames on the terminal's other screen during the block, and then its own again."""

    def __init__(self, stream: TextIO, *, console: Console | None = None) -> None:
        self._console = console or make_console(stream)
        self._live = self._made()

    def _made(self) -> Live:
        return Live(console=self._console, screen=True, auto_refresh=False)

    def show(self, view: TopView) -> None:
        """Draw a frame."""
        width, height = self._console.size
        self._live.update(Group(*frame(view, width, height)), refresh=True)

    def pause(self) -> None:
        """Give the terminal to another program."""
        self._live.stop()

    def resume(self) -> None:
        """Take the terminal again."""
        self._live = self._made()
        self._live.start()

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()


def frame(view: TopView, width: int, height: int) -> list[Text]:
    """Return the lines of the screen, exactly ``height``. Pure."""
    status = view.status
    clock = f"{datetime.fromtimestamp(view.now):%H:%M:%S}"
    title = heading(status) if status else "observing the machines …"
    lines = [_line(title.ljust(width - len(clock) - 1) + " " + clock, "strong", width), Text("")]
    foot = [_line(view.message, view.tone, width), _line(KEYS, "dim", width)]
    space = height - len(lines) - len(foot)
    if status is not None:
        machines = _columns(MACHINE_COLUMNS, machine_rows(status, view.usage), width)
        shown = machines[: max(2, (space - LEAST_LOGS) // 3)]
        services = _columns(
            SERVICE_COLUMNS, service_rows(status, view.usage, view.now), width, chosen=view.chosen
        )
        rest = max(2, space - len(shown) - 1 - 2 - LEAST_LOGS)
        lines += [*shown, Text(""), *_window(services, view.chosen, rest), Text("")]
        firing = alert_cells(status, view.now)
        lines += [_line(cell.text, cell.tone, width) for cell in firing[:MOST_ALERTS]]
    whose = f"Logs of {view.only}" if view.only else "Logs of all services"
    lines.append(_line(whose, "strong", width))
    count = height - len(lines) - len(foot)
    cells = [log_cell(line) for line in view.logs[-max(0, count) :]] if count > 0 else []
    lines += [_line(cell.text, cell.tone, width) for cell in cells]
    lines += [Text("")] * (height - len(lines) - len(foot))
    return [*lines[: height - len(foot)], *foot]


def _window(rows: list[Text], chosen: int, count: int) -> list[Text]:
    """Return the head, and as many rows around the chosen one as fit."""
    head, body = rows[:1], rows[1:]
    fitting = max(1, count - len(head))
    first = min(max(0, chosen - fitting // 2), max(0, len(body) - fitting))
    return [*head, *body[first : first + fitting]]


def _columns(
    columns: Sequence[Column], rows: Sequence[Sequence[Cell]], width: int, *, chosen: int = -1
) -> list[Text]:
    """Return a head and a line for each row; columns that do not fit are left out, the last first,
    and so are empty ones.
    """
    widths: list[tuple[int, int]] = []
    used = 2
    for number, column in enumerate(columns):
        texts = [one_line(row[number].text) for row in rows]
        if not any(texts):
            continue
        needed = max(map(cell_len, (column.header, *texts)))
        if used + needed > width:
            break
        widths.append((number, needed))
        used += needed + BETWEEN
    head = Text("  ", style="dim", no_wrap=True, overflow="crop")
    for number, needed in widths:
        head.append(_fitted(columns[number].header, needed, right=columns[number].right))
    return [head, *(_row(columns, row, widths, at == chosen) for at, row in enumerate(rows))]


def _row(
    columns: Sequence[Column],
    row: Sequence[Cell],
    widths: Sequence[tuple[int, int]],
    is_chosen: bool,
) -> Text:
    text = Text("▸ " if is_chosen else "  ", no_wrap=True, overflow="crop")
    for number, needed in widths:
        cell = row[number]
        content = _fitted(one_line(cell.text), needed, right=columns[number].right)
        text.append(content, style=STYLES[cell.tone])
    if is_chosen:
        text.stylize("reverse")
    return text


def _fitted(text: str, width: int, *, right: bool) -> str:
    blank = " " * (width - cell_len(text))
    return (blank + text if right else text + blank) + " " * BETWEEN


def _line(text: str, tone: Tone, width: int) -> Text:
    clean = one_line(text) if tone != "strong" else text
    cut = clean if cell_len(clean) <= width else set_cell_size(clean, max(0, width - 1)) + "…"
    return Text(cut, style=STYLES[tone], no_wrap=True, overflow="crop")
