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


class Node:
    """A value, its line, the line of its key, and (YAML only) the scalar as written."""

    __slots__ = ("key_line", "line", "raw", "value")

    def __init__(
        self, value: Value, line: int, *, key_line: int | None = None, raw: str = ""
    ) -> None:
        self.value = value
        self.line = line
        self.key_line = line if key_line is None else key_line
        self.raw = raw

    def under_key(self, key_line: int) -> Node:
        """Return the same value as the entry of a key on line ``key_line``."""
        return Node(self.value, self.line, key_line=key_line, raw=self.raw)


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
