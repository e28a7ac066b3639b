"""The report for files, pipes and CI: a line for each finished step, and signs of life."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self, TextIO

from hashlab.pipeline import Row, Step
from hashlab.report.formats import SYMBOLS, amount, clean, one_line, seconds, title
from hashlab.report.terminal import write
from hashlab.report.ticker import Ticker

LIFE_SECONDS = 10.0
LOOK_SECONDS = 1.0


class PlainReport:
    """Writes lines of text that stay. ``clock`` must be that of the pipeline."""

    def __init__(
        self,
        stream: TextIO,
        *,
        verbose: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._stream = stream
        self._verbose = verbose
        self._clock = clock
        self._lock = threading.Lock()
        self._running: dict[int, Step] = {}
        self._next_sign: dict[int, float] = {}
        self._ticker = Ticker(LOOK_SECONDS, self.signs_of_life)

    def begin(self, step: Step) -> None:
        """Schedule the step's first sign of life."""
        with self._lock:
            self._running[step.id] = step
            self._next_sign[step.id] = step.started + LIFE_SECONDS

    def update(self, step: Step) -> None:
        """Write nothing: the step's last line has the detail."""

    def end(self, step: Step, row: Row) -> None:
        """Write the step's line."""
        with self._lock:
            self._running.pop(step.id, None)
            self._next_sign.pop(step.id, None)
            self._line(row.depth, SYMBOLS[row.status], row.status, row.seconds, _text(row))

    def output(self, step: Step, line: str) -> None:
        """With ``verbose``, write a tool's line after the step's title."""
        if self._verbose:
            with self._lock:
                write(self._stream, f"    {title(step)} | {clean(line)}\n")

    def signs_of_life(self) -> None:
        """Write a line for each step without running parts that has run for another ten seconds."""
        with self._lock:
            now = self._clock()
            parents = {step.parent for step in self._running.values()}
            for step in self._running.values():
                if now < self._next_sign[step.id]:
                    continue
                while self._next_sign[step.id] <= now:
                    self._next_sign[step.id] += LIFE_SECONDS
                if step.id not in parents:
                    text = _text(step, _amount(step))
                    self._line(step.depth, "…", "running", now - step.started, text)

    def __enter__(self) -> Self:
        self._ticker.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ticker.stop()
        write(self._stream, "\n")

    def _line(self, depth: int, symbol: str, word: str, duration: float, text: str) -> None:
        time_taken = f"{seconds(duration):>7} s"
        write(self._stream, f"{symbol} {word:<11} {time_taken}  {'  ' * depth}{text}\n")


def _text(step: Row | Step, progress: str = "") -> str:
    parts = ", ".join(part for part in (progress, one_line(step.detail)) if part)
    return f"{title(step)}: {parts}" if parts else title(step)


def _amount(step: Step) -> str:
    if not step.done and step.total is None:
        return ""
    return amount(step.done, step.total, step.unit)
