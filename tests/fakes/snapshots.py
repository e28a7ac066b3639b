"""protocols.Snapshots in memory: machines are saved as copies, and wake as after a power cut."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from ipaddress import IPv4Network
from typing import TYPE_CHECKING, Any

from fakes.machine import FakeMachine, File
from hashlab.config.model import Lab
from hashlab.errors import LabError
from hashlab.pipeline import Track
from hashlab.protocols import MachineSnapshot, PlannedMachine, PutBack, SnapshotManifest, Taken

if TYPE_CHECKING:
    from fakes.outside import Outside

SSH = 22
# The engine's exit code of a container whose process was gone when it woke.
CUT_OFF = 255


class FakeSnapshots:
    """Saves FakeMachines.

    ``parts``: the machines saved so far, by snapshot; ``spoilt``: the changed ones; ``stay``:
    whether running machines still belong to a snapshot, so that only their data is restored.
    """

    def __init__(self, outside: Outside) -> None:
        self.outlive_machines = True
        self._outside = outside
        self.parts: dict[str, dict[str, FakeMachine]] = {}
        self.spoilt: set[str] = set()
        self.stay = False

    def take(self, lab: Lab, name: str, *, track: Track) -> Taken:
        with self._call("take", name, changes=True):
            existing = self._outside.machines
            if any(
                m.name not in existing or existing[m.name].state != "running" for m in lab.machines
            ):
                raise LabError("not every machine runs")
            self.parts[name] = {
                machine.name: copied(existing[machine.name]) for machine in lab.machines
            }
            machines = tuple(
                MachineSnapshot(one.name, one.address, one.recipe, one.port, {"kept": one.name})
                for one in self.parts[name].values()
            )
            return Taken(machines, size=1_000_000, paused=0.5)

    def missing(self, lab: Lab, manifest: SnapshotManifest) -> list[str]:
        with self._call("snapshot_missing", manifest.name):
            existing = self.parts.get(manifest.name, {})
            names = [str(machine.parts["kept"]) for machine in manifest.machines]
            return [f"volume {name} is gone" for name in names if name not in existing]

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
        with self._call("restore", manifest.name, changes=True):
            if manifest.name in self.spoilt:
                raise LabError(f"snapshot {manifest.name} is broken: volume broker holds 1 entry")
            stay = may_stay and self.stay
            about_to_change(not stay)
            if stay:
                return lambda: self._put_back(manifest.name)
            self._outside.machines.clear()
            self._outside.network = subnet
            for planned in machines:
                made = copied(self.parts[manifest.name][planned.name])
                made.address = planned.address
                made.port = planned.ports[SSH]
                made.forwarded = {g: host for g, host in planned.ports.items() if g != SSH}
                made.authorized_key = public_key
                _cut_off(made)
                self._outside.machines[planned.name] = made
                self._outside.provider.volumes.add(planned.name)
                self._outside.provider.filled.add(planned.name)
            return None

    def _put_back(self, name: str) -> None:
        with self._call("put_back", name, changes=True):
            for kept in self.parts[name].values():
                machine = self._outside.machines[kept.name]
                machine.data.clear()
                machine.data.update(kept.data)
                _cut_off(machine)

    def kept(self, lab: Lab) -> list[str]:
        with self._call("snapshots_kept"):
            return sorted(self.parts)

    def remove(self, lab: Lab, name: str) -> list[str]:
        with self._call("remove_snapshot", name, changes=True):
            return [f"volume {one}" for one in self.parts.pop(name, {})]

    def _call(self, name: str, *words: object, changes: bool = False) -> Any:
        return self._outside.faults.call(f"provider.{name}", *words, changes=changes)


def copied(machine: FakeMachine) -> FakeMachine:
    """Return an independent copy of this machine in its present state, but in no Swarm."""
    made = replace(machine, data=dict(machine.data), inside=dict(machine.inside))
    made.disk.files.update(
        {path: File(file.content, file.mode) for path, file in machine.disk.files.items()}
    )
    made.disk.folders |= machine.disk.folders
    made.engine.images.update(machine.engine.images)
    made.engine.all.update({key: replace(one) for key, one in machine.engine.all.items()})
    made.engine.volume_labels.update(machine.engine.volume_labels)
    made.engine.behaviours = machine.engine.behaviours
    return made


def _cut_off(machine: FakeMachine) -> None:
    """Let all processes end as by a power cut or a kill."""
    for container in machine.engine.all.values():
        if container.state == "running":
            container.state, container.exit_code, container.pid = "exited", CUT_OFF, 0
