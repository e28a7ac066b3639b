"""Reads the records of earlier runs, also those of older versions; skips and names broken ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast, get_args

from hashlab.documents.run import Cause, Failure, RunRecord
from hashlab.pipeline import Row, Status
from hashlab.report.formats import clean_text, one_line
from hashlab.state.files import names, read_json

# Longer than any run: a larger number is a mistake.
MOST_SECONDS = 1e7
# The end of the year 9998, so that a time plus a duration stays in the calendar.
LATEST = 253_370_764_800.0


@dataclass(frozen=True)
class Runs:
    """All runs of a folder, oldest first, and the names of the files that were skipped."""

    runs: tuple[RunRecord, ...] = ()
    skipped: tuple[str, ...] = ()


class _NotARecord(ValueError):
    """A value does not belong into a record."""


def read_runs(folder: Path, *, provider: str | None = None) -> Runs:
    """Read every ``*.json`` of the folder, which may be missing; keep runs of ``provider``."""
    runs, skipped = [], []
    for name in [name for name in names(folder) if name.endswith(".json")]:
        try:
            runs.append(read_record(read_json(folder / name)))
        except ValueError:
            skipped.append(_printable(one_line(name)))
    kept = [run for run in runs if provider in (None, run.provider)]
    return Runs(tuple(sorted(kept, key=lambda run: run.started)), tuple(skipped))


def read_record(value: Any) -> RunRecord:
    """Return the record that JSON describes. Raises ValueError for anything else."""
    record = _table(value)
    ok = _of(record, "ok", bool)
    causes = record.get("causes")
    return RunRecord(
        command=_line(record, "command"),
        lab=_line(record, "lab"),
        provider=_line(record, "provider"),
        started=_moment(record.get("started")),
        seconds=_seconds(record),
        ok=ok,
        peak_memory=_count(record, "peak_memory"),
        causes=None if causes is None else tuple(_cause(c) for c in _of(record, "causes", list)),
        phases=tuple(_row(_table(phase)) for phase in _of(record, "phases", list)),
        error=None if ok else _failure(record.get("error")),
    )


def _row(phase: Mapping[str, Any]) -> Row:
    status = _of(phase, "status", str)
    if status not in get_args(Status):
        _refuse(f"status {status}")
    started = phase.get("started")
    return Row(
        name=_line(phase, "name"),
        machine=_line(phase, "machine") if phase.get("machine") is not None else None,
        service=_line(phase, "service") if phase.get("service") is not None else None,
        started=None if started is None else _moment(started),
        seconds=_seconds(phase),
        status=cast(Status, status),
        detail=_line(phase, "detail"),
        bytes_sent=_count(phase, "bytes_sent"),
        depth=_count(phase, "depth"),
    )


def _cause(value: Any) -> Cause:
    cause = _table(value)
    names = cause.get("files", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        _refuse("files")
    files = tuple(_printable(one_line(name)) for name in names)
    return Cause(_line(cause, "what"), files, _count(cause, "more"))


def _failure(value: Any) -> Failure:
    error = _table(value)
    texts = {
        key: _printable(clean_text(str(error.get(key) or "")))
        for key in ("what", "where", "output", "next_step")
    }
    return Failure(**texts, exit_code=_count(error, "exit_code"))


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else _refuse("not an object")


def _of(record: Mapping[str, Any], key: str, kind: type) -> Any:
    value = record.get(key)
    return value if isinstance(value, kind) else _refuse(key)


def _line(record: Mapping[str, Any], key: str) -> str:
    return _printable(one_line(_of(record, key, str)))


def _printable(text: str) -> str:
    """Replace lone surrogates, which JSON can contain and files cannot."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _seconds(record: Mapping[str, Any]) -> float:
    value = record.get("seconds")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return cast(float, _refuse("seconds"))
    if not 0 <= value <= MOST_SECONDS:
        _refuse("seconds")
    return float(value)


def _count(record: Mapping[str, Any], key: str) -> int:
    """Return a number that is not negative; 0 if an older record has none."""
    value = record.get(key, 0)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
        _refuse(key)
    return cast(int, value)


def _moment(value: Any) -> float:
    if not isinstance(value, str):
        _refuse("time")
    moment = datetime.fromisoformat(value)
    unix = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return unix if 0 <= unix <= LATEST else cast(float, _refuse("time"))


def _refuse(what: str) -> Any:
    raise _NotARecord(what)
