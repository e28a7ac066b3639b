"""Turn YAML text into nodes: resolve anchors and merges, refuse duplicate keys and YAML bombs."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import yaml

from hashlab.config.go_values import parse_date
from hashlab.config.nodes import MAX_DEPTH, OVERRIDE, RESET, Line, Node, Value
from hashlab.config.report import Report, Wrong

MAX_VALUES = 100_000

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

# The words, numbers and dates of the YAML library that Docker Compose uses: YAML 1.2's core schema,
# the octal form 0440, binary numbers, underscores and dates of YAML 1.1. Therefore yes, no and
# 22:22 are strings.
_WORDS: dict[str, Value] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
    **{f"{sign}{word}": math.inf for sign in ("", "+") for word in (".inf", ".Inf", ".INF")},
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
    **dict.fromkeys(("-0", "-0.0"), -0.0),
}
_INTEGER = re.compile(
    r"(?P<sign>[-+]?)(?:0[bB](?P<b2>[01]+)|0[xX](?P<b16>[0-9a-fA-F]+)|0[oO]?(?P<b8>[0-7]+)"
    r"|(?P<b10>0|[1-9][0-9]*))"
)
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_LONGEST_NUMBER = 400
_TAG_WORDS = ("str", "int", "float", "bool", "null", "seq", "map")
_MERGE_TAGS = (RESET, OVERRIDE)
_TAGS = {f"tag:yaml.org,2002:{word}" for word in _TAG_WORDS}


class _Composed(NamedTuple):
    """A node, the number of values in it once aliases are expanded, and its depth."""

    node: Node
    size: int
    height: int


def read_yaml(text: str, report: Report) -> list[Node] | None:
    """Return the documents of ``text`` as nodes, whose lines know the report's file.

    After a syntax error, report it and return None.
    """
    loader = _LOADER(text)
    try:
        return list(_Composer(_events(loader), report).documents())
    except yaml.MarkedYAMLError as error:
        report.add_wrong(_syntax_error(error, text))
    except yaml.YAMLError as error:
        report.add_wrong(_unreadable_character(error, text))
    except Wrong as wrong:
        report.add_wrong(wrong)
    finally:
        loader.dispose()
    return None


def resolve_plain(text: str) -> Value:
    """Return the value of an unquoted YAML scalar: None, bool, int, float, a date or the text."""
    if text in _WORDS:
        return _WORDS[text]
    if not (text[0].isdigit() or text[0] in "+-."):
        return text
    if (date := parse_date(text)) is not None:
        return date
    number = text if text[0] == "." else text.replace("_", "")
    if len(number) > _LONGEST_NUMBER:
        return text
    whole = _integer(number)
    if whole is not None:
        return whole
    decimal = float(number) if _FLOAT.fullmatch(number) else math.inf
    return text if math.isinf(decimal) else decimal


def _integer(text: str) -> int | None:
    """Return a whole number of at most 64 bits; None for anything else."""
    match = _INTEGER.fullmatch(text)
    if match is None:
        return None
    (base, digits), *_ = ((b, d) for b in (2, 8, 10, 16) if (d := match[f"b{b}"]))
    value = int(match["sign"] + digits, base)
    return value if -(2**63) <= value < 2**64 else None


def _events(loader: Any) -> Iterator[Any]:
    while loader.check_event():
        yield loader.get_event()


class _Composer:
    def __init__(self, events: Iterator[Any], report: Report) -> None:
        self._events = events
        self._report = report
        self._anchors: dict[str, _Composed | None] = {}
        self._lines: dict[int, Line] = {}

    def documents(self) -> Iterator[Node]:
        """Yield the root of each document that is not empty. Anchors belong to their document."""
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                self._anchors.clear()
                root = self._compose(next(self._events), 0).node
                if root.value is not None:
                    yield root

    def _line(self, event: Any) -> Line:
        number = int(event.start_mark.line) + 1
        if number not in self._lines:
            self._lines[number] = Line(number, self._report.file)
        return self._lines[number]

    def _compose(self, event: Any, depth: int) -> _Composed:
        line = self._line(event)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(str(event.anchor), line, depth)
        _check_depth(depth, line)
        _check_tag(event.tag, line)
        if event.anchor:
            self._anchors[event.anchor] = None
        if isinstance(event, yaml.ScalarEvent):
            composed = _Composed(_scalar(event, line), 1, 0)
        elif isinstance(event, yaml.SequenceStartEvent):
            composed = self._sequence(line, depth)
        else:
            composed = self._mapping(line, depth)
        if event.tag in _MERGE_TAGS:
            composed.node.tag = event.tag
        if event.anchor:
            self._anchors[event.anchor] = composed
        return composed

    def _alias(self, name: str, line: int, depth: int) -> _Composed:
        if name not in self._anchors:
            message = f"the anchor '&{name}' is not defined above this alias"
            raise Wrong(line, message, f"Write &{name} before the value it stands for.")
        composed = self._anchors[name]
        if composed is None:
            raise Wrong(line, f"the anchor '&{name}' contains itself", "Remove this alias.")
        _check_depth(depth + composed.height, line)
        return composed

    def _sequence(self, line: int, depth: int) -> _Composed:
        items: list[Node] = []
        size, height = 1, 0
        for event in self._until(yaml.SequenceEndEvent):
            item = self._compose(event, depth + 1)
            items.append(item.node)
            size, height = size + item.size, max(height, item.height + 1)
            _check_size(size, item.node.line)
        return _Composed(Node(items, line), size, height)

    def _mapping(self, line: int, depth: int) -> _Composed:
        entries: dict[str, Node] = {}
        merges: list[Node] = []
        size, height = 1, 0
        for event in self._until(yaml.MappingEndEvent):
            key, key_line = self._key(event)
            value = self._compose(next(self._events), depth + 1)
            size, height = size + value.size, max(height, value.height + 1)
            _check_size(size, key_line)
            if key == "<<" and not event.style:
                merges.append(value.node.under_key(key_line))
            elif key in entries:
                self._duplicate(key, key_line, entries[key].key_line)
            else:
                entries[key] = value.node.under_key(key_line)
        return _Composed(Node(_merged(entries, merges), line), size, height)

    def _key(self, event: Any) -> tuple[str, int]:
        line = self._line(event)
        if not isinstance(event, yaml.ScalarEvent) or "\0" in event.value:
            raise Wrong(line, "a key must be a string", "Write 'key: value'.")
        if event.anchor:
            self._anchors[event.anchor] = _Composed(_scalar(event, line), 1, 0)
        return event.value, line

    def _until(self, end: type) -> Iterator[Any]:
        for event in self._events:
            if isinstance(event, end):
                return
            yield event

    def _duplicate(self, key: str, line: int, first: int) -> None:
        self._report.add(
            line, f"the key '{key}' is written twice (first in line {first})", "Keep one."
        )


def _scalar(event: Any, line: int) -> Node:
    text: str = event.value
    if "\0" in text:
        raise Wrong(line, "the value contains a NUL character", "Remove the \\0.")
    tag = (event.tag or "").rpartition(":")[2]
    plain = tag not in ("str", "!") and (event.implicit[0] or tag)
    if tag in _MERGE_TAGS:
        plain = not event.style
    return Node(resolve_plain(text) if plain else text, line, raw=text)


def _merged(entries: dict[str, Node], merges: list[Node]) -> dict[str, Node]:
    if not merges:
        return entries
    merged = dict(entries)
    for merge in merges:
        sources = merge.value if isinstance(merge.value, list) else [merge]
        for source in sources:
            if not isinstance(source.value, dict):
                hint = "Write '<<: *anchor' or '<<: [*one, *two]'."
                raise Wrong(merge.key_line, "'<<' merges mappings only", hint)
            for key, node in source.value.items():
                merged.setdefault(key, node)
    return merged


def _check_depth(depth: int, line: int) -> None:
    if depth > MAX_DEPTH:
        raise _too_deep(line)


def _too_deep(line: int) -> Wrong:
    return Wrong(line, f"nested more than {MAX_DEPTH} levels deep", "Flatten this part.")


def _check_size(size: int, line: int) -> None:
    if size > MAX_VALUES:
        message = f"the file expands to more than {MAX_VALUES:,} values"
        raise Wrong(line, message, "Use fewer aliases of aliases.")


def _check_tag(tag: str | None, line: int) -> None:
    if not tag or tag == "!" or tag in _TAGS or tag in _MERGE_TAGS:
        return
    shown = tag.replace("tag:yaml.org,2002:", "!!")
    raise Wrong(line, f"the YAML tag '{shown}' is not supported", "Remove it.")


_CHECK = "Check the indentation, quotes and brackets of this line and the one above."
_SYNTAX_HINTS = (
    ("'\\t'", "Indent with spaces: YAML does not allow tabs."),
    ("could not find expected ':'", "Write 'key: value', and quote strings that contain ': '."),
    ("mapping values are not allowed", "Check the indentation, and quote strings with ': '."),
    ("did not find expected key", "Check the indentation of this line and the ones above."),
    ("did not find expected '-' indicator", "Begin each item of a list with '- '."),
    ("unexpected end of stream", "A quote is not closed."),
)


def _syntax_error(error: yaml.MarkedYAMLError, text: str) -> Wrong:
    mark = error.problem_mark or error.context_mark
    line = mark.line + 1 if mark else 0
    problem = str(error.problem or error.context)
    # libyaml's own limit, reached before any event reported the depth
    if "nesting depth" in problem:
        return _too_deep(line)
    lines = text.splitlines()
    written = lines[line - 1] if 0 < line <= len(lines) else ""
    if "\t" in written[: len(written) - len(written.lstrip())]:
        problem = "found a tab ('\\t') where spaces are expected"
    hint = next((hint for part, hint in _SYNTAX_HINTS if part in problem), _CHECK)
    return Wrong(line, f"not valid YAML: {problem}", hint)


def _unreadable_character(error: yaml.YAMLError, text: str) -> Wrong:
    bad = re.search(r"[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", text)
    line = text.count("\n", 0, bad.start()) + 1 if bad else 0
    return Wrong(line, "not valid YAML: it contains a control character", "Remove it.")
