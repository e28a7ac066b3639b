"""A log store in memory, with the few words of LogsQL that hashlab uses."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from hashlab.errors import StoreError

LIST = r'"((?:[^"\\]|\\.)*)"'
FIELD = re.compile(r"(\w+)(?::in\(| in \()([^)]*)\)")


class FakeLogStore:
    """protocols.LogStore. It forgets what is not on its disk when it is killed, as the real one
    does. ``failing``: the next rows are refused: "before" they are stored, or "after".
    """

    def __init__(self) -> None:
        self.rows: list[Mapping[str, Any]] = []
        self.on_disk = 0
        self.failing: list[str] = []
        self.closed = 0

    def insert(self, rows: Sequence[Mapping[str, object]]) -> None:
        failing = self.failing.pop(0) if self.failing else ""
        if failing != "before":
            self.rows += rows
        if failing:
            raise StoreError("the log store does not answer: timed out")

    def query(self, text: str) -> Iterator[Mapping[str, str]]:
        found = [_shown(row) for row in self.rows if _fits(row, text)]
        found.sort(key=lambda row: row["_time"], reverse="(_time desc)" in text)
        limit = re.search(r" limit (\d+)", text)
        yield from found[: int(limit[1])] if limit else found

    def flush(self) -> None:
        return None

    def close(self) -> None:
        self.closed += 1

    def kill(self) -> None:
        """Lose what is not on the disk."""
        del self.rows[self.on_disk :]


def _fits(row: Mapping[str, Any], text: str) -> bool:
    """Return whether a row is what the filter of a query finds."""
    query = text.partition(" | ")[0]
    for name, words in FIELD.findall(query):
        if str(row.get(name, "")) not in re.findall(LIST, words) + words.split(","):
            return False
    for name, value in re.findall(rf"(\w+)={LIST}", query):
        if row.get(name) != value:
            return False
    since, until = re.search(r"_time:>=(\S+)", query), re.search(r"_time:<=(\S+)", query)
    before = re.search(r"_time:<([^=\s]\S*)", query)
    pull = re.search(r" pull:>(\d+)", query)
    regex = re.search(rf"_msg:~{LIST}", query)
    return not (
        (since and row["_time"] < _nanoseconds(since[1]))
        or (before and row["_time"] >= _nanoseconds(before[1]))
        or (until and row["_time"] > _nanoseconds(until[1]))
        or (pull and row.get("pull", 0) <= int(pull[1]))
        or (" mark:*" in query and "mark" not in row)
        or (" source:*" in query and "source" not in row)
        or ("!part:>1" in query and row.get("part", 1) > 1)
        or ('!source:~"^unit "' in query and row["source"].startswith("unit "))
        or (regex and not re.search(json.loads(regex[0][6:]), row["_msg"]) and "part" not in row)
    )


def _nanoseconds(moment: str) -> int:
    return round(datetime.fromisoformat(moment).timestamp() * 1e6) * 1000


def _moment(row: Mapping[str, Any]) -> str:
    moment = datetime.fromtimestamp(row["_time"] // 10**9, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{row['_time'] % 10**9:09}Z"


def _shown(row: Mapping[str, Any]) -> dict[str, str]:
    """Return a row as the store shows it: all values are text, and empty ones are missing."""
    texts = {name: str(value) for name, value in row.items() if value != ""}
    return {**texts, "_time": _moment(row)}
