"""Snapshots of the provider ``libvirt``: all machines are paused while libvirt saves them.

A snapshot of libvirt holds disk and memory, and is deleted with its machine. So hashlab also keeps
a copy of each disk, which only contains the machine's changes to its box.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

from hashlab.config.model import Lab
from hashlab.errors import LabError
from hashlab.hashing import file_digest
from hashlab.pipeline import CancelToken, Track, parallel
from hashlab.protocols import (
    SSH_PORT,
    MachineSnapshot,
    PlannedMachine,
    PutBack,
    SnapshotManifest,
    Taken,
)
from hashlab.providers.libvirt.about import move, moved, read_about
from hashlab.providers.libvirt.machines import LibvirtMachines
from hashlab.providers.libvirt.names import disk, domain
from hashlab.providers.libvirt.virsh import Virsh, parse
from hashlab.state.files import is_file, is_folder, make_folder, names, remove_tree


class LibvirtSnapshots:
    """protocols.Snapshots on the laptop's libvirt. Copies of disks are in ``folder``."""

    outlive_machines = True

    def __init__(self, *, virsh: Virsh, machines: LibvirtMachines, folder: Path) -> None:
        self._virsh = virsh
        self._machines = machines
        self._folder = folder

    def take(self, lab: Lab, name: str, *, track: Track) -> Taken:
        """See protocols.Snapshots."""
        states = self._virsh.domain_states()
        still = [m.name for m in lab.machines if states.get(domain(lab, m.name)) != "running"]
        if still:
            raise LabError(
                f"not all machines are running: {', '.join(still)}", next_step="hashlab dev"
            )
        self.remove(lab, name)
        try:
            return self._keep(lab, name, track)
        except BaseException:
            self.remove(lab, name)
            raise

    def _keep(self, lab: Lab, name: str, track: Track) -> Taken:
        folder = self._folder / name
        make_folder(folder)
        machines = [machine.name for machine in lab.machines]
        before = sum(self._virsh.stored_size(disk(lab, machine)) for machine in machines)
        with self._paused([domain(lab, machine) for machine in machines]) as paused_seconds:
            track.detail("copying disks while the machines are paused")
            parallel(
                machines,
                lambda machine: self._virsh.download(disk(lab, machine), _copy(folder, machine)),
                CancelToken(),
            )
            track.detail("saving memory while the machines are paused")
            parallel(
                machines, lambda machine: self._save(domain(lab, machine), name), CancelToken()
            )
        after = sum(self._virsh.stored_size(disk(lab, machine)) for machine in machines)
        copies = sum(_copy(folder, machine).stat().st_size for machine in machines)
        described = tuple(self._described(lab, machine, folder) for machine in machines)
        return Taken(described, size=copies + max(0, after - before), paused=paused_seconds())

    def _save(self, name: str, snapshot: str) -> None:
        self._virsh.call("snapshot-create-as", name, snapshot, "--atomic")

    @contextmanager
    def _paused(self, domains: Sequence[str]) -> Iterator[Callable[[], float]]:
        """Pause the domains during the block. Yields a function that afterwards returns for how
        many seconds.
        """
        seconds = [0.0]
        began = time.monotonic()
        try:
            parallel(domains, lambda name: self._virsh.call("suspend", name), CancelToken())
            yield lambda: seconds[0]
        finally:
            parallel(domains, self._resume, CancelToken())
            seconds[0] = time.monotonic() - began

    def _resume(self, name: str) -> None:
        if self._virsh.domain_states().get(name) == "paused":
            self._virsh.call("resume", name)

    def _described(self, lab: Lab, machine: str, folder: Path) -> MachineSnapshot:
        name = domain(lab, machine)
        about = read_about(self._virsh, name)
        return MachineSnapshot(
            machine,
            IPv4Address(about["address"]),
            str(about["recipe"]),
            SSH_PORT,
            {
                "disk": _copy(folder, machine).name,
                "bytes": _copy(folder, machine).stat().st_size,
                "sha256": file_digest(_copy(folder, machine)),
                "domain": self._virsh.call("dumpxml", name, "--inactive"),
                "stands_on": self._stands_on(name),
            },
        )

    def _stands_on(self, name: str) -> list[str]:
        """Return the volumes that the domain's disk needs: the box's disk, its kernel and RAM
        disk.
        """
        described = self._virsh.domain(name)
        if described is None:
            return []
        backing = described.findall("devices/disk/backingStore/source")
        paths = [source.get("file", "") for source in backing]
        paths += [described.findtext(f"os/{part}", "") for part in ("kernel", "initrd")]
        return [PurePosixPath(path).name for path in paths if path]

    def missing(self, lab: Lab, manifest: SnapshotManifest) -> list[str]:
        """See protocols.Snapshots."""
        volumes = self._virsh.volumes()
        lost = []
        for machine in manifest.machines:
            copy = self._folder / manifest.name / machine.parts["disk"]
            if not is_file(copy):
                lost.append(f"{copy} is gone")
            elif copy.stat().st_size != machine.parts["bytes"]:
                lost.append(f"{copy} is a different one")
            gone = [name for name in machine.parts["stands_on"] if name not in volumes]
            lost += [f"volume {name} is gone" for name in gone]
        return sorted(set(lost))

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
        """See protocols.Snapshots.

        If all machines still have the snapshot, their memory is restored too. Otherwise they are
        recreated and boot from their disks of that instant.
        """
        domains = [domain(lab, planned.name) for planned in machines]
        if self._machines.subnet(lab) == subnet and all(
            self._has(name, manifest.name) for name in domains
        ):
            track.detail("going back to that instant")
            about_to_change(True)
            # Also starts the network, which is stopped after a restart of the laptop.
            self._machines.ensure_network(lab, machines, subnet)
            parallel(
                machines, lambda planned: self._revert(lab, planned, manifest.name), CancelToken()
            )
            parallel(domains, self._resume, CancelToken())
            parallel(domains, self._virsh.set_clock, CancelToken())  # reverted too
            return None
        track.detail("comparing")
        self._compare(manifest)
        about_to_change(True)
        track.detail("recreating the machines")
        self._machines.discard(lab)
        self._virsh.ensure_pool()
        self._machines.ensure_network(lab, machines, subnet)
        saved = {machine.name: machine for machine in manifest.machines}
        for planned in machines:
            self._recreate(lab, manifest, planned, saved[planned.name], public_key)
        parallel(domains, lambda name: self._virsh.call("start", name), CancelToken())
        return None

    def _has(self, name: str, snapshot: str) -> bool:
        listed = self._virsh.ask("snapshot-list", name, "--name")
        return listed is not None and snapshot in listed.split()

    def _revert(self, lab: Lab, planned: PlannedMachine, snapshot: str) -> None:
        name = domain(lab, planned.name)
        # Forced, as Vagrant does it; otherwise libvirt refuses to revert a running domain.
        self._virsh.call("snapshot-revert", name, snapshot, "--paused", "--force")
        # The revert also restored an old description.
        text = moved(read_about(self._virsh, name), planned)
        self._virsh.call("desc", name, "--live", "--config", "--new-desc", text)

    def _compare(self, manifest: SnapshotManifest) -> None:
        for machine in manifest.machines:
            copy = self._folder / manifest.name / machine.parts["disk"]
            if file_digest(copy) != machine.parts["sha256"]:
                raise LabError(
                    f"snapshot {manifest.name} is broken: {copy} has changed since it was taken",
                    next_step=f"hashlab snapshots prune {manifest.name}",
                )

    def _recreate(
        self,
        lab: Lab,
        manifest: SnapshotManifest,
        planned: PlannedMachine,
        saved: MachineSnapshot,
        public_key: str,
    ) -> None:
        copy = self._folder / manifest.name / saved.parts["disk"]
        self._virsh.upload(copy, disk(lab, planned.name), kind="qcow2")
        described = parse(saved.parts["domain"])
        move(described, planned, public_key)
        text = ElementTree.tostring(described, encoding="unicode")
        self._virsh.define("define", text, self._folder / manifest.name)

    def kept(self, lab: Lab) -> list[str]:
        """See protocols.Snapshots."""
        return [name for name in names(self._folder) if is_folder(self._folder / name)]

    def remove(self, lab: Lab, name: str) -> list[str]:
        """See protocols.Snapshots."""
        removed = []
        for machine in lab.machines:
            if self._has(domain(lab, machine.name), name):
                self._virsh.call("snapshot-delete", domain(lab, machine.name), name)
                removed.append(f"snapshot {name} of {domain(lab, machine.name)}")
        folder = self._folder / name
        if is_folder(folder):
            remove_tree(folder)
            removed.append(f"disks in {folder}")
        return removed


def _copy(folder: Path, machine: str) -> Path:
    return folder / f"{machine}.qcow2"
