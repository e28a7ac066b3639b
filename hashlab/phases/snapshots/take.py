"""Phases that take and remove a snapshot."""

from __future__ import annotations

from datetime import UTC, datetime
from ipaddress import IPv4Network

from hashlab.errors import UsageError
from hashlab.phases.snapshots.manifests import check_name, listed, save, saved, snapshots_of
from hashlab.phases.world import World
from hashlab.pipeline import Track
from hashlab.protocols import SnapshotManifest
from hashlab.state.files import is_file, remove


def take_snapshot(world: World, track: Track, _: str, *, name: str) -> None:
    """Promise: a snapshot holds all machines as they were at one point in time; they run on."""
    check_name(name)
    snapshots = snapshots_of(world)
    if is_file(world.state.manifest(name)):
        raise UsageError(
            f"snapshot {name!r} exists already",
            next_step=f"take another name, or: hashlab snapshots prune {name}",
        )
    instant = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    taken = snapshots.take(world.lab, name, track=track)
    address = taken.machines[0].address
    manifest = SnapshotManifest(
        name=name,
        lab_id=world.lab.id,
        lab=world.lab.name,
        provider=world.provider.name,
        taken=instant,
        subnet=IPv4Network(f"{address}/{world.lab.subnet.prefixlen}", strict=False),
        size=taken.size,
        machines=taken.machines,
    )
    save(world.state, manifest)
    track.detail(
        f"{len(taken.machines)} machines, {taken.size / 1e6:.0f} MB, "
        f"they were paused for {taken.paused:.1f} s"
    )


def remove_snapshot(world: World, track: Track, _: str, *, name: str) -> None:
    """Promise: nothing of the snapshot is left. Its manifest goes first: if this is interrupted,
    the rest is listed by `hashlab snapshots` as unfinished, and is never restored.
    """
    check_name(name)
    snapshots = snapshots_of(world)
    path = world.state.manifest(name)
    if not is_file(path) and name not in snapshots.kept(world.lab):
        names = ", ".join(saved(world.state)) or "none"
        raise UsageError(f"unknown snapshot {name!r}", next_step=f"existing snapshots: {names}")
    manifest, _remark = listed(world, name)
    remove(path)
    removed = snapshots.remove(world.lab, name)
    when = f" of {manifest.taken}" if manifest else ""
    track.detail(
        f"gone: data and secrets{when}; {', '.join(removed) or 'nothing was left of them'}"
    )
