"""The interface of reports of a running workflow, and the choice of one for a stream."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self, TextIO

from hashlab.pipeline import Listener, Row, Step
from hashlab.report.plain import PlainReport
from hashlab.report.terminal import is_rich


class Report(Listener, Protocol):
    """A listener that shows a run within a ``with`` block. ``show_result`` follows."""

    def __enter__(self) -> Self:
        """Start showing the run."""
        ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop showing the run. After an exception, everything shown so far stays."""


class Silent:
    """A listener that shows nothing, for short work."""

    def begin(self, step: Step) -> None:
        """Show nothing."""

    def update(self, step: Step) -> None:
        """Show nothing."""

    def end(self, step: Step, row: Row) -> None:
        """Show nothing."""

    def output(self, step: Step, line: str) -> None:
        """Show nothing."""


def make_report(stream: TextIO, *, verbose: bool = False) -> Report:
    """Return the live report for a capable terminal, else the plain one.

    ``verbose`` also shows the output of tools. In JSON mode pass ``sys.stderr``.
    """
    if not is_rich(stream):
        return PlainReport(stream, verbose=verbose)
    # Imported only here: rich takes longer to import than many a run without a terminal takes.
    from hashlab.report.live import LiveReport  # noqa: PLC0415

    return LiveReport(stream, verbose=verbose)
