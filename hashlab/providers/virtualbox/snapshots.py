"""Snapshots of the provider ``virtualbox``: all machines are paused while VirtualBox saves them.

Snapshots hold disk and memory, are part of their machines, and are removed with them. A removed
machine cannot be restored from them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from ipaddress import IPv4Network
from pathlib import Path

from hashlab.config.model import Lab
from hashlab.errors import LabError
from hashlab.pipeline import CancelToken, Track, parallel
from hashlab.protocols import (
    MachineSnapshot,
    ObservedMachine,
    PlannedMachine,
    PutBack,
    SnapshotManifest,
    Taken,
)
from hashlab.providers.virtualbox.machines import VirtualBoxMachines
from hashlab.providers.virtualbox.names import SNAPSHOT_MARK, vm
from hashlab.providers.virtualbox.vboxmanage import Kept, VBoxManage, forwards_of, state_of


class VirtualBoxSnapshots:
    """protocols.Snapshots on the laptop's VirtualBox. Snapshots without hashlab's mark were taken
    by others and are never touched.
    """

    outlive_machines = False

    def __init__(self, *, vbox: VBoxManage, machines: VirtualBoxMachines) -> None:
        self._vbox = vbox
        self._machines = machines

    def take(self, lab: Lab, name: str, *, track: Track) -> Taken:
        """See protocols.Snapshots."""
        running = {
            m.name: m for m in self._machines.observe_all(lab) if m.state == "running" and m.address
        }
        still = [machine.name for machine in lab.machines if machine.name not in running]
        if still:
            raise LabError(
                f"not all machines are running: {', '.join(still)}", next_step="hashlab dev"
            )
        self._refuse_foreign(lab, name)
        self.remove(lab, name)
        try:
            return self._keep(lab, name, running, track)
        except BaseException:
            self.remove(lab, name)
            raise

    def _refuse_foreign(self, lab: Lab, name: str) -> None:
        for machine in lab.machines:
            kept = self._vbox.snapshots(vm(lab, machine.name))
            if any(
                snapshot.name == name and snapshot.description != SNAPSHOT_MARK for snapshot in kept
            ):
                raise LabError(
                    f"{machine.name} has a snapshot {name!r} that hashlab did not take",
                    where=vm(lab, machine.name),
                    next_step="choose another name; `vagrant snapshot list` shows them all",
                )

    def _keep(
        self, lab: Lab, name: str, running: Mapping[str, ObservedMachine], track: Track
    ) -> Taken:
        vms = [vm(lab, machine.name) for machine in lab.machines]
        before = sum(map(self._stored, vms))
        with self._paused(vms) as paused_seconds:
            track.detail("saving disks and memory while the machines are paused")
            parallel(
                vms,
                lambda machine: self._vbox.take_snapshot(machine, name, SNAPSHOT_MARK),
                CancelToken(),
            )
        size = max(0, sum(map(self._stored, vms)) - before)
        ids = self._vbox.machines()
        described = tuple(
            self._described(lab, name, running[machine.name], ids) for machine in lab.machines
        )
        return Taken(described, size=size, paused=paused_seconds())

    def _stored(self, name: str) -> int:
        """Return the number of bytes in the folder of a machine's snapshots."""
        folder = (self._vbox.info(name) or {}).get("SnapFldr", "")
        files = Path(folder).glob("*") if folder else ()
        return sum(path.stat().st_size for path in files if path.is_file())

    @contextmanager
    def _paused(self, vms: Sequence[str]) -> Iterator[Callable[[], float]]:
        """Pause the machines during the block. Yields a function that afterwards returns for how
        many seconds.
        """
        seconds = [0.0]
        began = time.monotonic()
        try:
            parallel(
                vms, lambda machine: self._vbox.call("controlvm", machine, "pause"), CancelToken()
            )
            yield lambda: seconds[0]
        finally:
            parallel(vms, self._resume, CancelToken())
            seconds[0] = time.monotonic() - began

    def _resume(self, name: str) -> None:
        info = self._vbox.info(name)
        if info is not None and state_of(info) == "paused":
            self._vbox.call("controlvm", name, "resume")

    def _described(
        self, lab: Lab, name: str, machine: ObservedMachine, ids: Mapping[str, str]
    ) -> MachineSnapshot:
        kept = self._of(vm(lab, machine.name), name)
        if not kept or machine.address is None or machine.endpoint is None:
            raise LabError(f"VirtualBox did not save {machine.name}", where=vm(lab, machine.name))
        return MachineSnapshot(
            machine.name,
            machine.address,
            machine.recipe,
            machine.endpoint.port,
            {"machine": ids[vm(lab, machine.name)], "snapshot": kept[-1].id},
        )

    def _of(self, machine: str, name: str) -> list[Kept]:
        """Return the snapshots of this name that hashlab took of a machine."""
        kept = self._vbox.snapshots(machine)
        return [
            snapshot
            for snapshot in kept
            if snapshot.name == name and snapshot.description == SNAPSHOT_MARK
        ]

    def missing(self, lab: Lab, manifest: SnapshotManifest) -> list[str]:
        """See protocols.Snapshots."""
        ids = self._vbox.machines()
        existing = {
            machine.name: ids.get(vm(lab, machine.name), "") == machine.parts.get("machine")
            for machine in manifest.machines
        }
        gone = [name for name, same in existing.items() if not same]
        lost = []
        if gone:
            lost.append(
                f"VirtualBox removed it with its machines, which are gone: {', '.join(gone)}"
            )
        for machine in manifest.machines:
            kept = self._of(vm(lab, machine.name), manifest.name) if existing[machine.name] else []
            if existing[machine.name] and machine.parts.get("snapshot") not in [
                each.id for each in kept
            ]:
                lost.append(f"{machine.name} no longer has it")
        if not gone and self._machines.own_subnet(lab) != str(manifest.subnet):
            lost.append(f"the network {manifest.subnet} of its machines is gone")
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
        """See protocols.Snapshots. The machines stay the same, so Vagrant's state of them remains
        valid.
        """
        self._check(lab, manifest, subnet)
        kept = {
            vm(lab, machine.name): str(machine.parts["snapshot"]) for machine in manifest.machines
        }
        track.detail("going back to that instant")
        about_to_change(True)
        parallel(list(kept), self._vbox.power_off, CancelToken())
        parallel(
            list(kept),
            lambda machine: self._vbox.restore_snapshot(machine, kept[machine]),
            CancelToken(),
        )
        parallel(list(kept), self._vbox.start, CancelToken())
        parallel(list(kept), self._resume, CancelToken())
        parallel(machines, lambda planned: self._forward(lab, planned), CancelToken())
        return None

    def _check(self, lab: Lab, manifest: SnapshotManifest, subnet: IPv4Network) -> None:
        lost = self.missing(lab, manifest)
        if lost:
            raise LabError(
                f"snapshot {manifest.name} is broken: {'; '.join(lost)}",
                next_step=f"hashlab snapshots prune {manifest.name}, then hashlab dev",
            )
        if subnet != manifest.subnet:
            raise LabError(
                f"snapshot {manifest.name} needs the subnet {manifest.subnet}, but another "
                "network of this laptop now overlaps it",
                next_step="remove that network, then restore again; the lab is unchanged",
            )

    def _forward(self, lab: Lab, planned: PlannedMachine) -> None:
        """Set the current port forwarding, because the revert also restored the old one."""
        name = vm(lab, planned.name)
        existing = forwards_of(self._vbox.info(name) or {})
        wanted = dict(planned.ports)
        for forward in existing:
            if wanted.get(forward.guest) == forward.host:
                del wanted[forward.guest]
            else:
                self._vbox.call("controlvm", name, "natpf1", "delete", forward.name)
        ids = {port.guest: port.id for port in planned.machine.made_with}
        for guest, host in wanted.items():
            rule = f"{ids.get(guest, 'ssh')},tcp,127.0.0.1,{host},,{guest}"
            self._vbox.call("controlvm", name, "natpf1", rule)

    def kept(self, lab: Lab) -> list[str]:
        """See protocols.Snapshots."""
        names = set()
        for machine in self._existing(lab):
            kept = self._vbox.snapshots(machine)
            names |= {snapshot.name for snapshot in kept if snapshot.description == SNAPSHOT_MARK}
        return sorted(names)

    def _existing(self, lab: Lab) -> list[str]:
        existing = self._vbox.machines()
        return [name for m in lab.machines if (name := vm(lab, m.name)) in existing]

    def remove(self, lab: Lab, name: str) -> list[str]:
        """See protocols.Snapshots. VirtualBox cannot remove a snapshot on which two others are
        based: raises LabError in that case, and removes nothing.
        """
        marked = [
            (machine, snapshot)
            for machine in self._existing(lab)
            for snapshot in self._of(machine, name)
        ]
        for machine, snapshot in marked:
            if len(snapshot.children) + snapshot.current > 1:
                later = ", ".join(snapshot.children)
                raise LabError(
                    f"VirtualBox cannot remove snapshot {name} yet: it is the base "
                    f"of several states, among them {later}",
                    where=machine,
                    next_step=f"hashlab snapshots prune each of {later}; then {name} again",
                )
        for machine, snapshot in marked:
            self._vbox.delete_snapshot(machine, snapshot.id)
        return [f"snapshot {name} of {machine}" for machine, _ in marked]
