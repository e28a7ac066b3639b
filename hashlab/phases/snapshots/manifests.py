"""The manifests of snapshots: one JSON file each, written last and in one step."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from hashlab.errors import LabError, LaptopError, UsageError
from hashlab.phases.world import World
from hashlab.protocols import MachineSnapshot, SnapshotManifest, Snapshots
from hashlab.state.files import StateFolder, is_file, names, read_json, write_json

END = ".json"
NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,40}")


def check_name(name: str) -> None:
    """Raise UsageError unless a snapshot may have this name."""
    if not NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is no name for a snapshot",
            next_step="begin with a lower-case letter or a digit; then up to 40 of those, '_', '.' "
            "and '-'",
        )


def snapshots_of(world: World) -> Snapshots:
    """The provider's snapshots. Raises LaptopError when it has none."""
    snapshots = world.provider.snapshots
    if snapshots is None:
        raise LaptopError(f"provider {world.provider.name} has no snapshots")
    return snapshots


def saved(state: StateFolder) -> list[str]:
    """Names of the snapshots that have a manifest."""
    return [name.removesuffix(END) for name in names(state.snapshots) if name.endswith(END)]


def saved_of(world: World) -> list[str]:
    """Names of those among them that were taken of this lab, on this provider."""
    mine = (world.lab.id, world.provider.name)
    read = [_read(world.state, name) for name in saved(world.state)]
    return [one.name for one in read if one and (one.lab_id, one.provider) == mine]


def save(state: StateFolder, manifest: SnapshotManifest) -> None:
    """Keep a manifest: from now on the snapshot is whole."""
    value = asdict(manifest)
    machines = [{**one, "address": str(one["address"])} for one in value["machines"]]
    write_json(
        state.manifest(manifest.name),
        {**value, "subnet": str(manifest.subnet), "machines": machines},
        lasting=True,
    )


def find(world: World, name: str) -> SnapshotManifest:
    """The manifest of a snapshot that this lab can use. Raises UsageError when there is none of
    this name, LabError when it is broken or that of another lab.
    """
    path = world.state.manifest(name)
    if not is_file(path):
        there = ", ".join(saved(world.state))
        raise UsageError(
            f"there is no snapshot {name!r}",
            where=world.lab.name,
            next_step=f"one of: {there}" if there else f"hashlab snapshot {name} takes one",
        )
    manifest = _read(world.state, name)
    if manifest is None:
        raise LabError(
            f"snapshot {name} is broken: its manifest cannot be read",
            where=str(path),
            next_step=f"hashlab snapshots prune {name}",
        )
    told = remark(world, manifest)
    if told:
        broken = told.startswith("broken")
        step = f"hashlab snapshots prune {name}" if broken else "hashlab snapshots lists all"
        raise LabError(
            f"snapshot {name} is {told}",
            where=str(path),
            next_step=f"{step}; the lab is as it was",
        )
    return manifest


def remark(world: World, manifest: SnapshotManifest) -> str:
    """Why this lab cannot use a snapshot, as far as a quick look tells; "" when it can."""
    if manifest.lab_id != world.lab.id:
        return f"foreign: it was taken of lab {manifest.lab_id}, this is {world.lab.id}"
    if manifest.provider != world.provider.name:
        return f"foreign: it was taken on provider {manifest.provider}"
    there, wanted = {one.name for one in manifest.machines}, set(world.machine_names())
    if there != wanted:
        held, asked = ", ".join(sorted(there)), ", ".join(sorted(wanted))
        return f"foreign: it holds the machines {held}; hashlab.toml has {asked}"
    lost = snapshots_of(world).missing(world.lab, manifest)
    return f"broken: {'; '.join(lost)}" if lost else ""


def listed(world: World, name: str) -> tuple[SnapshotManifest | None, str]:
    """A snapshot's manifest, if it can be read, and the remark on it."""
    manifest = _read(world.state, name)
    if manifest is None:
        return None, "broken: its manifest cannot be read"
    return manifest, remark(world, manifest)


def _read(state: StateFolder, name: str) -> SnapshotManifest | None:
    value = read_json(state.manifest(name))
    try:
        return _from_json(value) if isinstance(value, dict) and value["name"] == name else None
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _from_json(value: Mapping[str, Any]) -> SnapshotManifest:
    return SnapshotManifest(
        name=str(value["name"]),
        lab_id=str(value["lab_id"]),
        lab=str(value["lab"]),
        provider=str(value["provider"]),
        taken=str(value["taken"]),
        subnet=IPv4Network(value["subnet"]),
        size=int(value["size"]),
        machines=tuple(
            MachineSnapshot(
                name=str(one["name"]),
                address=IPv4Address(one["address"]),
                recipe=str(one["recipe"]),
                ssh_port=int(one["ssh_port"]),
                parts=dict(one["parts"]),
            )
            for one in value["machines"]
        ),
    )
