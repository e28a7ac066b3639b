"""Reads JSON with comments and trailing commas, and where each value is in the text."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

_SPACE = re.compile(r"(?:[\s\ufeff]|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_WORD = re.compile(r"[A-Za-z0-9+.-]+")
MAX_DEPTH = 100


@dataclass(frozen=True)
class Value:
    """A value, at ``start`` to ``end`` of the text. An object has ``members``, an array ``items``,
    any other a ``plain`` value of Python. ``comma``: a comma follows the last member or item.
    """

    start: int
    end: int
    members: Mapping[str, Value] | None = None
    items: Sequence[Value] | None = None
    plain: object = None
    comma: bool = False


@dataclass
class _Reader:
    text: str
    place: int = 0
    depth: int = field(default=0)

    def value(self) -> Value:
        self._skip()
        start, first = self.place, self._next()
        if first in "{[":
            return self._container(start, "}" if first == "{" else "]")
        match = (_STRING if first == '"' else _WORD).match(self.text, start)
        if match is None:
            raise self._wrong()
        self.place = match.end()
        return Value(start, self.place, plain=json.loads(match[0]))

    def _container(self, start: int, closing: str) -> Value:
        members: dict[str, Value] = {}
        items: list[Value] = []
        self.place += 1
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self._wrong()
        comma = False
        while self._skip() != closing:
            if (members or items) and not comma:
                raise self._wrong()
            if closing == "}":
                key = self.value().plain
                if not isinstance(key, str) or self._skip() != ":":
                    raise self._wrong()
                self.place += 1
                members[key] = self.value()
            else:
                items.append(self.value())
            comma = self._skip() == ","
            self.place += comma
        self.place += 1
        self.depth -= 1
        if closing == "}":
            return Value(start, self.place, members=members, comma=comma)
        return Value(start, self.place, items=items, comma=comma)

    def _skip(self) -> str:
        """Go on behind spaces and comments; return the character there."""
        match = _SPACE.match(self.text, self.place)
        self.place = match.end() if match else self.place
        return self.text[self.place : self.place + 1]

    def _next(self) -> str:
        if self.place >= len(self.text):
            raise self._wrong()
        return self.text[self.place]

    def _wrong(self) -> ValueError:
        return ValueError(f"line {self.text.count(chr(10), 0, self.place) + 1} cannot be read")

    def end(self) -> None:
        if self._skip():
            raise self._wrong()


def parse(text: str) -> Value:
    """Return the value of a text. Raises ValueError."""
    reader = _Reader(text)
    value = reader.value()
    reader.end()
    return value
