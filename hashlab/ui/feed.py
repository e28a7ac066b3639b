"""The feed of a lab's viewers: values, of which the newest counts, and the last log lines.

Threads put in what they have observed. Each viewer takes at its own pace what has changed, so a
slow one costs nothing and misses old lines only.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from hashlab.documents.logs import LogLine

# Each viewer gets only the last lines and other items.
MOST_ITEMS = 1000
MOST_EVENTS = 200
MOST_NOTICES = 20
# Points of the charts: a quarter of an hour, one in two seconds.
MOST_POINTS = 450
Json = dict[str, Any]


class Ring:
    """The last items of a sequence, numbered from 0."""

    def __init__(self, most: int = MOST_ITEMS) -> None:
        self._items: deque[Any] = deque(maxlen=most)
        self.count = 0

    def add(self, items: Sequence[Any]) -> None:
        """Append items; the oldest make room for them."""
        self._items.extend(items)
        self.count += len(items)

    def after(self, number: int) -> tuple[list[Any], int]:
        """Return the items from ``number`` on that are left, and how many are gone."""
        first = self.count - len(self._items)
        return list(islice(self._items, max(0, number - first), None)), max(0, first - number)


@dataclass
class Cursor:
    """The position of a viewer: the versions of values, the numbers of items, by name."""

    versions: dict[str, int] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    version: int = 0


class Feed:
    """The values and lines that are shown, and the viewers. Any thread may call any method."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._values: dict[str, tuple[int, Any]] = {}
        self._rings: dict[str, Ring] = {
            "logs": Ring(),
            "events": Ring(MOST_EVENTS),
            "notices": Ring(MOST_NOTICES),
            "points": Ring(MOST_POINTS),
        }
        self._counts: Counter[tuple[str, str]] = Counter()
        self._version = 0
        self._closed = False
        self.viewers = 0

    def put(self, name: str, value: Any) -> None:
        """Replace the value called ``name``: a document, or what `json` can write."""
        with self._changed:
            if self._values.get(name, (0, None))[1] != value:
                self._version += 1
                self._values[name] = (self._version, value)
                self._changed.notify_all()

    def value(self, name: str) -> Any:
        """Return the value called ``name``; None before there is one."""
        with self._changed:
            return self._values.get(name, (0, None))[1]

    def last(self, name: str, most: int) -> list[Any]:
        """Return the last items of a ring, at most so many."""
        with self._changed:
            ring = self._rings[name]
            return ring.after(ring.count - most)[0]

    def add(self, name: str, items: Sequence[Any]) -> None:
        """Append items to the ring called ``name``: documents, or what `json` can write."""
        if not items:
            return
        with self._changed:
            self._version += 1
            self._rings[name].add(items)
            self._changed.notify_all()

    def add_logs(self, lines: Sequence[LogLine]) -> None:
        """Append log lines, and count them by service and level."""
        self.add("logs", lines)
        with self._changed:
            self._counts.update((line.service or line.machine, line.level or "") for line in lines)

    def clear_logs(self) -> None:
        """Forget all log lines, before they are read again; a page then does the same."""
        with self._changed:
            emptied = Ring()
            emptied.count = self._rings["logs"].count
            self._rings["logs"] = emptied
            self._counts.clear()
            self._version += 1
            self._values["log_epoch"] = (self._version, emptied.count)

    def batch(self, cursor: Cursor, seconds: float) -> Json | None:
        """Wait for changes and return them all; {} if there was none within ``seconds``, None once
        the feed is closed. It moves ``cursor``.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._version > cursor.version, seconds)
            if self._closed:
                return None
            if self._version == cursor.version:
                return {}
            cursor.version = self._version
            return {**self._new_values(cursor), **self._new_items(cursor)}

    def _new_values(self, cursor: Cursor) -> Json:
        new = {
            name: (version, value)
            for name, (version, value) in self._values.items()
            if version > cursor.versions.get(name, 0)
        }
        cursor.versions.update({name: version for name, (version, _) in new.items()})
        return {name: value for name, (_, value) in new.items()}

    def _new_items(self, cursor: Cursor) -> Json:
        found: Json = {}
        for name, ring in self._rings.items():
            number = cursor.numbers.get(name, 0)
            if ring.count > number:
                items, gone = ring.after(number)
                found[name] = {"items": items, "gone": gone if name in cursor.numbers else 0}
                cursor.numbers[name] = ring.count
        if "logs" in found:
            found["counts"] = [[*key, count] for key, count in sorted(self._counts.items())]
        return found

    def enter(self) -> None:
        """Count one viewer more."""
        with self._changed:
            self.viewers += 1
            self._changed.notify_all()

    def leave(self) -> None:
        """Count one viewer less."""
        with self._changed:
            self.viewers -= 1
            self._changed.notify_all()

    def wait_for_viewers(self, seconds: float) -> bool:
        """Return whether anybody looks, after waiting for it at most ``seconds``."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self.viewers > 0, seconds)
            return self.viewers > 0 and not self._closed

    def close(self) -> None:
        """Let all who wait end."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
