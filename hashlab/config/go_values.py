"""Dates and numbers as the Go programs behind Compose read and print them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

_DATE = re.compile(
    r"(?P<year>[0-9]{4})-(?P<month>[0-9]{1,2})-(?P<day>[0-9]{1,2})"
    r"(?:(?P<gap>[Tt ])(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{1,2}):(?P<second>[0-9]{1,2})"
    r"(?:\.(?P<fraction>[0-9]{1,9}))?(?P<zone>Z|[-+][0-9]{2}:[0-9]{2})?)?"
)
_FIELDS = ("year", "month", "day", "hour", "minute", "second")
# The exponent from which on Go writes 1e+06 instead of 1000000.
_LARGE = 6


def parse_date(text: str) -> datetime | None:
    """Return the date, or date and time, of an unquoted YAML scalar; None for anything else."""
    match = _DATE.fullmatch(text) if text[4:5] == "-" else None
    # A time after T has a zone, a time after a blank has none.
    if match is None or bool(match["zone"]) != ((match["gap"] or " ") != " "):
        return None
    try:
        year, month, day, hour, minute, second = (int(match[name] or 0) for name in _FIELDS)
        zone = _zone(match["zone"])
        return datetime(year, month, day, hour, minute, second, tzinfo=zone)
    except ValueError:
        return None


def _zone(written: str | None) -> timezone:
    if written is None or written == "Z":
        return UTC
    hours, minutes = int(written[1:3]), int(written[4:])
    offset = timedelta(hours=hours, minutes=minutes)
    return timezone(-offset if written[0] == "-" else offset)


def printed(value: object, written: str) -> str:
    """Return a scalar of YAML as Compose passes it on; ``written`` is the scalar in the file."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return _printed_float(value)
    if isinstance(value, datetime):
        return _printed_date(value, written)
    return str(value)


def _printed_float(value: float) -> str:
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    shown = "".join(map(str, digits))
    power = len(shown) - 1 + int(exponent)
    if -4 <= power < _LARGE:
        return f"{Decimal(repr(value)).normalize():f}"
    fraction = f".{shown[1:]}" if len(shown) > 1 else ""
    return f"{'-' * sign}{shown[0]}{fraction}e{power:+03d}"


def _printed_date(value: datetime, written: str) -> str:
    match = _DATE.fullmatch(written)
    fraction = (match["fraction"] or "").rstrip("0") if match else ""
    offset = value.strftime("%z")
    zone = "UTC" if offset == "+0000" else offset
    return f"{value:%Y-%m-%d %H:%M:%S}{'.' * bool(fraction)}{fraction} {offset} {zone}"
