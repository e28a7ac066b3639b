"""Turn TOML text into nodes. tomllib reads the values, a small scanner finds their lines."""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_left
from typing import Any

from hashlab.config.nodes import Node
from hashlab.config.report import Report, Wrong

KeyPath = tuple[str | int, ...]

MAX_PARTS = 20
MAX_VALUES = 20_000
# Comments and strings, in which dots have no meaning. Unclosed ones match too, so that each is
# scanned once.
_OPAQUE = re.compile(
    r'#[^\n]*+|"""(?:[^\\]|\\.)*?(?:"{3,5}|\Z)|'
    r"'{3}.*?(?:'{3,5}|\Z)|"
    r'"(?:[^"\\\n]|\\.)*+"?|'
    r"'[^'\n]*+'?",
    re.DOTALL,
)
_LONG_KEY = re.compile(r"(?<![\w-])(?:[\w-]++[ \t]*+\.[ \t]*+){" + str(MAX_PARTS) + "}")
_SEPARATOR = re.compile("[,=]")

_CHECK = "Check the quotes, commas and brackets of this line and the one above."
_HINTS = (
    ("overwrite a value", "The key is written twice: keep one."),
    ("declare", "The table is written twice: keep one."),
    ("Invalid value", 'A string needs quotes: "text".'),
    ("Expected '='", "Write 'key = value'."),
    ("Unclosed array", "A ']' or a comma is missing."),
    ("Unclosed inline table", "A '}' or a comma is missing; inline tables take one line."),
    ("Expected newline", "Write one 'key = value' per line."),
    ("Illegal character '\\n'", "A quote on this line is not closed."),
)


def read_toml(text: str, report: Report) -> Node | None:
    """Return ``text`` as nodes. After a syntax error, report it and return None."""
    try:
        _check_keys(text)
        values = tomllib.loads(text)
        return _node(values, (), _Scanner(text).scan(), 1)
    except RecursionError:
        report.add(0, "nested too deep", "Flatten the innermost lists.")
    except Wrong as wrong:
        report.add_wrong(wrong)
    except ValueError as error:
        report.add_wrong(_syntax_error(str(error), text))
    return None


def _check_keys(text: str) -> None:
    """Raise Wrong for a key of very many parts, or for very many values.

    tomllib's memory grows with the square of a key's parts and may reach a gigabyte.
    """
    names = _OPAQUE.sub(lambda match: "s" + "\n" * match[0].count("\n"), text)
    long = _LONG_KEY.search(names)
    if long:
        line = names.count("\n", 0, long.start()) + 1
        message = f"a key has more than {MAX_PARTS} parts"
        raise Wrong(line, message, "Write fewer dots.")
    if len(_SEPARATOR.findall(names)) > MAX_VALUES:
        raise Wrong(0, f"contains more than {MAX_VALUES:,} values", "Write fewer values.")


def _syntax_error(message: str, text: str) -> Wrong:
    place = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", message)
    what = message[: place.start()] if place else message
    last = len(text.rstrip().splitlines())
    line = int(place[1]) if place and place[1] else last
    hint = next((hint for part, hint in _HINTS if part in what), _CHECK)
    return Wrong(line, f"not valid TOML: {what[:1].lower()}{what[1:]}", hint)


def _node(
    value: Any, path: KeyPath, lines: dict[KeyPath, tuple[int, int]], parent_line: int
) -> Node:
    key_line, line = lines.get(path, (parent_line, parent_line))
    if isinstance(value, dict):
        value = {key: _node(child, (*path, key), lines, line) for key, child in value.items()}
    elif isinstance(value, list):
        value = [_node(child, (*path, index), lines, line) for index, child in enumerate(value)]
    return Node(value, line, key_line=key_line)


_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_KEY = re.compile(r"""[ \t]*(?:([A-Za-z0-9_-]+)|("(?:[^"\\]|\\.)*"|'[^']*'))[ \t]*(\.?)""")
_STRINGS = (
    r'"""(?:[^\\]|\\.)*?"{3,5}(?!")',
    r"'''.*?'{3,5}(?!')",
    r'"(?:[^"\\]|\\.)*"',
    r"'[^']*'",
)
_STRING = re.compile("|".join(_STRINGS), re.DOTALL)
_BARE = re.compile(r"[^,\]}#\n]*")


class _Scanner:
    """Finds the lines of keys and values in text that tomllib has accepted."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._newlines = [match.start() for match in re.finditer("\n", text)]
        self._array_tables: dict[KeyPath, int] = {}
        self._lines: dict[KeyPath, tuple[int, int]] = {}

    def scan(self) -> dict[KeyPath, tuple[int, int]]:
        """Return (line of the key, line of the value) for each path."""
        table: KeyPath = ()
        last = -1
        while not self._end() and self._at != last:
            last, line = self._at, self._line()
            if self._skip("[["):
                table = self._array_table(self._key(), line)
                self._skip("]]")
            elif self._skip("["):
                table = self._inside((), self._key(), line)
                self._skip("]")
            else:
                self._assignment(table)
        return self._lines

    def _array_table(self, key: list[str], line: int) -> KeyPath:
        array = (*self._inside((), key[:-1], line), key[-1])
        index = self._array_tables.get(array, -1) + 1
        self._array_tables[array] = index
        self._lines.setdefault(array, (line, line))
        self._lines[(*array, index)] = (line, line)
        return (*array, index)

    def _inside(self, path: KeyPath, key: list[str], line: int) -> KeyPath:
        """Descend along the parts of ``key``. In an array of tables, enter its last table."""
        for part in key:
            path = (*path, part)
            self._lines.setdefault(path, (line, line))
            if path in self._array_tables:
                path = (*path, self._array_tables[path])
        return path

    def _assignment(self, table: KeyPath) -> None:
        line = self._line()
        path = self._inside(table, self._key(), line)
        self._skip("=")
        self._blank()
        self._lines[path] = (line, self._line())
        self._value(path)

    def _value(self, path: KeyPath) -> None:
        if self._skip("["):
            index = 0
            while not self._closed("]"):
                self._lines[(*path, index)] = (self._line(), self._line())
                self._value((*path, index))
                index += 1
        elif self._skip("{"):
            while not self._closed("}"):
                self._assignment(path)
        else:
            match = _STRING.match(self._text, self._at) or _BARE.match(self._text, self._at)
            self._at = match.end() if match else len(self._text)

    def _closed(self, bracket: str) -> bool:
        self._blank()
        while self._skip(","):
            self._blank()
        return self._skip(bracket) or self._end()

    def _key(self) -> list[str]:
        parts: list[str] = []
        more = True
        while more and (match := _KEY.match(self._text, self._at)):
            self._at = match.end()
            parts.append(match[1] or tomllib.loads(f"key = {match[2]}")["key"])
            more = bool(match[3])
        return parts

    def _blank(self) -> None:
        match = _BLANK.match(self._text, self._at)
        self._at = match.end() if match else self._at

    def _end(self) -> bool:
        self._blank()
        return self._at >= len(self._text)

    def _skip(self, word: str) -> bool:
        matches = self._text.startswith(word, self._at)
        self._at += len(word) if matches else 0
        return matches

    def _line(self) -> int:
        return bisect_left(self._newlines, self._at) + 1
