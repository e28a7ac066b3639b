"""Restore the data of a snapshot under containers that still belong to it. Their machines keep
running.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from typing import Any

from hashlab.errors import LabError
from hashlab.protocols import Engine, PlannedMachine
from hashlab.providers.docker.machines import observed
from hashlab.providers.seed import STORE

SCRIPT = resources.files("hashlab.providers.docker").joinpath("inplace.sh").read_text("utf-8")
BOOT = "boot"


def changed_outside(
    planned: PlannedMachine, parts: Mapping[str, Any], inspected: Mapping[str, Any] | None
) -> str:
    """Return why a machine cannot stay, as far as the laptop's engine shows it; "" if it can.

    ``parts``: the manifest's description of it; ``inspected``: the engine's description.
    """
    if inspected is None:
        return "it is missing"
    seen = observed(planned.name, inspected)
    if seen.state != "running":
        return f"it is {seen.state}"
    if not _since(parts, inspected):
        return "it was replaced since then"
    if seen.address != planned.address:
        return "its address changes"
    return ""


def changed_inside(
    engine: Engine, container: str, parts: Mapping[str, Any], inspected: Mapping[str, Any]
) -> str:
    """Return the same as ``changed_outside``, as far as the machine's own files show it. Raises
    LabError.
    """
    arguments = ("changed", "/", _since(parts, inspected))
    return _run(
        engine, container, *arguments, failure="cannot find out which of its files changed"
    ).strip()


def put_back(engine: Engine, container: str) -> None:
    """Stop the machine's containers and replace their data by the staged data. Raises LabError."""
    _run(engine, container, "put", STORE, failure="cannot put the data back")


def _since(parts: Mapping[str, Any], inspected: Mapping[str, Any]) -> str:
    """Return the time after which nothing may have changed in a machine.

    For the machine that was saved, the instant of the snapshot in seconds since 1970; for one made
    from the snapshot, its boot; "" for any other.
    """
    if parts.get("container") == inspected["Id"]:
        return str(parts["instant"])
    return BOOT if parts["image_id"] == inspected["Image"] else ""


def _run(engine: Engine, container: str, *arguments: str, failure: str) -> str:
    done = engine.execute(container, ["sh", "-c", SCRIPT, "sh", *arguments])
    if done.code != 0:
        raise LabError(failure, where=container, output=done.stdout + done.stderr)
    return done.stdout
