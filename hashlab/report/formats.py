"""Formats numbers, texts and states for people: the same in every view."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Literal

from hashlab.pipeline import Row, Status, Step

Tone = Literal["plain", "good", "bad", "warn", "dim", "strong"]

SYMBOLS: dict[Status, str] = {
    "ok": "✓",
    "skipped": "·",
    "failed": "✗",
    "cancelled": "!",
    "not-reached": "○",
}
TONES: dict[Status, Tone] = {
    "ok": "good",
    "skipped": "dim",
    "failed": "bad",
    "cancelled": "warn",
    "not-reached": "dim",
}
# Replacements for signs that the terminal's encoding lacks.
ASCII = str.maketrans({"✓": "+", "·": "-", "✗": "x", "○": "o", "…": "~", "─": "-", "→": ">"})
UNITS = ("B", "kB", "MB", "GB", "TB")
AGES = (("d", 86400), ("h", 3600), ("min", 60))
ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
# Control characters, and characters that change the direction of reading.
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def seconds(value: float) -> str:
    """Return a duration with two decimals, as in the tables: ``14.13``."""
    return f"{value:.2f}"


def elapsed(value: float) -> str:
    """Return a duration for a running clock: ``3.2 s``, from one minute on ``1:05 min``."""
    if value < 60:
        return f"{max(0.0, value):.1f} s"
    minutes, rest = divmod(int(value), 60)
    return f"{minutes}:{rest:02d} min"


def age(since: float | None, now: float) -> str:
    """Return the time from one Unix time to another in its largest unit; "" if it is unknown."""
    if since is None:
        return ""
    seconds = max(0.0, now - since)
    for unit, length in AGES:
        if seconds >= length:
            return f"{int(seconds // length)} {unit}"
    return f"{int(seconds)} s"


def moment(unix: float) -> str:
    """Return Unix time for people: ``2026-11-24 13:46:48 UTC``."""
    return datetime.fromtimestamp(unix, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def size(count: int) -> str:
    """Return bytes in units of 1000, with at most three digits before the point: ``18.4 MB``."""
    amount, power = float(count), 0
    while round(amount, 1) >= 1000 and power < len(UNITS) - 1:
        amount, power = amount / 1000, power + 1
    return f"{count} B" if power == 0 else f"{amount:.1f} {UNITS[power]}"


def share(count: int, limit: int) -> str:
    """Return bytes of a limit, both in its unit: ``176 of 537 MB``."""
    power = 0
    while round(limit / 1000**power) >= 1000 and power < len(UNITS) - 1:
        power += 1
    digits = 1 if power and limit / 1000**power < 100 else 0
    done, total = (f"{each / 1000**power:.{digits}f}" for each in (count, limit))
    return f"{done} of {total} {UNITS[power]}"


def amount(done: float, total: float | None, unit: str) -> str:
    """Return the progress of a step: ``12.3 of 18.0 MB``, ``2 of 3 machines``, ``12.3 MB``."""
    digits = 1 if unit == "MB" else 0
    count = f"{done:.{digits}f}" if total is None else f"{done:.{digits}f} of {total:.{digits}f}"
    return f"{count} {unit}".rstrip()


def clean(line: str) -> str:
    """Return a tool's line without escape sequences and control characters. If carriage returns
    overwrite it, return the last version.
    """
    shown = ESCAPES.sub("", line).rstrip("\r\n").rpartition("\r")[2]
    return CONTROLS.sub(" ", shown.expandtabs(4))


def clean_text(text: str) -> str:
    """Return a text of several lines, each of them clean."""
    return "\n".join(clean(line) for line in text.split("\n"))


def one_line(text: str) -> str:
    """Return a clean text on one line, for a cell of a table."""
    return " ".join(clean(text.replace("\r", "\n").replace("\n", " ")).split())


def title(step: Row | Step, *, without: Iterable[str | None] = ()) -> str:
    """Return the title of a step: name, machine and service, except those in ``without``."""
    known = set(without)
    parts = (step.name, step.machine, step.service)
    return " ".join(part for part in parts if part and part not in known) or step.name


def fitting(text: str, encoding: str | None) -> str:
    """Return ``text`` in characters that the encoding has, so that writing it never fails."""
    name = encoding or "utf-8"
    try:
        text.encode(name)
    except (UnicodeEncodeError, LookupError):
        return text.translate(ASCII).encode("ascii", "replace").decode("ascii")
    return text
