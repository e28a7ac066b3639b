"""Brings log lines into the order of time, and keeps lines together that belong together."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

from hashlab.documents.logs import LogLine
from hashlab.logs.entries import Entry
from hashlab.logs.levels import PRIORITIES, level_of

# A line is held for this long: its stack trace, and older lines of other machines, may follow.
HOLD_SECONDS = 0.1
# No line waits longer for older ones than this.
LATE_SECONDS = 0.3
# A program that indents each of its lines must not hold up all others.
MOST_SECONDS = 1.0
MOST_LINES = 1000
# A line without an end is cut here.
LONGEST = 16_000_000

# Later lines of a stack trace: indented ones, and those of the JVM, Python, Go and JavaScript that
# are not.
CONTINUES = re.compile(
    r"\s|$|[)}\]]|at [\w.$<]|Caused by: |Suppressed: |\.\.\. \d+ (?:more|common)"
    r"|During handling of the above|The above exception was"
    r"|goroutine \d+ \[|created by |\[signal |exit status \d"
)
# The first lines of a trace, which belong to the line before if that reports a problem.
BEGINS = re.compile(
    r"Traceback \(most recent call last\)|(?:[\w$]+\.)+\w*(?:Exception|Error|Throwable)(?::|$)"
)
PROBLEMS = ("warn", "error", "fatal")
PYTHON = "Traceback (most recent call last)"
GO = re.compile(r"panic: |fatal error: ")
GO_FRAME = re.compile(r"[\w./*()\[\]{}-]+\(.*\)$")
REPLICA = re.compile(r"-(\d+)$")

Source = tuple[str, str]


@dataclass(slots=True)
class Gathered:
    """A line that may still grow. ``first``, ``last``: when its first and last text arrived;
    ``cursors``: those of all entries that it was made of.
    """

    machine: str
    entry: Entry
    first: float
    last: float
    texts: list[str]
    cursors: list[str]

    def takes(self, text: str, now: float) -> bool:
        """Return whether a text of the same source belongs to this line."""
        if now - self.last > HOLD_SECONDS or now - self.first > MOST_SECONDS:
            return False
        if len(self.texts) >= MOST_LINES:
            return False
        if CONTINUES.match(text):
            return True
        if BEGINS.match(text):
            return level_of(self.texts[0]) in PROBLEMS
        if GO.match(self.texts[0]):
            return GO_FRAME.match(text) is not None
        # A Python traceback ends with the first line that is not indented.
        indented = self.texts[-1].startswith(" ")
        return indented and any(each.startswith(PYTHON) for each in self.texts)

    def add(self, text: str, cursors: Sequence[str], now: float) -> None:
        """Append a text that belongs to this line."""
        self.texts.append(text)
        self.cursors += cursors
        self.last = now

    @property
    def source(self) -> Source:
        """The machine, and the container or the unit that printed the line."""
        return source_of(self.machine, self.entry)

    @property
    def line(self) -> LogLine:
        """The line as it is shown."""
        entry, message = self.entry, "\n".join(self.texts)
        level = level_of(message)
        if level is None and not entry.container and entry.priority is not None:
            level = PRIORITIES[min(entry.priority, len(PRIORITIES) - 1)]
        number = REPLICA.search(entry.container)
        return LogLine(
            time=entry.time,
            machine=self.machine,
            service=entry.service or None,
            replica=int(number[1]) if number else None,
            running_build=entry.build or None,
            unit=None if entry.container else entry.unit or None,
            level=level,
            message=message,
        )


def source_of(machine: str, entry: Entry) -> Source:
    """Return what the entries have in common that may belong to one line."""
    return machine, entry.container or f"unit {entry.unit}"


class Joiner:
    """Joins the parts of lines that the engine has cut. A whole line has the time of its end."""

    def __init__(self) -> None:
        self._parts: dict[Source, list[Entry]] = {}

    def whole(self, source: Source, entry: Entry) -> Sequence[Entry]:
        """Return the parts of a line that is complete with this entry; none if more follows."""
        if not entry.part and source not in self._parts:
            return (entry,)
        parts = self._parts.setdefault(source, [])
        parts.append(entry)
        if entry.part and sum(len(part.text) for part in parts) < LONGEST:
            return ()
        return self._parts.pop(source)


class Gathering:
    """Takes entries as they arrive, and returns lines in the order of their times.

    ``joiner`` may be shared by gatherings that follow each other.
    """

    def __init__(self, joiner: Joiner) -> None:
        self._joiner = joiner
        self._open: dict[Source, Gathered] = {}
        self._waiting: list[tuple[float, int, Source, Gathered]] = []
        self._arrivals: deque[tuple[float, float]] = deque()
        self._count = 0

    def add(self, machine: str, entry: Entry, now: float) -> None:
        """Take an entry that arrived at ``now``, by a clock that never goes back."""
        source = source_of(machine, entry)
        parts = self._joiner.whole(source, entry)
        if not parts:
            return
        text = "".join(part.text for part in parts)
        cursors = [part.cursor for part in parts]
        begun = self._open.get(source)
        if begun is not None and begun.takes(text, now):
            begun.add(text, cursors, now)
            return
        self._open[source] = opened = Gathered(machine, entry, now, now, [text], cursors)
        self._arrivals.append((now, entry.time))
        self._count += 1
        heappush(self._waiting, (entry.time, self._count, source, opened))

    def ready(self, now: float) -> Iterator[Gathered]:
        """Return the lines that have been held long enough, and older ones before them."""
        late = self._late(now)
        growing = []
        while self._waiting:
            time, _, source, opened = self._waiting[0]
            held = opened.last + HOLD_SECONDS <= now
            if not held and time > late:
                break
            item = heappop(self._waiting)
            if held or self._open.get(source) is not opened:
                yield self._taken(source, opened)
            else:
                growing.append(item)
        for item in growing:
            heappush(self._waiting, item)

    def rest(self) -> Iterator[Gathered]:
        """Return all lines that are held."""
        self._arrivals.clear()
        while self._waiting:
            _, _, source, opened = heappop(self._waiting)
            yield self._taken(source, opened)

    @property
    def due(self) -> float | None:
        """Return when the next line will have been held long enough; None if none is held."""
        return self._waiting[0][3].last + HOLD_SECONDS if self._waiting else None

    def _late(self, now: float) -> float:
        """Return the time up to which lines must not wait any more. A container that prints more
        than can be read has old lines again and again, which would hold up all newer ones.
        """
        late = 0.0
        while self._arrivals and self._arrivals[0][0] + LATE_SECONDS <= now:
            late = max(late, self._arrivals.popleft()[1])
        return late

    def _taken(self, source: Source, opened: Gathered) -> Gathered:
        if self._open.get(source) is opened:
            del self._open[source]
        return opened
