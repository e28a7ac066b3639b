"""Makes the document of `hashlab snapshots`. Changes nothing."""

from __future__ import annotations

from hashlab.documents import unix_time
from hashlab.documents.snapshots import Snapshot, Snapshots
from hashlab.phases.snapshots.manifests import listed, saved, snapshots_of
from hashlab.phases.world import World


def snapshots_document(world: World) -> Snapshots:
    """Return the snapshots of the lab, and those that a killed run left unfinished."""
    names = saved(world.state)
    unfinished = [name for name in snapshots_of(world).kept(world.lab) if name not in names]
    rows = [_row(world, name) for name in names]
    rows += [_unknown(name, "unfinished: it was never complete") for name in unfinished]
    rows.sort(key=lambda row: (row.taken or 0.0, row.name))
    return Snapshots(world.lab.name, world.provider.name, tuple(rows))


def _row(world: World, name: str) -> Snapshot:
    manifest, note = listed(world, name)
    if manifest is None:
        return _unknown(name, note)
    return Snapshot(
        name=name,
        taken=unix_time(manifest.taken),
        bytes=manifest.size,
        machines=tuple(machine.name for machine in manifest.machines),
        note=note,
    )


def _unknown(name: str, note: str) -> Snapshot:
    return Snapshot(name, taken=None, bytes=None, machines=(), note=note)
