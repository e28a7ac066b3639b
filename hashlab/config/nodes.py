"""A tree of values with line numbers, the common form of hashlab.toml and compose.yaml."""

from __future__ import annotations

from datetime import date, datetime, time
from typing import Any, TypeAlias


class Broken:
    """The value of a node whose text could not be read. The reason is already reported."""


Value: TypeAlias = (
    bool
    | int
    | float
    | str
    | date
    | datetime
    | time
    | list["Node"]
    | dict[str, "Node"]
    | Broken
    | None
)

MAX_DEPTH = 50

# The tags of a value in a Compose file that removes what other files give its key, or replaces it.
RESET = "!reset"
OVERRIDE = "!override"


class Line(int):
    """The number of a line, and its file as messages name it. A lab has several Compose files."""

    file: str

    def __new__(cls, number: int, file: str) -> Line:
        line = super().__new__(cls, number)
        line.file = file
        return line


def file_of(line: int) -> str:
    """Return the file of a line; "" if it does not know its file."""
    return line.file if isinstance(line, Line) else ""


def shown(line: int, beside: int) -> str:
    """Return "line 3", or "common.yaml:3" if ``line`` is in another file than ``beside``."""
    here, there = file_of(beside), file_of(line)
    return f"line {line}" if here == there else f"{there}:{line}"


class Node:
    """A value, its line, the line of its key, and (YAML only) the scalar as written and its tag.

    ``tag`` is RESET, OVERRIDE or "".
    """

    __slots__ = ("key_line", "line", "raw", "tag", "value")

    def __init__(
        self,
        value: Value,
        line: int,
        *,
        key_line: int | None = None,
        raw: str = "",
        tag: str = "",
    ) -> None:
        self.value = value
        self.line = line
        self.key_line = line if key_line is None else key_line
        self.raw = raw
        self.tag = tag

    def under_key(self, key_line: int) -> Node:
        """Return the same value as the entry of a key on line ``key_line``."""
        return Node(self.value, self.line, key_line=key_line, raw=self.raw, tag=self.tag)

    def holding(self, value: Value) -> Node:
        """Return another value in the place of this one."""
        raw = value if isinstance(value, str) else ""
        return Node(value, self.line, key_line=self.key_line, raw=raw, tag=self.tag)


def plain(node: Node) -> Any:
    """Return the value of ``node`` without lines: mappings, lists and scalars of Python."""
    if isinstance(node.value, dict):
        return {key: plain(child) for key, child in node.value.items()}
    if isinstance(node.value, list):
        return [plain(child) for child in node.value]
    return node.value


_KINDS: tuple[tuple[type, str], ...] = (
    (bool, "true or false"),
    (int, "a number"),
    (float, "a number"),
    (str, "a string"),
    (list, "a list"),
    (dict, "a mapping"),
)


def kind(node: Node) -> str:
    """Return the kind of ``node`` in the user's words: "a number", "a list", "nothing"."""
    if node.value is None:
        return "nothing"
    if isinstance(node.value, bool):
        return f"'{str(node.value).lower()}'"
    return next((word for type_, word in _KINDS if isinstance(node.value, type_)), "a date")
