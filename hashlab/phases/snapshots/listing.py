"""What `hashlab snapshots` tells. Changes nothing."""

from __future__ import annotations

from typing import Any

from hashlab.phases.snapshots.manifests import listed, saved, snapshots_of
from hashlab.phases.world import World


def snapshots_document(world: World) -> dict[str, Any]:
    """The document ``snapshots --json`` prints (shape: docs/reference/json.md)."""
    names = saved(world.state)
    unfinished = [name for name in snapshots_of(world).kept(world.lab) if name not in names]
    rows = [_row(world, name) for name in names]
    rows += [_unknown(name, "unfinished: it was never whole") for name in unfinished]
    return {
        "lab": world.lab.name,
        "provider": world.provider.name,
        "snapshots": sorted(rows, key=lambda row: (row["taken"] or "", row["name"])),
    }


def _row(world: World, name: str) -> dict[str, Any]:
    manifest, told = listed(world, name)
    if manifest is None:
        return _unknown(name, told)
    return {
        "name": name,
        "taken": manifest.taken,
        "bytes": manifest.size,
        "machines": [one.name for one in manifest.machines],
        "note": told,
    }


def _unknown(name: str, told: str) -> dict[str, Any]:
    return {"name": name, "taken": None, "bytes": None, "machines": [], "note": told}
