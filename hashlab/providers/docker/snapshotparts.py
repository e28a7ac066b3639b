"""What a snapshot of provider ``docker`` consists of, and what its manifest says of that."""

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
# What Vagrant asked for, as the engine shows it. Its image, key, address and ports are told anew.
CONFIG = ("Hostname", "Labels", "Entrypoint", "StopSignal")
HOST_CONFIG = (
    *("Binds", "CapAdd", "CapDrop", "CgroupnsMode", "MaskedPaths", "Memory", "MemorySwap"),
    *("NanoCpus", "Privileged", "ReadonlyPaths", "RestartPolicy", "SecurityOpt", "Tmpfs"),
)
COMPARED = ("entries", "bytes", "listing")
# What a manifest must say of each machine. Older ones do not say the container and the instant, by
# which a machine is known to be still the one that was kept.
PARTS = ("image", "image_id", "volume", *COMPARED, "config", "host_config")


def kept_folder(lab: Lab, name: str, machine: str) -> str:
    """The path at which a VolumeShell sees what a snapshot keeps of a machine's engine."""
    return folder(snapshot_volume(lab, name, machine))


def lab_volumes(lab: Lab, name: str, machines: Sequence[str]) -> list[str]:
    """The volumes of machines, and those in which a snapshot keeps theirs."""
    kept = [snapshot_volume(lab, name, machine) for machine in machines]
    return [*kept, *(volume(lab, machine) for machine in machines)]


def described(
    lab: Lab,
    name: str,
    machine: str,
    *,
    inspected: Mapping[str, Any],
    image_id: str,
    told: Mapping[str, str],
    instant: str,
) -> MachineSnapshot:
    """A machine in the manifest. ``told``: by ``tell``; ``instant``: when it stood still, in
    seconds since 1970 by the engine's clock. Raises LabError when it publishes no port for SSH.
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
        **{key: told[key] for key in COMPARED},
        "config": {key: inspected["Config"][key] for key in CONFIG if inspected["Config"].get(key)},
        # An empty list is something else than none: it opens paths that are closed by default.
        "host_config": {key: host[key] for key in HOST_CONFIG if host.get(key) is not None},
    }
    return MachineSnapshot(
        machine, seen.address or IPv4Address(0), seen.recipe, seen.endpoint.port, parts
    )


def tell(
    shell: VolumeShell, lab: Lab, name: str, machines: Mapping[str, Any]
) -> dict[str, dict[str, str]]:
    """What a snapshot's volumes hold, by machine."""
    pairs = [f":{kept_folder(lab, name, machine)}" for machine in machines]
    said = shell.run(SCRIPT, ["tell", *pairs], failure="cannot read the snapshot")
    lines = [line.split(" ") for line in said.splitlines() if line]
    keys = (*COMPARED, "own")
    told = {where: dict(zip(keys, values, strict=True)) for where, *values in lines}
    return {machine: told[kept_folder(lab, name, machine)] for machine in machines}


def compare(shell: VolumeShell, lab: Lab, manifest: SnapshotManifest) -> None:
    """Raise LabError unless the volumes hold what they held when the snapshot was taken."""
    machines = {one.name: one.parts for one in manifest.machines}
    told = tell(shell, lab, manifest.name, machines)
    wrong = [
        f"volume {parts['volume']} holds {_difference(told[name], parts)}"
        for name, parts in machines.items()
        if any(told[name][key] != parts[key] for key in COMPARED)
    ]
    if wrong:
        raise LabError(
            f"snapshot {manifest.name} is broken: {'; '.join(wrong)}",
            next_step=f"hashlab snapshots --remove {manifest.name}",
        )


def _difference(now: Mapping[str, str], then: Mapping[str, Any]) -> str:
    if (now["entries"], now["bytes"]) == (then["entries"], then["bytes"]):
        return "files of other names, sizes or times than were taken"
    return (
        f"{now['entries']} entries, {now['bytes']} bytes; "
        f"taken were {then['entries']}, {then['bytes']}"
    )
