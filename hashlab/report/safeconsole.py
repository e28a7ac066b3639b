"""The console through which everything passes that is drawn on a terminal."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from hashlab.report.words import CONTROLS, clean_text


class SafeConsole(Console):
    """Draws no control character but rich's own: a name or a message from outside could move the
    cursor, change the title or make the terminal answer as if somebody typed.
    """

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """See Console."""
        for segment in super().render(renderable, options):
            if segment.control is None and CONTROLS.search(segment.text):
                yield Segment(clean_text(segment.text), segment.style)
            else:
                yield segment
