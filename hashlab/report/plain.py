"""The report for files, pipes and CI: a line for each finished step, signs of life in long ones."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self, TextIO

from hashlab.pipeline import Row, Step
from hashlab.report.terminal import write
from hashlab.report.ticker import Ticker
from hashlab.report.words import SYMBOLS, amount, clean, one_line, seconds, title

LIFE_SECONDS = 10.0
LOOK_SECONDS = 1.0


class PlainReport:
    """Lines of text that stay; nothing moves. ``clock`` must be the one the pipeline uses."""

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
        """Remember when the step will be long enough to be mentioned."""
        with self._lock:
            self._running[step.id] = step
            self._next_sign[step.id] = step.started + LIFE_SECONDS

    def update(self, step: Step) -> None:
        """Say nothing: the detail stands in the step's last line."""

    def end(self, step: Step, row: Row) -> None:
        """Write the step's line."""
        with self._lock:
            self._running.pop(step.id, None)
            self._next_sign.pop(step.id, None)
            self._line(row.depth, SYMBOLS[row.status], row.status, row.seconds, _said(row))

    def output(self, step: Step, line: str) -> None:
        """Write a tool's line behind the step's name, where wanted."""
        if self._verbose:
            with self._lock:
                write(self._stream, f"    {title(step)} | {clean(line)}\n")

    def signs_of_life(self) -> None:
        """Write a line for each step that has run for another ten seconds without parts running."""
        with self._lock:
            now = self._clock()
            parents = {step.parent for step in self._running.values()}
            for step in self._running.values():
                if now < self._next_sign[step.id]:
                    continue
                while self._next_sign[step.id] <= now:
                    self._next_sign[step.id] += LIFE_SECONDS
                if step.id not in parents:
                    said = _said(step, _amount(step))
                    self._line(step.depth, "…", "running", now - step.started, said)

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

    def _line(self, depth: int, symbol: str, word: str, duration: float, said: str) -> None:
        time_taken = f"{seconds(duration):>7} s"
        write(self._stream, f"{symbol} {word:<11} {time_taken}  {'  ' * depth}{said}\n")


def _said(step: Row | Step, amount_said: str = "") -> str:
    parts = ", ".join(part for part in (amount_said, one_line(step.detail)) if part)
    return f"{title(step)}: {parts}" if parts else title(step)


def _amount(step: Step) -> str:
    if not step.done and step.total is None:
        return ""
    return amount(step.done, step.total, step.unit)
