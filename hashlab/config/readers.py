"""Readers turn nodes into values. A table of readers lists the keys that a mapping may have."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Generic, Literal, NamedTuple, TypeVar

from hashlab.config.nodes import Broken, Node, kind, plain
from hashlab.config.report import Report, Reported, Wrong, suggestion

T = TypeVar("T")


class Context(NamedTuple):
    """Everything a reader needs to know: the report, the base of relative paths, the variables, and
    which files a build will create.
    """

    report: Report
    folder: Path
    environ: Mapping[str, str] = {}
    will_exist: Callable[[Path], bool] = Path.exists


Reader = Callable[[Node, Context], T]


class At(NamedTuple, Generic[T]):
    """A value and its line."""

    value: T
    line: int


class Noted(NamedTuple):
    """A key that has no effect. ``why`` completes "'key' has no effect: …".

    ``default``: values that say what is so already. Nothing is noted for them, nor for false, 0
    and empty values.
    """

    why: str
    default: tuple[Any, ...] = ()


class Refused(NamedTuple):
    """A key that a lab cannot give. ``hint`` is a sentence; ``default`` as for Noted."""

    hint: str
    default: tuple[Any, ...] = ()


class Table(NamedTuple):
    """The keys of one kind of mapping: a reader for each that acts, and the other valid keys."""

    noun: str
    readers: Mapping[str, Reader[Any]]
    others: Mapping[str, Noted | Refused] = {}
    required: tuple[str, ...] = ()
    expected: str = "a mapping"
    language: Literal["yaml", "toml"] = "yaml"


class Draft:
    """The valid entries of one mapping. ``has`` and ``flawed`` also know the invalid keys."""

    __slots__ = ("_flawed", "_keys", "_values", "line")

    def __init__(
        self,
        line: int = 0,
        keys: Mapping[str, int] | None = None,
        values: Mapping[str, Any] | None = None,
        flawed: frozenset[str] = frozenset(),
    ) -> None:
        self.line = line
        self._flawed = flawed
        self._keys = keys or {}
        self._values = values or {}

    def has(self, key: str) -> bool:
        """Return whether the user wrote ``key``, even with an invalid value."""
        return key in self._keys

    def flawed(self, key: str) -> bool:
        """Return whether the value of ``key`` was invalid, wholly or in part."""
        return key in self._flawed

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of ``key``, or ``default`` if it is absent or invalid."""
        return self._values.get(key, default)

    def line_of(self, key: str) -> int:
        """Return the line of ``key``, or the line of the mapping if the key is absent."""
        return self._keys.get(key, self.line)

    def pick(self, *keys: str) -> dict[str, Any]:
        """Return the entries of ``keys`` that have a value."""
        return {key: self._values[key] for key in keys if self._values.get(key) is not None}

    def filled(self, **values: Any) -> Draft:
        """Return the same mapping with other values. ``has`` still knows only the user's keys."""
        return Draft(self.line, self._keys, {**self._values, **values}, self._flawed)


def table(rows: Table) -> Reader[Draft]:
    """Return a reader of a mapping with the keys of ``rows``."""

    def read(node: Node, context: Context) -> Draft:
        values: dict[str, Any] = {}
        flawed: set[str] = set()
        entries = entries_of(node, rows.expected)
        for key, child in entries.items():
            reader = rows.readers.get(key)
            if reader is None:
                _report_key(key, child, rows, context.report)
                continue
            flaws = context.report.flaws
            values.update((key, value) for value in attempt(reader, child, context))
            if context.report.flaws > flaws:
                flawed.add(key)
        _report_missing(entries, node.key_line, rows, context.report)
        keys = {key: child.key_line for key, child in entries.items()}
        return Draft(node.key_line, keys, values, frozenset(flawed))

    return read


def _report_missing(entries: Mapping[str, Node], line: int, rows: Table, report: Report) -> None:
    for key in rows.required:
        if key not in entries:
            hint = f"Write {key}{':' if rows.language == 'yaml' else ' ='} …"
            report.add(line, f"{rows.noun} needs '{key}'", hint)


def _report_key(key: str, node: Node, rows: Table, report: Report) -> None:
    """Note or report a key without a reader, unless its value says what is so already."""
    line, rule = node.key_line, rows.others.get(key)
    if rule is None:
        if rows.language == "toml" or not key.startswith("x-"):
            _report_unknown(key, line, rows, report)
        return
    value = plain(node)
    if not value or value in rule.default:
        return
    if isinstance(rule, Noted):
        report.note(line, f"'{key}' has no effect: {rule.why}")
    else:
        message = f"'{key}' is valid Compose, but hashlab does not support it"
        report.add(line, message, rule.hint)


def _report_unknown(key: str, line: int, rows: Table, report: Report) -> None:
    supported = ", ".join(sorted(rows.readers))
    noun = f"{rows.noun[:1].upper()}{rows.noun[1:]}"
    hint = suggestion(key, [*rows.readers, *rows.others], otherwise=f"{noun} has: {supported}.")
    report.add(line, f"unknown key '{key}' in {rows.noun}", hint)


def attempt(reader: Reader[T], node: Node, context: Context) -> Iterator[T]:
    """Yield the value that ``reader`` reads from ``node``. On failure report why, and yield
    nothing.
    """
    try:
        value = reader(node, context)
    except Wrong as wrong:
        context.report.add_wrong(wrong)
    else:
        yield value


def entries_of(node: Node, expected: str) -> dict[str, Node]:
    """Return the entries of a mapping. Raises Wrong, naming ``expected``, if ``node`` is something
    else.
    """
    if not isinstance(node.value, dict):
        raise mismatch(node, expected)
    return node.value


def mismatch(node: Node, expected: str, hint: str = "") -> Wrong:
    """Return the error "expected a list of strings, found a number", perhaps with a hint."""
    if isinstance(node.value, Broken):
        return Reported()
    if not hint and node.value is None:
        hint = "Write a value, or remove the key."
    return Wrong(node.line, f"expected {expected}, found {kind(node)}", hint)


def text(node: Node, context: Context) -> str:
    """Read a string that is not empty."""
    value = any_text(node, context)
    if not value.strip():
        raise Wrong(node.line, "expected a string, found an empty string", "Write a value.")
    return value


def any_text(node: Node, context: Context) -> str:
    """Read a string."""
    if isinstance(node.value, str):
        return node.value
    quoted = isinstance(node.value, (bool, int, float))
    written = node.raw or str(node.value).lower()
    raise mismatch(node, "a string", f'Put quotes around it: "{written}".' if quoted else "")


def list_of(reader: Reader[T], expected: str, *, empty: bool = True) -> Reader[tuple[T, ...]]:
    """Return a reader of a list. Each invalid item is reported, the others are kept."""

    def read(node: Node, context: Context) -> tuple[T, ...]:
        if not isinstance(node.value, list):
            example = f"Write [{node.raw or node.value}]." if isinstance(node.value, str) else ""
            raise mismatch(node, expected, example)
        if not (node.value or empty):
            raise Wrong(
                node.line, f"expected {expected}, found an empty list", "Write at least one item."
            )
        return tuple(value for item in node.value for value in attempt(reader, item, context))

    return read


def located(reader: Reader[T]) -> Reader[At[T]]:
    """Return a reader of the same value together with its line."""
    return lambda node, context: At(reader(node, context), node.line)


strings = list_of(text, "a list of strings")


def mapping_of(
    key: Reader[str], reader: Reader[T], expected: str, *, nothing_is: T | None = None
) -> Reader[dict[str, T]]:
    """Return a reader of a mapping from names to values of one kind.

    An invalid name is reported and kept, so that references to it are not reported as well.
    """

    def read(node: Node, context: Context) -> dict[str, T]:
        values: dict[str, T] = {}
        for word, child in entries_of(node, expected).items():
            list(attempt(key, Node(word, child.key_line, raw=word), context))
            if child.value is None and nothing_is is not None:
                values[word] = nothing_is
            else:
                values.update((word, value) for value in attempt(reader, child, context))
        return values

    return read


def matching(pattern: str, message: str, hint: str) -> Reader[str]:
    """Return a reader of strings that match all of ``pattern``. ``message`` may contain {value}."""

    def read(node: Node, context: Context) -> str:
        value = text(node, context)
        if not re.fullmatch(pattern, value):
            raise Wrong(node.line, message.format(value=value), hint)
        return value

    return read


def one_of(*choices: str) -> Reader[str]:
    """Return a reader of strings that accepts only ``choices``."""

    def read(node: Node, context: Context) -> str:
        value = text(node, context)
        if value not in choices:
            otherwise = f"Write one of: {', '.join(choices)}."
            raise Wrong(
                node.line,
                f"'{value}' is not an allowed value",
                suggestion(value, list(choices), otherwise=otherwise),
            )
        return value

    return read


def either(scalar: Reader[T], other: Reader[T], *, when: type) -> Reader[T]:
    """Return a reader that uses ``scalar`` for values of type ``when``, else ``other``."""

    def read(node: Node, context: Context) -> T:
        return (scalar if isinstance(node.value, when) else other)(node, context)

    return read
