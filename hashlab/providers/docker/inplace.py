"""Data put back under containers that are those of a snapshot: their machines, which run, stay."""

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
    """Why a machine can't stay, as far as the laptop's engine shows it; "" when it can. ``parts``:
    what the manifest says of it; ``inspected``: how the engine describes it.
    """
    if inspected is None:
        return "it is not there"
    seen = observed(planned.name, inspected)
    if seen.state != "running":
        return f"it is {seen.state}"
    if not _since(parts, inspected):
        return "it was made anew since then"
    if seen.address != planned.address:
        return "it gets another address"
    return ""


def changed_inside(
    engine: Engine, container: str, parts: Mapping[str, Any], inspected: Mapping[str, Any]
) -> str:
    """The same as far as the machine's own files show it. Raises LabError."""
    words = ("changed", "/", _since(parts, inspected))
    return _run(engine, container, *words, failure="cannot see what has changed in it").strip()


def hold_network(engine: Engine, container: str, network: str) -> None:
    """Let the machine stay on the overlay network while it has no containers. Raises LabError."""
    words = ("hold", STORE, network)
    _run(engine, container, *words, failure="cannot keep the machine on its network")


def put_back(engine: Engine, container: str, network: str) -> None:
    """End the machine's containers and exchange their data for what was staged. Raises LabError."""
    _run(engine, container, "put", STORE, network, failure="cannot put the data back")


def _since(parts: Mapping[str, Any], inspected: Mapping[str, Any]) -> str:
    """From when on nothing may have changed in a machine: the instant of the snapshot in seconds
    since 1970 for the machine that was kept, its boot for one that was made from the snapshot; ""
    for any other.
    """
    if parts.get("container") == inspected["Id"]:
        return str(parts["instant"])
    return BOOT if parts["image_id"] == inspected["Image"] else ""


def _run(engine: Engine, container: str, *words: str, failure: str) -> str:
    done = engine.execute(container, ["sh", "-c", SCRIPT, "sh", *words])
    if done.code != 0:
        raise LabError(failure, where=container, output=done.stdout + done.stderr)
    return done.stdout
