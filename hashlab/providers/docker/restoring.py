"""Restore a snapshot of the provider ``docker``: only the data if the machines still belong to the
snapshot, else whole machines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Network
from typing import Any

from hashlab.config.model import Lab
from hashlab.errors import LabError
from hashlab.pipeline import CancelToken, Track, parallel
from hashlab.protocols import LAB_LABEL, Engine, PlannedMachine, PutBack, SnapshotManifest
from hashlab.providers.docker.inplace import changed_inside, changed_outside, put_back
from hashlab.providers.docker.machines import DockerMachines
from hashlab.providers.docker.names import MACHINE_LABEL, container, volume
from hashlab.providers.docker.snapshotparts import SCRIPT, compare, kept_folder, lab_volumes
from hashlab.providers.docker.volume_shell import VolumeShell, folder, volume_shell

# A machine's environment, from which container-init.sh installs the lab's public key.
KEY_VARIABLE = "HASHLAB_AUTHORIZED_KEY"


@dataclass(frozen=True)
class Plan:
    """The arguments of ``protocols.Snapshots.restore``."""

    lab: Lab
    manifest: SnapshotManifest
    machines: Sequence[PlannedMachine]
    subnet: IPv4Network
    public_key: str
    may_stay: bool

    def parts(self, machine: str) -> Mapping[str, Any]:
        """Return the manifest's description of a machine."""
        return next(saved.parts for saved in self.manifest.machines if saved.name == machine)

    def pair(self, machine: str) -> str:
        """Return the snapshot's folder of a machine's engine and the machine's own, separated by
        ":".
        """
        kept = kept_folder(self.lab, self.manifest.name, machine)
        return f"{kept}:{folder(volume(self.lab, machine))}"


class Restoring:
    """One restore.

    Everything that may fail for lack of disk space is done while the machines still run. Calling
    the engine's API instead of Vagrant saves most of the time.
    """

    def __init__(self, engine: Engine, machines: DockerMachines, plan: Plan) -> None:
        self._engine = engine
        self._machines = machines
        self._plan = plan

    def run(self, about_to_change: Callable[[bool], None], track: Track) -> PutBack | None:
        """See protocols.Snapshots.restore."""
        plan, engine = self._plan, self._engine
        names = [machine.name for machine in plan.machines]
        own = lab_volumes(plan.lab, plan.manifest.name, names)
        recipes = sorted({machine.recipe for machine in plan.manifest.machines})
        at = f"{plan.lab.id}-restore"
        with volume_shell(engine, recipes=recipes, volumes=own, name=at) as shell:
            self._make_volumes()
            why = self._prepare(shell, track)
            track.cancel.check()
            about_to_change(bool(why))
            if why:
                with track.child("exchange"):
                    self._make_way()
                    # In parallel: while one machine starts, the engine can already stop the next.
                    exchange = partial(self._exchange, shell)
                    parallel(plan.machines, exchange, CancelToken())
        count, taken = len(plan.machines), plan.manifest.taken
        if why:
            track.detail(f"{count} machines of {taken}, recreated: {why}")
            return None
        track.detail(f"{count} machines stay and get the data of {taken}")
        return self._put_back

    def _put_back(self) -> None:
        lab = self._plan.lab
        names = [container(lab, machine.name) for machine in self._plan.machines]
        parallel(names, lambda name: put_back(self._engine, name), CancelToken())

    def _prepare(self, shell: VolumeShell, track: Track) -> str:
        """Check the snapshot, and copy it next to the machines' own data.

        Returns why restoring only the data is not enough; "" if it is. If anything fails, the copy
        is removed.
        """
        pairs = [self._plan.pair(machine.name) for machine in self._plan.machines]
        whys: list[str] = []

        def compare_snapshot() -> None:
            with track.child("compare"):
                compare(shell, self._plan.lab, self._plan.manifest)

        def compare_machines() -> None:
            whys.append(self._why_machines_go(shell))

        def copy() -> None:
            with track.child("copy"):
                shell.run(SCRIPT, ["stage", *pairs], failure="cannot copy the snapshot")

        try:
            works = [compare_snapshot, compare_machines, copy]
            parallel(works, lambda work: work(), CancelToken())
        except LabError:
            # Report the original error; the next copy removes what is left.
            with suppress(LabError):
                shell.run(SCRIPT, ["unstage", *pairs], failure="cannot remove a copy")
            raise
        return whys[0]

    def _why_machines_go(self, shell: VolumeShell) -> str:
        plan, engine = self._plan, self._engine
        if not plan.may_stay:
            return "an earlier restore was cut off"
        names = {machine.name: container(plan.lab, machine.name) for machine in plan.machines}
        seen = {name: engine.inspect(existing) for name, existing in names.items()}

        def first(whys: Iterable[tuple[str, str]]) -> str:
            return next((f"{machine}: {why}" for machine, why in whys if why), "")

        def changed(machine: str) -> tuple[str, str]:
            parts, inspected = plan.parts(machine), seen[machine] or {}
            return machine, changed_inside(engine, names[machine], parts, inspected)

        return (
            first(
                (p.name, changed_outside(p, plan.parts(p.name), seen[p.name]))
                for p in plan.machines
            )
            or first(self._differ(shell).items())
            or first(parallel(list(names), changed, CancelToken()))
        )

    def _differ(self, shell: VolumeShell) -> dict[str, str]:
        """Return by machine how its engine differs from that of the snapshot, apart from data; ""
        if it does not.
        """
        pairs = {self._plan.pair(machine.name): machine.name for machine in self._plan.machines}
        failure = "cannot compare the machines with the snapshot"
        output = shell.run(SCRIPT, ["differ", *pairs], failure=failure)
        differences = dict(line.split(" ", 1) for line in output.splitlines() if line)
        return {name: differences.get(pair.partition(":")[2], "") for pair, name in pairs.items()}

    def _make_volumes(self) -> None:
        """Create missing volumes. A volume that a machine has started from is complete, so its
        layers can be reused.
        """
        lab, engine = self._plan.lab, self._engine
        for machine in self._plan.machines:
            state = engine.container(container(lab, machine.name))
            if state is None or state.state == "created":
                self._machines.discard_machine(lab, machine.name)
            marks = {LAB_LABEL: lab.id, MACHINE_LABEL: machine.name}
            engine.create_volume(volume(lab, machine.name), marks)

    def _make_way(self) -> None:
        """Remove objects that are not replaced one by one: machines that the lab no longer has, or
        all machines if their network changes.
        """
        lab, engine, subnet = self._plan.lab, self._engine, str(self._plan.subnet)
        existing = engine.containers({LAB_LABEL: lab.id, MACHINE_LABEL: ""})
        wanted = {machine.name for machine in self._plan.machines}
        if self._machines.own_subnet(lab) != subnet:
            wanted.clear()
        going = [machine.id for machine in existing if machine.labels[MACHINE_LABEL] not in wanted]
        parallel(going, engine.remove, CancelToken())
        self._machines.make_network(lab, subnet)

    def _exchange(self, shell: VolumeShell, planned: PlannedMachine) -> None:
        name = container(self._plan.lab, planned.name)
        self._engine.remove(name)
        pair = self._plan.pair(planned.name)
        shell.run(SCRIPT, ["swap", pair], failure="cannot exchange the volumes")
        self._create(planned)
        self._engine.start(name)

    def _create(self, planned: PlannedMachine) -> None:
        lab, parts = self._plan.lab, self._plan.parts(planned.name)
        ports = {
            f"{guest}/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(host)}]
            for guest, host in planned.ports.items()
        }
        body = {
            **parts["config"],
            "Image": parts["image_id"],
            "Env": [f"{KEY_VARIABLE}={self._plan.public_key}"],
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
        self._engine.create(container(lab, planned.name), body)
