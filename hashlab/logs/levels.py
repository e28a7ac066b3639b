"""Recognises the level of a log line: a field of JSON, or a word of its text."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from hashlab.documents.logs import LEVELS, Level

# The names of levels in the JVM's and Python's loggers, Erlang, PostgreSQL, nginx, syslog.
NAMES: Mapping[str, Level] = {
    **{name: name for name in LEVELS},
    **dict.fromkeys(("finest", "finer", "verbose"), "trace"),
    **dict.fromkeys(("fine", "dbg"), "debug"),
    **dict.fromkeys(("information", "notice", "inf", "log"), "info"),
    **dict.fromkeys(("warning", "wrn"), "warn"),
    **dict.fromkeys(("err", "severe"), "error"),
    **dict.fromkeys(("critical", "crit", "panic", "alert", "emerg", "emergency"), "fatal"),
}
# Keys of JSON that hold a level, the most usual first.
KEYS = ("level", "severity", "lvl", "loglevel", "log.level", "levelname")
# Bunyan and pino write numbers: from 30 on "info", and so on.
NUMBERS: Sequence[Level] = ("trace", "trace", "debug", "info", "warn", "error", "fatal")
# The journal's PRIORITY, from 0 (emergency) to 7 (debug).
PRIORITIES: Sequence[Level] = (
    *("fatal", "fatal", "fatal", "error"),
    *("warn", "info", "info", "debug"),
)
# A level is near the start of a line. Later in the text, the same word means something else.
HEAD = 160
ANY_NAME = "|".join(NAMES)
PATTERNS = (
    re.compile(rf"""\b(?:level|lvl|severity)["']?\s*[=:]\s*["']?({ANY_NAME})\b""", re.IGNORECASE),
    re.compile(
        r"\b(TRACE|DEBUG|DBG|INFO|INF|NOTICE|WARN(?:ING)?|WRN|ERR(?:OR)?|SEVERE|FATAL|CRITICAL"
        r"|PANIC|LOG(?=:))\b"
    ),
    re.compile(rf"[\[<]({ANY_NAME})[\]>]", re.IGNORECASE),
    re.compile(rf"^({ANY_NAME}):\s", re.IGNORECASE),
)
# The first lines of stack traces, which name no level.
CRASH = re.compile(
    r"Exception in thread |Traceback \(most recent call last\)|[\w.$]+(?:Exception|Error)(?::|$)"
)


def level_of(text: str) -> Level | None:
    """Return the level that a line shows; None if it shows none."""
    if text.startswith("{") and (fields := json_fields(text)) is not None:
        return _level_in(fields)
    head = text[:HEAD]
    for pattern in PATTERNS:
        if match := pattern.search(head):
            return NAMES[match[1].lower()]
    return "error" if CRASH.match(head) else None


def json_fields(text: str) -> Mapping[str, Any] | None:
    """Return the fields of a line that is a JSON object, or None."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _level_in(fields: Mapping[str, Any]) -> Level | None:
    value = next((fields[key] for key in KEYS if key in fields), None)
    if isinstance(value, int):
        return NUMBERS[min(max(value, 0) // 10, len(NUMBERS) - 1)]
    return NAMES.get(value.lower()) if isinstance(value, str) else None
