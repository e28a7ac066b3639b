"""The file with the alerts that fire: written by the process that evaluates rules, read by all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hashlab.documents.alerts import Alert
from hashlab.state.files import read_json, write_json

FILE = "alerts.json"


def read_alerts(folder: Path) -> tuple[Alert, ...]:
    """Return the alerts that fire. ``folder``: that of the stores; none without the file."""
    saved = read_json(folder / FILE)
    try:
        return tuple(_alert(each) for each in saved)
    except (KeyError, TypeError, ValueError):
        return ()


def _alert(saved: Mapping[str, Any]) -> Alert:
    replica = saved["replica"]
    return Alert(
        alert=str(saved["alert"]),
        since=float(saved["since"]),
        machine=_text(saved["machine"]),
        service=_text(saved["service"]),
        replica=None if replica is None else int(replica),
        text=str(saved["text"]),
    )


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def write_alerts(folder: Path, alerts: Iterable[Alert]) -> None:
    """Write the alerts that fire. Raises LaptopError."""
    write_json(folder / FILE, [asdict(each) for each in alerts])
