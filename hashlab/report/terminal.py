"""What a stream can show: a live display in colour, or lines only. Imports rich when needed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

from hashlab.report import plainview
from hashlab.report.view import Block
from hashlab.report.words import clean, clean_text, fitting

if TYPE_CHECKING:
    from rich.console import Console


def is_rich(stream: TextIO, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the stream is a terminal with a cursor that can be moved and signs for a tree.
    NO_COLOR does not change that: it takes the colours away, and rich itself sees to it.
    """
    try:
        terminal = stream.isatty()
    except ValueError:
        return False
    signs = (stream.encoding or "").lower().replace("-", "") == "utf8"
    return terminal and signs and environment.get("TERM", "") not in ("", "dumb", "unknown")


def console(stream: TextIO) -> Console:
    """A rich console on the stream that takes every text literally."""
    from hashlab.report.safeconsole import SafeConsole  # noqa: PLC0415 (it imports rich)

    return SafeConsole(file=stream, highlight=False, markup=False, emoji=False)


def write(stream: TextIO, text: str) -> None:
    """Write text for people, clean: names, messages and outputs come from outside. A reader that
    went away is no reason to stop a run.
    """
    with suppress(OSError, ValueError):
        stream.write(fitting(clean_text(text), stream.encoding))
        stream.flush()


def write_value(stream: TextIO, value: str) -> None:
    """Write one line for programs: as it is into a pipe or a file, clean on a terminal."""
    with suppress(ValueError):
        stream.write(f"{clean(value) if stream.isatty() else value}\n")


def width(stream: TextIO) -> int | None:
    """Columns of the terminal; None: lines may be as long as they like."""
    return console(stream).width if is_rich(stream) else None


def show(blocks: Iterable[Block], stream: TextIO) -> None:
    """Draw a page on the stream as well as the stream can."""
    if not is_rich(stream):
        write(stream, plainview.drawn(blocks))
        return
    from hashlab.report.richview import draw  # noqa: PLC0415 (it imports rich)

    with suppress(OSError):
        draw(blocks, console(stream))
