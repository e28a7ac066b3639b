"""Log lines as rows of the log store, and the queries that find them."""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby

from hashlab.documents.logs import LEVELS, Level, LogLine
from hashlab.logs.entries import place_of
from hashlab.logs.gathering import Gathered
from hashlab.logs.selection import Selection
from hashlab.protocols import LogStore

# The store drops a row of more than 2 MB, and a character may take six bytes in JSON.
ROW_LENGTH = 250_000
# Rows that are read and sorted at once.
PAGE = 5000
# Expressions that mean the same to the store as to Python: letters, digits and other signs that
# stand for themselves, escaped signs, and the usual repetitions, groups and alternatives.
COMMON_REGEX = re.compile(r"(?:[^\W_]|[ _\-:;,=@#%&<>~\"'/!]|\\[^\w\s]|[.*+?|)^]|\((?!\?))+")
# Fields by which the store tells streams apart. An id or a build would make a stream of each.
STREAM_FIELDS = ("lab", "machine", "service", "replica", "unit")


def rows_of(lab: str, gathered: Gathered, *, pull: int) -> list[dict[str, object]]:
    """Return the rows of a line: one, or several of a line that is too long for one.

    ``pull`` counts what was brought into the store from this machine. With it and ``entries``, a
    reader that starts again knows which entries the store has.
    """
    line = gathered.line
    row: dict[str, object] = {
        "_time": round(line.time * 1e6) * 1000,
        "_msg": line.message,
        "lab": lab,
        "machine": line.machine,
        "service": line.service,
        "replica": None if line.replica is None else str(line.replica),
        "running_build": line.running_build,
        "unit": line.unit,
        "level": line.level,
        "source": gathered.source[1],
        "entries": _entries(gathered.cursors),
        "pull": pull,
    }
    row = {name: value for name, value in row.items() if value is not None}
    if len(line.message) <= ROW_LENGTH:
        return [row]
    starts = range(0, len(line.message), ROW_LENGTH)
    return [
        {**row, "_msg": line.message[start : start + ROW_LENGTH], "part": number}
        for number, start in enumerate(starts, start=1)
    ]


def _entries(cursors: Sequence[str]) -> str:
    """Describe the entries of one line as JOURNAL:FIRST-LAST. They follow each other among those of
    their source; a journal that begins anew in between makes another such word.
    """
    words = []
    for journal, places in groupby(map(place_of, cursors), key=lambda place: place[0]):
        numbers = [number for _, number in places]
        words.append(f"{journal}:{numbers[0]}-{numbers[-1]}")
    return " ".join(words)


class Known:
    """The entries of one machine that the store has. ``pull``: the last one that brought any."""

    def __init__(self, rows: Iterable[Mapping[str, str]]) -> None:
        self.pull = 0
        self._ranges: dict[tuple[str, str], list[tuple[int, int]]] = {}
        for row in rows:
            self.pull = max(self.pull, int(row["pull"]))
            for word in row["entries"].split():
                journal, _, numbers = word.partition(":")
                first, _, last = numbers.partition("-")
                ranges = self._ranges.setdefault((row["source"], journal), [])
                ranges.append((int(first), int(last)))
        for ranges in self._ranges.values():
            ranges.sort()

    def has(self, source: str, cursor: str) -> bool:
        """Return whether the store has an entry."""
        journal, number = place_of(cursor)
        ranges = self._ranges.get((source, journal), [])
        place = bisect_right(ranges, (number, number), key=lambda each: (each[0], number))
        return place > 0 and ranges[place - 1][1] >= number


def read_known(store: LogStore, lab: str, machine: str, *, after: int) -> Known:
    """Return which entries of a machine the store has got since a pull. Raises StoreError."""
    where = f"{{lab={quoted(lab)},machine={quoted(machine)}}}"
    store.flush()
    return Known(store.query(f"{where} pull:>{after} | fields source, entries, pull"))


def stored_lines(store: LogStore, lab: str, selection: Selection) -> Iterator[LogLine]:
    """Yield the stored lines that are wanted, in the order of time. Some that ``selection`` does
    not accept, or that precede the last ``selection.tail`` ones, may be among them. Raises
    StoreError.
    """
    store.flush()
    query = _query(lab, selection)
    begin = _begin_of_last(store, query, selection)
    for _, parts in groupby(_rows(store, query, begin), key=_identity):
        yield _line(list(parts))


def is_stored(selection: Selection) -> bool:
    """Return whether the store can find the wanted lines: journalctl alone knows patterns of
    units.
    """
    return not any(set(unit) & set("*?[") for unit in selection.units)


def _begin_of_last(store: LogStore, query: str, selection: Selection) -> str:
    """Return the time from which on the last lines are; "" if all must be read to find them."""
    if selection.tail is None or selection.grep is not None:
        return ""
    times = _times(store, f"{query} !part:>1", limit=max(selection.tail, 1), order=" desc")
    return times[-1] if times else ""


def _rows(store: LogStore, query: str, begin: str) -> Iterator[Mapping[str, str]]:
    """Yield all rows in order, a page at a time. The store is asked where a page ends, because it
    refuses to sort more than fits into its memory.
    """
    limit = PAGE
    while True:
        after = f"_time:>={begin} " if begin else ""
        times = _times(store, f"{after}{query}", limit=limit)
        if len(times) < limit:
            yield from sorted(store.query(f"{after}{query}"), key=_order)
            return
        end = times[-1]
        if end == begin:
            limit *= 2
            continue
        yield from sorted(store.query(f"{after}_time:<{end} {query}"), key=_order)
        begin, limit = end, PAGE


def _times(store: LogStore, query: str, *, limit: int, order: str = "") -> list[str]:
    """Return the times of the first rows in an order."""
    found = store.query(f"{query} | fields _time | sort by (_time{order}) limit {limit}")
    return [row["_time"] for row in found]


def _query(lab: str, selection: Selection) -> str:
    """Return the LogsQL filter for the wanted rows, and perhaps some more."""
    machines = ",".join(map(quoted, selection.machines))
    words = [f"{{lab={quoted(lab)},machine in ({machines})}}"]
    if selection.units:
        words.append(f"unit:in({','.join(quoted(_unit(unit)) for unit in selection.units)})")
    elif selection.services:
        # The marks of what happened to a service have no source.
        words.append(f"source:* service:in({','.join(map(quoted, selection.services))})")
    else:
        words.append('source:* !source:~"^unit "')
    if selection.since is not None:
        words.append(f"_time:>={_moment(selection.since)}")
    if selection.until is not None:
        words.append(f"_time:<={_moment(selection.until)}")
    if selection.level is not None:
        words.append(f"level:in({','.join(LEVELS[LEVELS.index(selection.level) :])})")
    if selection.grep is not None and _takes(selection.grep):
        words.append(f"(_msg:~{quoted(selection.grep.pattern)} or part:*)")
    return " ".join(words)


def _takes(pattern: re.Pattern[str]) -> bool:
    return COMMON_REGEX.fullmatch(pattern.pattern) is not None


def _unit(name: str) -> str:
    return name.removesuffix(".service")


def _moment(unix: float) -> str:
    return datetime.fromtimestamp(unix, UTC).isoformat().replace("+00:00", "Z")


def quoted(text: str) -> str:
    """Return a text as LogsQL writes it."""
    return json.dumps(text, ensure_ascii=False)


def _identity(row: Mapping[str, str]) -> tuple[str, str, str]:
    return row["machine"], row["source"], row["entries"]


def _order(row: Mapping[str, str]) -> tuple[float, str, int, int]:
    """Return what orders rows: the time, then the place in the journal of their machine."""
    first = int(row["entries"].partition(":")[2].partition("-")[0])
    return _unix(row["_time"]), row["machine"], first, int(row.get("part", 0))


def _unix(moment: str) -> float:
    return round(datetime.fromisoformat(moment).timestamp(), 6)


def _line(parts: Sequence[Mapping[str, str]]) -> LogLine:
    row = parts[0]
    replica = row.get("replica")
    return LogLine(
        time=_unix(row["_time"]),
        machine=row["machine"],
        service=row.get("service"),
        replica=int(replica) if replica else None,
        running_build=row.get("running_build"),
        unit=row.get("unit"),
        level=_level(row.get("level")),
        message="".join(part.get("_msg", "") for part in parts),
    )


def _level(text: str | None) -> Level | None:
    return next((level for level in LEVELS if level == text), None)
