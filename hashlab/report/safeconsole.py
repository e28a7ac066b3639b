"""The console that draws everything on a terminal."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from hashlab.report.formats import CONTROLS, clean_text


class SafeConsole(Console):
    """Draws only rich's own control characters. Others, in a name or message from outside, could
    move the cursor, change the title or make the terminal send input.
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
