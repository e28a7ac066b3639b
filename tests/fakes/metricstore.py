"""A metrics store that answers as prepared."""

from __future__ import annotations

from collections.abc import Sequence

from hashlab.errors import StoreError
from hashlab.protocols import Measured


class FakeMetricStore:
    """protocols.MetricStore. ``answers``: by question, None for one that fails; other questions
    find nothing. ``failing``: how many of the next inserts are refused.
    """

    def __init__(self) -> None:
        self.answers: dict[str, Sequence[Measured] | None] = {}
        self.inserted: list[str] = []
        self.failing = 0
        self.closed = 0

    def query(self, text: str, *, at: float | None = None) -> list[Measured]:
        found = self.answers.get(text, ())
        if found is None:
            raise StoreError("the metrics store does not answer: timed out")
        return list(found)

    def insert(self, text: str) -> None:
        if self.failing:
            self.failing -= 1
            raise StoreError("the metrics store does not answer: timed out")
        self.inserted += text.splitlines()

    def close(self) -> None:
        self.closed += 1
