"""Turns a document into JSON: its fields by name, times as ISO 8601, numbers to three digits."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import Field, fields, is_dataclass
from datetime import UTC, datetime
from typing import Any

from hashlab.pipeline import UNIX_TIME


def json_text(document: object) -> str:
    """Return the text that ``--json`` prints."""
    return json.dumps(to_json(document), indent=2)


def to_json(value: object) -> Any:
    """Return a document as objects, arrays, texts and numbers that `json` can write."""
    if value is None or isinstance(value, str | int):
        return value
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _field(field, getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, float):
        return round(value, 3)
    if isinstance(value, Mapping):
        return {str(key): to_json(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(inner) for inner in value]
    return value


def _field(field: Field[Any], value: Any) -> Any:
    is_time = field.metadata == UNIX_TIME and value is not None
    return iso_time(value) if is_time else to_json(value)


def iso_time(unix: float) -> str:
    """Return Unix time in seconds as ISO 8601 in UTC with milliseconds."""
    text = datetime.fromtimestamp(unix, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def unix_time(text: object) -> float | None:
    """Return ISO 8601, by default in UTC, as Unix time in seconds; None for anything else."""
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
