"""Figures of earlier runs: how long they take, how that changes, what took longer this time.

Pure functions of numbers and rows. docs/reference/report.md gives the limits below.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from statistics import median, quantiles

from hashlab.documents.report import Change, Figures, Longer, Trend
from hashlab.pipeline import Row

# The newest runs, which are drawn and whose trend is computed.
RECENT = 50
# Fewer runs than this have no trend: a third of them would be too few.
LEAST_FOR_TREND = 9
# A change smaller than either limit is noise.
TREND_SHARE = 0.10
TREND_SECONDS = 0.1
# A phase took longer than usual if it exceeds both limits; "usual" needs some runs.
LONGER_FACTOR = 1.5
LONGER_SECONDS = 0.3
LEAST_FOR_USUAL = 3


def figures(seconds: list[float]) -> Figures | None:
    """Return median and spread; None without runs."""
    if not seconds:
        return None
    if len(seconds) == 1:
        return Figures(*seconds * 5)
    lower, middle, upper = quantiles(seconds, n=4, method="inclusive")
    return Figures(middle, min(seconds), lower, upper, max(seconds))


def trend(seconds: Sequence[float]) -> Trend | None:
    """Compare the newest third of the newest runs with their oldest third; oldest come first."""
    recent = seconds[-RECENT:]
    if len(recent) < LEAST_FOR_TREND:
        return None
    third = len(recent) // 3
    oldest, newest = median(recent[:third]), median(recent[-third:])
    difference = newest - oldest
    change: Change = "faster" if difference < 0 else "slower"
    if abs(difference) < max(TREND_SHARE * oldest, TREND_SECONDS):
        change = "steady"
    return Trend(change, oldest, newest)


def longer(rows: Sequence[Row], earlier: Iterable[Sequence[Row]]) -> list[Longer]:
    """Return the rows that took longer than in earlier runs, most seconds lost first."""
    before: dict[tuple[object, ...], list[Row]] = defaultdict(list)
    for run in earlier:
        for key, row in _named(run):
            if row.status in ("ok", "skipped"):
                before[key].append(row)
    slower = []
    for index, (key, row) in enumerate(_named(rows)):
        known = before.get(key, ())
        if row.started is None or len(known) < LEAST_FOR_USUAL:
            continue
        usual = median(other.seconds for other in known)
        if row.seconds >= usual * LONGER_FACTOR and row.seconds - usual >= LONGER_SECONDS:
            idle = sum(other.status == "skipped" for other in known)
            slower.append(Longer(index, row.seconds, usual, len(known), idle))
    return sorted(slower, key=lambda row: round(row.usual - row.seconds, 3))


def _named(rows: Sequence[Row]) -> Iterator[tuple[tuple[object, ...], Row]]:
    """Yield each row with a key that is the same in every run; repeated rows are numbered."""
    seen: Counter[tuple[object, ...]] = Counter()
    for row in rows:
        name = (row.name, row.machine, row.service)
        seen[name] += 1
        yield (*name, seen[name]), row
