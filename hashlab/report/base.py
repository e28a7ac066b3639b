"""What every report of a running workflow can do, and which one suits a stream."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Protocol, Self, TextIO

from hashlab.pipeline import Listener, RunResult
from hashlab.report.plain import PlainReport
from hashlab.report.terminal import is_rich


class Report(Listener, Protocol):
    """A listener that shows a run while the ``with`` block lasts."""

    def finish(
        self,
        result: RunResult,
        *,
        notes: Sequence[str] = (),
        urls: Mapping[str, str] | None = None,
    ) -> None:
        """End the display and show the table of phases, notes, addresses and the error."""

    def __enter__(self) -> Self:
        """Start to show."""
        ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop showing; what is on the screen stays there."""


def make_report(stream: TextIO, *, verbose: bool = False) -> Report:
    """The live report where the stream is a capable terminal, else the plain one.

    ``verbose`` shows the lines that tools underneath print. In JSON mode pass ``sys.stderr``.
    """
    if not is_rich(stream):
        return PlainReport(stream, verbose=verbose)
    from hashlab.report.live import LiveReport

    return LiveReport(stream, verbose=verbose)
