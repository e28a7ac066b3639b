"""Snapshots of provider ``docker``: machines stand still together while what may change is copied.

A machine's own file system becomes an image, its engine's folder a volume. Both carry labels of
their own and stay when the lab is destroyed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib import resources
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from hashlab.config.model import Lab
from hashlab.errors import LabError
from hashlab.pipeline import CancelToken, Track, parallel
from hashlab.protocols import (
    LAB_LABEL,
    Engine,
    MachineSnapshot,
    PlannedMachine,
    SnapshotManifest,
    Taken,
)
from hashlab.providers.docker.beside import Beside, beside_volumes, folder
from hashlab.providers.docker.machines import DockerMachines, observed
from hashlab.providers.docker.names import (
    MACHINE_LABEL,
    SNAPSHOT,
    SNAPSHOT_OF,
    container,
    snapshot_image,
    snapshot_volume,
    volume,
)

SCRIPT = resources.files("hashlab.providers.docker").joinpath("snapshot.sh").read_text("utf-8")
KEY_VARIABLE = "HASHLAB_AUTHORIZED_KEY"
# What Vagrant asked for, as the engine shows it. Its image, key, address and ports are told anew.
CONFIG = ("Hostname", "Labels", "Entrypoint", "StopSignal")
HOST_CONFIG = (
    *("Binds", "CapAdd", "CapDrop", "CgroupnsMode", "MaskedPaths", "Memory", "MemorySwap"),
    *("NanoCpus", "Privileged", "ReadonlyPaths", "RestartPolicy", "SecurityOpt", "Tmpfs"),
)
COMPARED = ("entries", "bytes", "listing")
PARTS = ("image", "image_id", "volume", *COMPARED, "config", "host_config")


class DockerSnapshots:
    """protocols.Snapshots on the laptop's Docker Engine."""

    outlive_machines = True

    def __init__(self, *, engine: Callable[[], Engine], machines: DockerMachines) -> None:
        self._engine = engine
        self._machines = machines

    def take(self, lab: Lab, name: str, *, track: Track) -> Taken:
        """See protocols.Snapshots."""
        there = self._running(lab)
        self.remove(lab, name)
        try:
            return self._keep(lab, name, there, track)
        except BaseException:
            self.remove(lab, name)
            raise

    def _running(self, lab: Lab) -> dict[str, Mapping[str, Any]]:
        """What the engine says of every machine of the lab, all of which must run."""
        engine = self._engine()
        found = {m.name: engine.inspect(container(lab, m.name)) for m in lab.machines}
        still = [
            f"{name} is {one['State']['Status'] if one else 'not there'}"
            for name, one in found.items()
            if one is None or one["State"]["Status"] != "running"
        ]
        if still:
            raise LabError(f"not every machine runs: {', '.join(still)}", next_step="hashlab dev")
        return {name: one for name, one in found.items() if one is not None}

    def _keep(
        self, lab: Lab, name: str, there: Mapping[str, Mapping[str, Any]], track: Track
    ) -> Taken:
        engine = self._engine()
        marks = {SNAPSHOT_OF: lab.id, SNAPSHOT: name}
        for machine in there:
            engine.create_volume(snapshot_volume(lab, name, machine), marks)
        pairs = [f"{folder(volume(lab, m))}:{_folder(lab, name, m)}" for m in there]
        image = next(iter(there.values()))["Image"]
        with beside_volumes(engine, image=image, name=f"{lab.id}-snapshot") as beside:
            track.detail("linking layers")
            beside.run(SCRIPT, ["link", *pairs], failure="cannot link the machines' layers")
            track.detail("copying, the machines stand still")
            with self._standing_still([one["Id"] for one in there.values()]) as stood:
                images = self._copy(lab, name, there, beside, pairs)
            told = _tell(beside, lab, name, there)
        sizes = self._own_sizes(there, images)
        return Taken(
            tuple(
                _described(
                    lab,
                    name,
                    machine,
                    inspected=there[machine],
                    image_id=images[machine],
                    told=told[machine],
                )
                for machine in there
            ),
            size=sum(int(one["own"]) for one in told.values()) + sizes,
            paused=stood(),
        )

    @contextmanager
    def _standing_still(self, containers: Sequence[str]) -> Iterator[Callable[[], float]]:
        """Gives a function that tells for how many seconds they stood still, once they go on."""
        engine, seconds = self._engine(), [0.0]
        began = time.monotonic()
        try:
            parallel(containers, engine.pause, CancelToken())
            yield lambda: seconds[0]
        finally:
            parallel(containers, engine.unpause, CancelToken())
            seconds[0] = time.monotonic() - began

    def _copy(
        self,
        lab: Lab,
        name: str,
        there: Mapping[str, Mapping[str, Any]],
        beside: Beside,
        pairs: Sequence[str],
    ) -> dict[str, str]:
        """Copy the volumes and make the images, all at once; returns the images' ids."""
        engine = self._engine()
        # No machine may be found by what its image says.
        marks = {SNAPSHOT_OF: lab.id, SNAPSHOT: name, LAB_LABEL: "", MACHINE_LABEL: ""}
        images: dict[str, str] = {}

        def work(machine: str) -> None:
            if machine:
                target = snapshot_image(lab, name, machine)
                images[machine] = engine.commit(there[machine]["Id"], target, marks)
            else:
                failure = "cannot copy the machines' volumes"
                beside.run(SCRIPT, ["copy", *pairs], failure=failure)

        parallel(["", *there], work, CancelToken())
        return images

    def _own_sizes(self, there: Mapping[str, Mapping[str, Any]], images: Mapping[str, str]) -> int:
        """Bytes that the images add to those the machines were made from."""
        bases = [str(one["Image"]) for one in there.values()]
        sizes = self._engine().image_sizes([*bases, *images.values()])
        pairs = zip(bases, images.values(), strict=True)
        return sum(max(0, sizes.get(image, 0) - sizes.get(base, 0)) for base, image in pairs)

    def missing(self, lab: Lab, manifest: SnapshotManifest) -> list[str]:
        """See protocols.Snapshots."""
        engine = self._engine()
        images = engine.image_ids([str(one.parts.get("image")) for one in manifest.machines])
        volumes = engine.volumes({SNAPSHOT_OF: lab.id, SNAPSHOT: manifest.name})
        lost = []
        for one in manifest.machines:
            if not set(PARTS) <= set(one.parts):
                lost.append(f"its manifest says too little of {one.name}")
                continue
            found = images.get(one.parts["image"])
            if found is None:
                lost.append(f"image {one.parts['image']} is gone")
            elif found != one.parts["image_id"]:
                lost.append(f"image {one.parts['image']} is another one")
            if one.parts["volume"] not in volumes:
                lost.append(f"volume {one.parts['volume']} is gone")
        return lost

    def restore(
        self,
        lab: Lab,
        manifest: SnapshotManifest,
        machines: Sequence[PlannedMachine],
        subnet: IPv4Network,
        public_key: str,
        *,
        about_to_change: Callable[[], None],
        track: Track,
    ) -> None:
        """See protocols.Snapshots. Everything that can fail for want of disk is done while the
        machines still run; the engine's API in place of Vagrant saves most of the time.
        """
        engine = self._engine()
        image = manifest.machines[0].parts["image_id"]
        there = {one.name: one.parts for one in manifest.machines}

        def pair(planned: PlannedMachine) -> str:
            kept = _folder(lab, manifest.name, planned.name)
            return f"{kept}:{folder(volume(lab, planned.name))}"

        def exchange(planned: PlannedMachine) -> None:
            engine.remove(container(lab, planned.name))
            beside.run(SCRIPT, ["swap", pair(planned)], failure="cannot exchange the volumes")
            self._create(lab, planned, there[planned.name], public_key)
            engine.start(container(lab, planned.name))

        with beside_volumes(engine, image=image, name=f"{lab.id}-restore") as beside:
            with track.child("compare"):
                _compare(beside, lab, manifest)
            with track.child("copy"):
                self._make_volumes(lab, machines)
                _stage(beside, [pair(one) for one in machines])
            track.cancel.check()
            about_to_change()
            with track.child("exchange"):
                self._make_way(lab, machines, subnet)
                # Each by itself: while one starts, the engine still takes down the next.
                parallel(machines, exchange, CancelToken())
            track.detail(f"{len(machines)} machines of {manifest.taken}")

    def _make_volumes(self, lab: Lab, machines: Sequence[PlannedMachine]) -> None:
        """A volume that a machine has started from is whole, so its layers can stay."""
        engine = self._engine()
        for one in machines:
            state = engine.container(container(lab, one.name))
            if state is None or state.state == "created":
                self._machines.discard_one(lab, one.name)
            marks = {LAB_LABEL: lab.id, MACHINE_LABEL: one.name}
            engine.create_volume(volume(lab, one.name), marks)

    def _make_way(self, lab: Lab, machines: Sequence[PlannedMachine], subnet: IPv4Network) -> None:
        """Remove what is not replaced one by one: machines that the lab no longer has; all of them
        when their network becomes another one.
        """
        engine = self._engine()
        there = engine.containers({LAB_LABEL: lab.id, MACHINE_LABEL: ""})
        wanted = {one.name for one in machines}
        if self._machines.own_subnet(lab) != str(subnet):
            wanted.clear()
        going = [one.id for one in there if one.labels[MACHINE_LABEL] not in wanted]
        parallel(going, engine.remove, CancelToken())
        self._machines.make_network(lab, str(subnet))

    def _create(
        self, lab: Lab, planned: PlannedMachine, parts: Mapping[str, Any], public_key: str
    ) -> None:
        ports = {
            f"{guest}/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(host)}]
            for guest, host in planned.ports.items()
        }
        body = {
            **parts["config"],
            "Image": parts["image_id"],
            "Env": [f"{KEY_VARIABLE}={public_key}"],
            "ExposedPorts": {port: {} for port in ports},
            "HostConfig": {**parts["host_config"], "PortBindings": ports, "NetworkMode": lab.id},
            "NetworkingConfig": {
                "EndpointsConfig": {
                    lab.id: {
                        "IPAMConfig": {"IPv4Address": str(planned.address)},
                        "Aliases": [planned.name],
                    }
                }
            },
        }
        self._engine().create(container(lab, planned.name), body)

    def kept(self, lab: Lab) -> list[str]:
        """See protocols.Snapshots."""
        engine, marks = self._engine(), {SNAPSHOT_OF: lab.id}
        starts = (snapshot_image(lab, "", ""), snapshot_volume(lab, "", ""))
        prefixes = tuple(start.removesuffix(".") for start in starts)
        found = [*engine.images_with(marks), *engine.volumes(marks)]
        return sorted(
            {
                name.removeprefix(prefix).rpartition(".")[0]
                for name in found
                for prefix in prefixes
                if name.startswith(prefix)
            }
        )

    def remove(self, lab: Lab, name: str) -> list[str]:
        """See protocols.Snapshots. Of an image that a machine stands on only the name goes; the
        rest goes with the machine.
        """
        engine, marks = self._engine(), {SNAPSHOT_OF: lab.id, SNAPSHOT: name}
        removed = []
        for image in engine.images_with(marks):
            if not image.startswith("sha256:") and engine.remove_image(image, force=True):
                removed.append(f"image {image}")
        for one in engine.volumes(marks):
            engine.remove_volume(one)
            removed.append(f"volume {one}")
        return removed


def _stage(beside: Beside, pairs: Sequence[str]) -> None:
    """Copy the snapshot beside what the machines use; of a copy that fails nothing stays."""
    try:
        beside.run(SCRIPT, ["stage", *pairs], failure="cannot copy the snapshot")
    except LabError:
        # Why it failed tells more than why its remains, which the next copy removes, stay.
        with suppress(LabError):
            beside.run(SCRIPT, ["unstage", *pairs], failure="cannot remove a copy")
        raise


def _folder(lab: Lab, name: str, machine: str) -> str:
    return folder(snapshot_volume(lab, name, machine))


def _described(
    lab: Lab,
    name: str,
    machine: str,
    *,
    inspected: Mapping[str, Any],
    image_id: str,
    told: Mapping[str, str],
) -> MachineSnapshot:
    seen = observed(machine, inspected)
    if seen.endpoint is None:
        raise LabError("the machine publishes no port for SSH", where=machine)
    host = inspected["HostConfig"]
    parts = {
        "image": snapshot_image(lab, name, machine),
        "image_id": image_id,
        "volume": snapshot_volume(lab, name, machine),
        **{key: told[key] for key in COMPARED},
        "config": {key: inspected["Config"][key] for key in CONFIG if inspected["Config"].get(key)},
        # An empty list is something else than none: it opens paths that are closed by default.
        "host_config": {key: host[key] for key in HOST_CONFIG if host.get(key) is not None},
    }
    return MachineSnapshot(
        machine, seen.address or IPv4Address(0), seen.recipe, seen.endpoint.port, parts
    )


def _tell(
    beside: Beside, lab: Lab, name: str, machines: Mapping[str, Any]
) -> dict[str, dict[str, str]]:
    """What a snapshot's volumes hold, by machine."""
    pairs = [f":{_folder(lab, name, machine)}" for machine in machines]
    said = beside.run(SCRIPT, ["tell", *pairs], failure="cannot read the snapshot")
    lines = [line.split(" ") for line in said.splitlines() if line]
    keys = (*COMPARED, "own")
    told = {where: dict(zip(keys, values, strict=True)) for where, *values in lines}
    return {machine: told[_folder(lab, name, machine)] for machine in machines}


def _compare(beside: Beside, lab: Lab, manifest: SnapshotManifest) -> None:
    """Raise LabError unless the volumes hold what they held when the snapshot was taken."""
    machines = {one.name: one.parts for one in manifest.machines}
    told = _tell(beside, lab, manifest.name, machines)
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
