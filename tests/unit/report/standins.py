"""A clock that is told the time, and a stream that pretends to be a terminal."""

from __future__ import annotations

import io

STARTED = 1_700_000_000.25


class Clock:
    """Time that passes only when told."""

    def __init__(self) -> None:
        self.now = STARTED

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def __init__(self, encoding: str = "utf-8") -> None:
        super().__init__()
        self._encoding = encoding

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._encoding

    def isatty(self) -> bool:
        return True
