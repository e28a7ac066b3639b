"""The parts of a snapshot of the provider ``docker``, and their description in the manifest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from ipaddress import IPv4Address
from typing import Any

from hashlab.config.model import Lab
from hashlab.errors import LabError
from hashlab.protocols import MachineSnapshot, SnapshotManifest
from hashlab.providers.docker.machines import observed
from hashlab.providers.docker.names import snapshot_image, snapshot_volume, volume
from hashlab.providers.docker.volume_shell import VolumeShell, folder

SCRIPT = resources.files("hashlab.providers.docker").joinpath("snapshot.sh").read_text("utf-8")
# Settings that Vagrant requested, under the engine's names. Image, key, address and ports are set
# again at each restore.
CONFIG = ("Hostname", "Labels", "Entrypoint", "StopSignal")
HOST_CONFIG = (
    *("Binds", "CapAdd", "CapDrop", "CgroupnsMode", "MaskedPaths", "Memory", "MemorySwap"),
    *("NanoCpus", "Privileged", "ReadonlyPaths", "RestartPolicy", "SecurityOpt", "Tmpfs"),
)
COMPARED = ("entries", "bytes", "listing")
# Keys that a manifest must have for each machine. Older manifests lack the container and the
# instant, by which an unchanged machine is recognised.
PARTS = ("image", "image_id", "volume", *COMPARED, "config", "host_config")


def kept_folder(lab: Lab, name: str, machine: str) -> str:
    """Return the path at which a volume shell sees a snapshot's copy of a machine's engine
    folder.
    """
    return folder(snapshot_volume(lab, name, machine))


def lab_volumes(lab: Lab, name: str, machines: Sequence[str]) -> list[str]:
    """Return the volumes of machines, and those of a snapshot's copies."""
    kept = [snapshot_volume(lab, name, machine) for machine in machines]
    return [*kept, *(volume(lab, machine) for machine in machines)]


def described(
    lab: Lab,
    name: str,
    machine: str,
    *,
    inspected: Mapping[str, Any],
    image_id: str,
    description: Mapping[str, str],
    instant: str,
) -> MachineSnapshot:
    """Return the manifest's description of a machine.

    ``description``: from ``describe_volumes``; ``instant``: when it was paused, in seconds since
    1970 by the engine's clock. Raises LabError if it publishes no port for SSH.
    """
    seen = observed(machine, inspected)
    if seen.endpoint is None:
        raise LabError("the machine publishes no port for SSH", where=machine)
    host = inspected["HostConfig"]
    parts = {
        "image": snapshot_image(lab, name, machine),
        "image_id": image_id,
        "volume": snapshot_volume(lab, name, machine),
        "container": inspected["Id"],
        "instant": instant,
        **{key: description[key] for key in COMPARED},
        "config": {key: inspected["Config"][key] for key in CONFIG if inspected["Config"].get(key)},
        # An empty list differs from a missing one: it opens paths that are closed by default.
        "host_config": {key: host[key] for key in HOST_CONFIG if host.get(key) is not None},
    }
    return MachineSnapshot(
        machine, seen.address or IPv4Address(0), seen.recipe, seen.endpoint.port, parts
    )


def describe_volumes(
    shell: VolumeShell, lab: Lab, name: str, machines: Mapping[str, Any]
) -> dict[str, dict[str, str]]:
    """Return the description of a snapshot's volumes, by machine."""
    pairs = [f":{kept_folder(lab, name, machine)}" for machine in machines]
    output = shell.run(SCRIPT, ["describe", *pairs], failure="cannot read the snapshot")
    lines = [line.split(" ") for line in output.splitlines() if line]
    keys = (*COMPARED, "own")
    descriptions = {where: dict(zip(keys, values, strict=True)) for where, *values in lines}
    return {machine: descriptions[kept_folder(lab, name, machine)] for machine in machines}


def compare(shell: VolumeShell, lab: Lab, manifest: SnapshotManifest) -> None:
    """Raise LabError unless the volumes have the same content as when the snapshot was taken."""
    machines = {machine.name: machine.parts for machine in manifest.machines}
    descriptions = describe_volumes(shell, lab, manifest.name, machines)
    wrong = [
        f"volume {parts['volume']} contains {_difference(descriptions[name], parts)}"
        for name, parts in machines.items()
        if any(descriptions[name][key] != parts[key] for key in COMPARED)
    ]
    if wrong:
        raise LabError(
            f"snapshot {manifest.name} is broken: {'; '.join(wrong)}",
            next_step=f"hashlab snapshots prune {manifest.name}",
        )


def _difference(now: Mapping[str, str], then: Mapping[str, Any]) -> str:
    if (now["entries"], now["bytes"]) == (then["entries"], then["bytes"]):
        return "files with other names, sizes or times than when it was taken"
    return (
        f"{now['entries']} entries, {now['bytes']} bytes; "
        f"when taken: {then['entries']}, {then['bytes']}"
    )
