"""The report for a terminal: a live tree of the running steps."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from hashlab.pipeline import Row, Step
from hashlab.report.formats import clean, title
from hashlab.report.livedraw import frame
from hashlab.report.terminal import console as make_console
from hashlab.report.ticker import Ticker
from hashlab.report.tree import Tree

# Five frames a second look smooth and leave the processors to the run itself.
FRAME_SECONDS = 0.2
# Lines of the terminal left free, so that a prompt or ^C does not scroll the display.
SPARE_LINES = 2


class LiveReport:
    """Draws at a steady pace from its own thread, so that many events cost nothing.

    ``clock`` must be that of the pipeline. Tests pass a ``console``.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        verbose: bool = False,
        clock: Callable[[], float] = time.time,
        console: Console | None = None,
    ) -> None:
        self._verbose = verbose
        self._clock = clock
        self._console = console or make_console(stream)
        self._lock = threading.Lock()
        self._tree = Tree()
        self._printed: list[Text] = []
        self._turn = 0
        self._started = clock()
        self._ticker = Ticker(FRAME_SECONDS, self.tick)
        self._live = Live(
            console=self._console,
            auto_refresh=False,
            get_renderable=self._frame,
            vertical_overflow="crop",
            redirect_stdout=_is_terminal(sys.stdout),
            redirect_stderr=_is_terminal(sys.stderr),
        )

    def begin(self, step: Step) -> None:
        """Show the step from the next frame on."""
        with self._lock:
            self._tree.begin(step)

    def update(self, step: Step) -> None:
        """Do nothing: each frame reads the step itself."""

    def end(self, step: Step, row: Row) -> None:
        """Show how the step ended."""
        with self._lock:
            self._tree.end(step, row)

    def output(self, step: Step, line: str) -> None:
        """With ``verbose``, show a tool's line above the tree."""
        if self._verbose:
            text = Text.assemble((f"{title(step)} ", "cyan"), ("│ ", "dim"), clean(line))
            with self._lock:
                self._printed.append(text)

    def tick(self) -> None:
        """Print the lines that arrived since the last frame, and draw a frame below them."""
        with self._lock:
            printed, self._printed = self._printed, []
            self._turn += 1
        with suppress(OSError), self._console:
            if printed:
                self._console.print(Text("\n").join(printed), soft_wrap=True)
            self._live.refresh()

    def __enter__(self) -> Self:
        self._started = self._clock()
        self._live.start()
        self._ticker.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ticker.stop()
        self.tick()
        # The table of phases that follows replaces the tree. After a bug, no table follows.
        self._live.transient = error is None
        with suppress(OSError):
            self._live.stop()

    def _frame(self) -> Group:
        now = self._clock()
        width, height = self._console.size
        with self._lock:
            lines = self._tree.lines(now, max(3, height - SPARE_LINES - 1))
            return frame(lines, width=width, turn=self._turn, spent=now - self._started)


def _is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and stream.isatty()
