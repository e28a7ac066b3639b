"""Finds what the end of a run waited for, from nothing but the times of its rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hashlab.pipeline import Row

# A step that waits begins within this of the end of the last it waited for.
SLACK_SECONDS = 0.02


def critical(rows: Sequence[Row]) -> list[int]:
    """Places of the rows on the path to the end, as they began; parts of such a phase after it.

    The path starts at the phase that ended last. Before a phase comes the one that ended last
    before it began. The record does not say what waited for what, so this is what the times tell.
    """
    return sorted(_path(rows, range(len(rows)), depth=0))


def _path(rows: Sequence[Row], places: Iterable[int], depth: int) -> list[int]:
    level = [i for i in places if rows[i].depth == depth and rows[i].started is not None]
    found: list[int] = []
    at = max(level, key=lambda i: (_end(rows[i]), rows[i].seconds), default=None)
    while at is not None:
        found += [at, *_path(rows, parts(rows, at), depth + 1)]
        at = _before(rows, level, at)
    return found


def parts(rows: Sequence[Row], place: int) -> range:
    """Places of the rows that are parts of a row, and of their parts: those that follow it."""
    end = place + 1
    while end < len(rows) and rows[end].depth > rows[place].depth:
        end += 1
    return range(place + 1, end)


def _before(rows: Sequence[Row], level: Sequence[int], at: int) -> int | None:
    """The row that ended last before this one began; of several at that instant the longest."""
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
