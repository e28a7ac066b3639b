"""Reads and writes the manifest of each snapshot: a JSON file, written last and in one step."""

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
            f"{name!r} is not a valid snapshot name",
            next_step="use a-z, 0-9, '_', '.', '-', a letter or digit first, at most 41 characters",
        )


def snapshots_of(world: World) -> Snapshots:
    """Return the provider's snapshots. Raises LaptopError if it does not support them."""
    snapshots = world.provider.snapshots
    if snapshots is None:
        raise LaptopError(f"provider {world.provider.name} has no snapshots")
    return snapshots


def saved(state: StateFolder) -> list[str]:
    """Return the names of the snapshots that have a manifest."""
    return [name.removesuffix(END) for name in names(state.snapshots) if name.endswith(END)]


def saved_of(world: World) -> list[str]:
    """Return the names of the snapshots of this lab on this provider."""
    mine = (world.lab.id, world.provider.name)
    manifests = [_read(world.state, name) for name in saved(world.state)]
    return [each.name for each in manifests if each and (each.lab_id, each.provider) == mine]


def save(state: StateFolder, manifest: SnapshotManifest) -> None:
    """Save a manifest, which completes the snapshot."""
    value = asdict(manifest)
    machines = [{**each, "address": str(each["address"])} for each in value["machines"]]
    write_json(
        state.manifest(manifest.name),
        {**value, "subnet": str(manifest.subnet), "machines": machines},
        lasting=True,
    )


def find(world: World, name: str) -> SnapshotManifest:
    """Return the manifest of a snapshot that this lab can use. Raises UsageError if none has this
    name, LabError if it is broken or another lab's.
    """
    path = world.state.manifest(name)
    if not is_file(path):
        existing = ", ".join(saved(world.state))
        raise UsageError(
            f"unknown snapshot {name!r}",
            where=world.lab.name,
            next_step=f"one of: {existing}" if existing else f"hashlab snapshot {name} takes one",
        )
    manifest = _read(world.state, name)
    if manifest is None:
        raise LabError(
            f"snapshot {name} is broken: its manifest cannot be read",
            where=str(path),
            next_step=f"hashlab snapshots prune {name}",
        )
    reason = remark(world, manifest)
    if reason:
        broken = reason.startswith("broken")
        step = f"hashlab snapshots prune {name}" if broken else "hashlab snapshots lists all"
        raise LabError(
            f"snapshot {name} is {reason}",
            where=str(path),
            next_step=f"{step}; the lab is as it was",
        )
    return manifest


def remark(world: World, manifest: SnapshotManifest) -> str:
    """Return why this lab cannot use a snapshot, by a quick check; "" if it can."""
    if manifest.lab_id != world.lab.id:
        return f"foreign: it was taken of lab {manifest.lab_id}, this is {world.lab.id}"
    if manifest.provider != world.provider.name:
        return f"foreign: it was taken on provider {manifest.provider}"
    held, wanted = {machine.name for machine in manifest.machines}, set(world.machine_names())
    if held != wanted:
        inside, asked = ", ".join(sorted(held)), ", ".join(sorted(wanted))
        return f"foreign: it holds the machines {inside}; hashlab.toml has {asked}"
    lost = snapshots_of(world).missing(world.lab, manifest)
    return f"broken: {'; '.join(lost)}" if lost else ""


def listed(world: World, name: str) -> tuple[SnapshotManifest | None, str]:
    """Return a snapshot's manifest, if it can be read, and the remark on it."""
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
                name=str(machine["name"]),
                address=IPv4Address(machine["address"]),
                recipe=str(machine["recipe"]),
                ssh_port=int(machine["ssh_port"]),
                parts=dict(machine["parts"]),
            )
            for machine in value["machines"]
        ),
    )
