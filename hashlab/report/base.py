"""What every report of a running workflow can do, and which one suits a stream."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self, TextIO

from hashlab.pipeline import Listener, Row, Step
from hashlab.report.plain import PlainReport
from hashlab.report.terminal import is_rich


class Report(Listener, Protocol):
    """A listener that shows a run while the ``with`` block lasts; ``show_result`` follows."""

    def __enter__(self) -> Self:
        """Start to show."""
        ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop showing; after an exception nothing that was shown is taken away."""


class Silent:
    """A listener that shows nothing, for work too short to be watched."""

    def begin(self, step: Step) -> None:
        """Say nothing."""

    def update(self, step: Step) -> None:
        """Say nothing."""

    def end(self, step: Step, row: Row) -> None:
        """Say nothing."""

    def output(self, step: Step, line: str) -> None:
        """Say nothing."""


def make_report(stream: TextIO, *, verbose: bool = False) -> Report:
    """The live report where the stream is a capable terminal, else the plain one.

    ``verbose`` shows the lines that tools underneath print. In JSON mode pass ``sys.stderr``.
    """
    if not is_rich(stream):
        return PlainReport(stream, verbose=verbose)
    # Here, not above: importing rich takes longer than many a run without a terminal.
    from hashlab.report.live import LiveReport  # noqa: PLC0415

    return LiveReport(stream, verbose=verbose)
