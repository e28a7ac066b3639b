"""Snapshots of the provider ``docker``: all machines are paused while changing data is copied.

A machine's own file system becomes an image, its engine's folder a volume. Both have labels of
their own and remain when the lab is destroyed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from ipaddress import IPv4Network
from typing import Any

from hashlab.config.model import Lab
from hashlab.errors import LabError
from hashlab.pipeline import CancelToken, Track, parallel
from hashlab.protocols import (
    LAB_LABEL,
    Engine,
    PlannedMachine,
    PutBack,
    SnapshotManifest,
    Taken,
)
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
from hashlab.providers.docker.restoring import Plan, Restoring
from hashlab.providers.docker.snapshotparts import (
    PARTS,
    SCRIPT,
    describe_volumes,
    described,
    kept_folder,
    lab_volumes,
)
from hashlab.providers.docker.volume_shell import VolumeShell, folder, volume_shell


class DockerSnapshots:
    """protocols.Snapshots on the laptop's Docker Engine."""

    outlive_machines = True

    def __init__(self, *, engine: Callable[[], Engine], machines: DockerMachines) -> None:
        self._engine = engine
        self._machines = machines

    def take(self, lab: Lab, name: str, *, track: Track) -> Taken:
        """See protocols.Snapshots."""
        running = self._running(lab)
        self.remove(lab, name)
        try:
            return self._keep(lab, name, running, track)
        except BaseException:
            self.remove(lab, name)
            raise

    def _running(self, lab: Lab) -> dict[str, Mapping[str, Any]]:
        """Return the engine's description of every machine of the lab. Raises LabError unless all
        are running.
        """
        engine = self._engine()
        descriptions = {m.name: engine.inspect(container(lab, m.name)) for m in lab.machines}
        still = [
            f"{name} is {inspected['State']['Status'] if inspected else 'missing'}"
            for name, inspected in descriptions.items()
            if inspected is None or inspected["State"]["Status"] != "running"
        ]
        if still:
            raise LabError(
                f"not all machines are running: {', '.join(still)}", next_step="hashlab dev"
            )
        return {
            name: inspected for name, inspected in descriptions.items() if inspected is not None
        }

    def _keep(
        self, lab: Lab, name: str, running: Mapping[str, Mapping[str, Any]], track: Track
    ) -> Taken:
        engine = self._engine()
        marks = {SNAPSHOT_OF: lab.id, SNAPSHOT: name}
        for machine in running:
            engine.create_volume(snapshot_volume(lab, name, machine), marks)
        pairs = [f"{folder(volume(lab, m))}:{kept_folder(lab, name, m)}" for m in running]
        own = lab_volumes(lab, name, list(running))
        recipes = sorted(
            {observed(machine, inspected).recipe for machine, inspected in running.items()}
        )
        at = f"{lab.id}-snapshot"
        with volume_shell(engine, recipes=recipes, volumes=own, name=at) as shell:
            track.detail("linking layers")
            # Layers of images never change, so they need no pause.
            shell.run(SCRIPT, ["link", *pairs], failure="cannot link the machines' layers")
            track.detail("copying while the machines are paused")
            with self._paused(
                [inspected["Id"] for inspected in running.values()]
            ) as paused_seconds:
                images, instant = self._copy(lab, name, running, shell, pairs)
            descriptions = describe_volumes(shell, lab, name, running)
        sizes = self._own_sizes(running, images)
        return Taken(
            tuple(
                described(
                    lab,
                    name,
                    machine,
                    inspected=running[machine],
                    image_id=images[machine],
                    description=descriptions[machine],
                    instant=instant,
                )
                for machine in running
            ),
            size=sum(int(description["own"]) for description in descriptions.values()) + sizes,
            paused=paused_seconds(),
        )

    @contextmanager
    def _paused(self, containers: Sequence[str]) -> Iterator[Callable[[], float]]:
        """Pause the containers during the block. Yields a function that afterwards returns for how
        many seconds.
        """
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
        running: Mapping[str, Mapping[str, Any]],
        shell: VolumeShell,
        pairs: Sequence[str],
    ) -> tuple[dict[str, str], str]:
        """Copy the volumes and make the images, in parallel.

        Returns the images' ids, and the engine's time when the copying began.
        """
        engine = self._engine()
        # Labels of the image must not make it look like a machine.
        marks = {SNAPSHOT_OF: lab.id, SNAPSHOT: name, LAB_LABEL: "", MACHINE_LABEL: ""}
        images: dict[str, str] = {}
        output: list[str] = []

        def work(machine: str) -> None:
            if machine:
                target = snapshot_image(lab, name, machine)
                images[machine] = engine.commit(running[machine]["Id"], target, marks)
            else:
                failure = "cannot copy the machines' volumes"
                output.extend(shell.run(SCRIPT, ["copy", *pairs], failure=failure).split())

        parallel(["", *running], work, CancelToken())
        return images, output[0]

    def _own_sizes(
        self, running: Mapping[str, Mapping[str, Any]], images: Mapping[str, str]
    ) -> int:
        """Return the bytes that the images add to the images that the machines were made from."""
        bases = [str(inspected["Image"]) for inspected in running.values()]
        sizes = self._engine().image_sizes([*bases, *images.values()])
        pairs = zip(bases, images.values(), strict=True)
        return sum(max(0, sizes.get(image, 0) - sizes.get(base, 0)) for base, image in pairs)

    def missing(self, lab: Lab, manifest: SnapshotManifest) -> list[str]:
        """See protocols.Snapshots."""
        engine = self._engine()
        images = engine.image_ids(
            [str(machine.parts.get("image")) for machine in manifest.machines]
        )
        volumes = engine.volumes({SNAPSHOT_OF: lab.id, SNAPSHOT: manifest.name})
        lost = []
        for machine in manifest.machines:
            if not set(PARTS) <= set(machine.parts):
                lost.append(f"its manifest lacks data of {machine.name}")
                continue
            image_id = images.get(machine.parts["image"])
            if image_id is None:
                lost.append(f"image {machine.parts['image']} is gone")
            elif image_id != machine.parts["image_id"]:
                lost.append(f"image {machine.parts['image']} is a different one")
            if machine.parts["volume"] not in volumes:
                lost.append(f"volume {machine.parts['volume']} is gone")
        return lost

    def restore(
        self,
        lab: Lab,
        manifest: SnapshotManifest,
        machines: Sequence[PlannedMachine],
        subnet: IPv4Network,
        public_key: str,
        *,
        may_stay: bool,
        about_to_change: Callable[[bool], None],
        track: Track,
    ) -> PutBack | None:
        """See protocols.Snapshots."""
        engine = self._engine()
        plan = Plan(lab, manifest, machines, subnet, public_key, may_stay)
        return Restoring(engine, self._machines, plan).run(about_to_change, track)

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
        """See protocols.Snapshots. An image that a machine uses only loses its name; the rest is
        removed with the machine.
        """
        engine, marks = self._engine(), {SNAPSHOT_OF: lab.id, SNAPSHOT: name}
        removed = []
        for image in engine.images_with(marks):
            if not image.startswith("sha256:") and engine.remove_image(image, force=True):
                removed.append(f"image {image}")
        for volume_name in engine.volumes(marks):
            engine.remove_volume(volume_name)
            removed.append(f"volume {volume_name}")
        return removed
