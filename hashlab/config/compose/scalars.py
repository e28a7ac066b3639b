"""Read simple values of Compose: numbers, switches, commands, pairs, sizes, times."""

from __future__ import annotations

import math
import posixpath
import re
from datetime import datetime
from typing import Any

from hashlab.config.go_values import printed
from hashlab.config.nodes import Node
from hashlab.config.readers import (
    Context,
    Reader,
    any_text,
    either,
    list_of,
    mismatch,
    strings,
    text,
)
from hashlab.config.report import Wrong
from hashlab.config.shell_words import split
from hashlab.config.units import compose_bytes, seconds

Pairs = tuple[tuple[str, str | None], ...]

# The engine counts nanoseconds in 64 bits, and hashlab may multiply times.
LONGEST_SECONDS = 366 * 86400.0

_SWITCHES = {
    **dict.fromkeys(("true", "yes", "on", "y", "1"), True),
    **dict.fromkeys(("false", "no", "off", "n", "0"), False),
}
_WHOLE = re.compile(r"[-+]?\d{1,18}")
_DECIMAL = re.compile(r"\d{1,15}(\.\d{1,15})?")


def integer(*, low: int, high: int = 2**63 - 1) -> Reader[int]:
    """Return a reader of whole numbers from ``low`` to ``high``, quoted or not."""

    def read(node: Node, context: Context) -> int:
        value = node.value
        if isinstance(value, str) and _WHOLE.fullmatch(value):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise mismatch(node, "a whole number")
        if not low <= value <= high:
            limits = f"{low} or more" if high >= 2**31 else f"a number from {low} to {high}"
            raise Wrong(node.line, f"{value} is out of range", f"Write {limits}.")
        return value

    return read


def boolean(node: Node, context: Context) -> bool:
    """Read true or false, also in the other words that Compose accepts: yes, no, on, off."""
    if isinstance(node.value, bool):
        return node.value
    if isinstance(node.value, str) and node.value.lower() in _SWITCHES:
        return _SWITCHES[node.value.lower()]
    raise mismatch(node, "true or false")


def cpus(node: Node, context: Context) -> float:
    """Read a number of cores: 0.5 or "0.5"; 0 sets no limit."""
    value = node.value
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise mismatch(node, "a number of cores", 'Write "0.5".')
    if value != 0 and not 0.01 <= value < 10_000:  # 0 sets no limit
        raise Wrong(node.line, f"{value} is not a valid number of cores", "Write 0.01 or more.")
    return float(value)


def size(node: Node, context: Context) -> int:
    """Read a size in bytes: 512m, 1g, 1.5gb, or a plain number."""
    if isinstance(node.value, bool) or not isinstance(node.value, (int, str)):
        raise mismatch(node, "a size", "Write 512m or 1.5g.")
    number = compose_bytes(str(node.value))
    if number is None:
        raise Wrong(node.line, f"'{node.value}' is not a valid size", "Write 512m or 1.5g.")
    return number


def duration(node: Node, context: Context) -> float:
    """Read a time and return seconds: 10s, 1m30s, 500ms."""
    if isinstance(node.value, int) and not isinstance(node.value, bool) and node.value:
        message = f"'{node.value}' has no unit of time"
        raise Wrong(node.line, message, f"Write {node.value}s.")
    value = "0" if node.value == 0 else any_text(node, context)
    length = seconds(value)
    if length is None:
        raise Wrong(node.line, f"'{value}' is not a valid duration", "Write 10s, 1m30s or 500ms.")
    if length > LONGEST_SECONDS:
        raise Wrong(node.line, f"'{value}' is too long", "Write a year (8760h) or less.")
    return length


def scalar_text(node: Node, context: Context) -> str:
    """Read a string, number, switch or date as Compose passes it on; note it if that differs."""
    value = node.value
    if isinstance(value, str):
        return value
    if not isinstance(value, (bool, int, float, datetime)):
        raise mismatch(node, "a string")
    if isinstance(value, float) and not math.isfinite(value):
        raise Wrong(node.line, f"{node.raw} is not a number", f'Write "{node.raw}" in quotes.')
    plain = printed(value, node.raw)
    if plain != node.raw:
        kind = "a date" if isinstance(value, datetime) else "a number"
        what = "a switch" if isinstance(value, bool) else kind
        note = f"{node.raw} is {what} in YAML and becomes '{plain}'; to keep it as it is, write"
        context.report.note(node.line, f'{note} "{node.raw}"')
    return plain


def pairs(node: Node, context: Context) -> Pairs:
    """Read a mapping, or a list of NAME=value. A name without a value gives None."""
    values: dict[str, str | None] = {}
    if isinstance(node.value, dict):
        for key, child in node.value.items():
            try:
                values[key] = None if child.value is None else scalar_text(child, context)
            except Wrong as wrong:
                context.report.add_wrong(wrong)
    elif isinstance(node.value, list):
        for item in list_of(text, "a list of NAME=value")(node, context):
            name, equals, value = item.partition("=")
            values[name] = value if equals else None
    else:
        raise mismatch(node, "a mapping or a list of NAME=value", "Write NAME: value per line.")
    if "" in values:
        raise Wrong(node.key_line, "a value has no name", "Write NAME=value.")
    return tuple(values.items())


def texts(node: Node, context: Context) -> tuple[tuple[str, str], ...]:
    """Read pairs. A name without a value gives ""."""
    return tuple((name, value or "") for name, value in pairs(node, context))


def command(node: Node, context: Context) -> tuple[str, ...] | None:
    """Read a command: a list of words, or a string, split into words. None means the image's
    own command.
    """
    if node.value is None:
        return None
    if not isinstance(node.value, str):
        expected = 'a string or a list of words such as ["sleep", "10"]'
        return list_of(any_text, expected)(node, context)
    try:
        words, rest = split(node.value)
    except ValueError:
        message = "the command has a quote that is not closed, or a parenthesis"
        raise Wrong(node.line, message, "Write a list of words.") from None
    if rest:
        message = f"no shell runs this string, so '{rest}' is left out: write [sh, -c, …]"
        context.report.note(node.line, message)
    return words


def _single(node: Node, context: Context) -> tuple[str, ...]:
    return (text(node, context),)


string_or_strings: Reader[tuple[str, ...]] = either(_single, strings, when=str)


def file_mode(node: Node, context: Context) -> int:
    """Read the permissions of a file: 0440, 0o440 or "0440"."""
    value: Any = node.value
    match = re.fullmatch(r"0o?([0-7]{1,4})", node.raw)
    if isinstance(value, bool) or not isinstance(value, (int, str)) or match is None:
        written = node.raw or "that"
        raise Wrong(
            node.line, f"'{written}' is not a valid file mode", "Write an octal number: 0440."
        )
    return int(match[1], 8)


def container_path(node: Node, context: Context) -> str:
    """Read an absolute path inside a container."""
    value = text(node, context)
    if not value.startswith("/"):
        hint = f"Write an absolute path: /{value.removeprefix('./')}"
        raise Wrong(node.line, f"'{value}' is not an absolute path inside the container", hint)
    return posixpath.normpath(value).replace("//", "/", 1)
