"""Writes to a stream: in colour on a capable terminal, else plain. Imports rich when needed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

from hashlab.report import plainview
from hashlab.report.formats import clean, clean_text, fitting
from hashlab.report.view import Block

if TYPE_CHECKING:
    from rich.console import Console


def is_rich(stream: TextIO, environment: Mapping[str, str] = os.environ) -> bool:
    """Return True for a terminal that can move its cursor and show the signs of a tree. NO_COLOR
    does not change that: rich removes the colours itself.
    """
    try:
        terminal = stream.isatty()
    except ValueError:
        return False
    signs = (stream.encoding or "").lower().replace("-", "") == "utf8"
    return terminal and signs and environment.get("TERM", "") not in ("", "dumb", "unknown")


def console(stream: TextIO) -> Console:
    """Return a rich console on the stream that takes every text literally."""
    from hashlab.report.safeconsole import SafeConsole  # noqa: PLC0415 (it imports rich)

    return SafeConsole(file=stream, highlight=False, markup=False, emoji=False)


def write(stream: TextIO, text: str) -> None:
    """Write text for people, cleaned, because it comes from outside. A reader that has
    closed the stream does not stop the run.
    """
    with suppress(OSError, ValueError):
        stream.write(fitting(clean_text(text), stream.encoding))
        stream.flush()


def write_value(stream: TextIO, value: str) -> None:
    """Write one line for programs: unchanged to a pipe or a file, cleaned to a terminal."""
    with suppress(ValueError):
        stream.write(f"{clean(value) if stream.isatty() else value}\n")


def width(stream: TextIO) -> int | None:
    """Return the width of the terminal; None if lines may be of any length."""
    return console(stream).width if is_rich(stream) else None


def show(blocks: Iterable[Block], stream: TextIO) -> None:
    """Draw a screen on the stream."""
    if not is_rich(stream):
        write(stream, plainview.drawn(blocks))
        return
    from hashlab.report.richview import draw  # noqa: PLC0415 (it imports rich)

    with suppress(OSError):
        draw(blocks, console(stream))
