"""Finds the critical path of a run: the phases that its end waited for, from their times."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hashlab.pipeline import Row

# A waiting step begins within this time after the end of the last one that it waited for.
SLACK_SECONDS = 0.02


def critical(rows: Sequence[Row]) -> list[int]:
    """Return the indices of the rows on the critical path, in order; parts follow their phase.

    The path ends with the phase that ended last. Before each phase comes the one that ended last
    before it began. Records do not contain dependencies, so this is inferred from the times.
    """
    return sorted(_path(rows, range(len(rows)), depth=0))


def _path(rows: Sequence[Row], places: Iterable[int], depth: int) -> list[int]:
    level = [i for i in places if rows[i].depth == depth and rows[i].started is not None]
    path: list[int] = []
    at = max(level, key=lambda i: (_end(rows[i]), rows[i].seconds), default=None)
    while at is not None:
        path += [at, *_path(rows, parts(rows, at), depth + 1)]
        at = _before(rows, level, at)
    return path


def parts(rows: Sequence[Row], place: int) -> range:
    """Return the indices of a row's parts and of their parts: the deeper rows that follow it."""
    end = place + 1
    while end < len(rows) and rows[end].depth > rows[place].depth:
        end += 1
    return range(place + 1, end)


def _before(rows: Sequence[Row], level: Sequence[int], at: int) -> int | None:
    """Return the row that ended last before this one began; of several, the longest."""
    begin = rows[at].started or 0.0
    ended = [
        i
        for i in level
        if _end(rows[i]) <= begin + SLACK_SECONDS and (rows[i].started or 0.0) < begin
    ]
    latest = max((_end(rows[i]) for i in ended), default=0.0)
    last = [i for i in ended if _end(rows[i]) >= latest - SLACK_SECONDS]
    return max(last, key=lambda i: rows[i].seconds, default=None)


def _end(row: Row) -> float:
    return (row.started or 0.0) + row.seconds
