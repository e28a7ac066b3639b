"""The file with the alerts that fire: written by the process that evaluates rules, read by all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from hashlab.documents.alerts import Alert
from hashlab.state.files import read_json, write_json

FILE = "alerts.json"


def read_alerts(folder: Path) -> tuple[Alert, ...]:
    """Return the alerts that fire. ``folder``: that of the stores; none without the file."""
    saved = read_json(folder / FILE)
    try:
        return tuple(Alert(**each) for each in saved)
    except TypeError:
        return ()


def write_alerts(folder: Path, alerts: Iterable[Alert]) -> None:
    """Write the alerts that fire. Raises LaptopError."""
    write_json(folder / FILE, [asdict(each) for each in alerts])
