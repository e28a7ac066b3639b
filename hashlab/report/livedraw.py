"""Draws the lines of a running workflow for a terminal of a given width."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size
from rich.console import Group
from rich.text import Text

from hashlab.report.formats import SYMBOLS, TONES, amount, elapsed, one_line
from hashlab.report.richview import STYLES
from hashlab.report.tree import Line

SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
WIDEST = 110
# Columns left free at the right, so that ^C from the terminal does not start a new line.
SPARE = 3
BAR = 20
CLOCK = 10
# Wide enough for most names, so that the columns rarely move.
LEAST_LABEL = 16


def frame(lines: Sequence[Line], *, width: int, turn: int, spent: float) -> Group:
    """Return all lines and, below them, the time of the whole run. ``turn`` moves the spinner."""
    usable = min(width, WIDEST) - SPARE
    most = max(12, usable // 3)
    needed = max((cell_len(_label(line)) for line in lines), default=0)
    label = min(most, max(LEAST_LABEL, needed))
    drawn = [_line(line, label, usable, SPINNER[turn % len(SPINNER)]) for line in lines]
    total = Text(elapsed(spent).rjust(usable), style="dim", no_wrap=True, overflow="crop")
    return Group(*drawn, total)


def _label(line: Line) -> str:
    return "  " * line.depth + line.label


def _line(line: Line, label: int, width: int, spin: str) -> Text:
    """Return ``✓ name  bar, amount, detail  seconds``; the middle takes the remaining width."""
    text = Text(no_wrap=True, overflow="crop")
    indent = "  " * line.depth
    if line.status is None:
        text.append(f"{indent}{spin if line.seconds is not None else ' '} ", style="cyan")
    else:
        text.append(f"{indent}{SYMBOLS[line.status]} ", style=STYLES[TONES[line.status]])
    name = _cut(line.label, label - len(indent))
    text.append(name, style="bold" if line.depth == 0 else "")
    text.append(" " * (label - len(indent) - cell_len(name)) + "  ")
    middle = _middle(line, width - text.cell_len - CLOCK)
    text.append_text(middle)
    text.append(" " * (width - text.cell_len - CLOCK))
    clock = "" if line.seconds is None else elapsed(line.seconds)
    text.append(clock.rjust(CLOCK), style="" if line.status is None else "dim")
    return text


def _middle(line: Line, width: int) -> Text:
    text = Text()
    if line.status is None and line.total:
        text.append_text(_bar(line.done / line.total, min(BAR, width // 3)))
        text.append(" ")
    progress = amount(line.done, line.total, line.unit) if _counts(line) else ""
    parts = ", ".join(part for part in (progress, one_line(line.detail)) if part)
    style = STYLES["bad"] if line.status == "failed" else "dim"
    text.append(_cut(parts, width - text.cell_len), style=style)
    return text


def _counts(line: Line) -> bool:
    return line.status is None and (line.total is not None or line.done > 0)


def _bar(share: float, width: int) -> Text:
    full = round(max(0.0, min(1.0, share)) * width)
    return Text.assemble(("━" * full, "cyan"), ("─" * (width - full), "dim"))


def _cut(text: str, width: int) -> str:
    """Return the text in at most ``width`` columns, with an ellipsis if it is cut."""
    if width <= 0:
        return ""
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, width - 1).rstrip() + "…"
