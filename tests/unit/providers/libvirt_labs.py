"""A lab, its box and the provider libvirt on a libvirt in memory."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path

from fakes import FakeEngine
from fakes.libvirt import FakeLibvirt, LibvirtRunner

from hashlab.config.model import Lab
from hashlab.pipeline import Track
from hashlab.protocols import BoxManifest, KvmProbe, PlannedMachine
from hashlab.providers.libvirt import LibvirtProvider
from hashlab.providers.libvirt.names import box_disk, disk, domain
from hashlab.providers.libvirt.virsh import POOL, POOL_FOLDER
from tests.fakes.vagrant import vagrant_in

MANIFEST = BoxManifest("hashlab/small", "1.0.0.rabc", "abc", "libvirt", {"a:1": "x"})
SUBNET = IPv4Network("192.168.60.0/24")
KEY = "ssh-ed25519 AAAAKEY hashlab small-123456"
BOX_VOLUMES = {
    "abc-vmlinuz",
    "abc-initrd.img",
    "hashlab-VAGRANTSLASH-small_vagrant_box_image_1.0.0.rabc_box.img",
}
# A qcow2 disk is larger than an empty one.
BOX = {"box.img": b"disk" * 100_000, "vmlinuz": b"kernel", "initrd.img": b"initrd"}


# The number of the laptop's cores.
CORES = 6


class Laptop:
    """A laptop with a libvirt, the lab and the provider on it."""

    def __init__(self, lab: Lab, folder: Path, engine: FakeEngine) -> None:
        self.lab = lab
        self.folder = folder
        self.engine = engine
        self.libvirt = FakeLibvirt()
        self.runner = LibvirtRunner(self.libvirt)
        self.kvm = KvmProbe(True, "a guest ran under KVM in 0.5 s")
        self.environ: Mapping[str, str] = {"HOME": str(folder / "home")}
        self.provider = LibvirtProvider(
            vagrant=vagrant_in(folder, "libvirt"),
            engine=lambda: self.engine,
            runner=self.runner,
            kvm=lambda: self.kvm,
            environ=self.environ,
            cache=folder / "engine.json",
            work=folder / "work",
            cores=CORES,
        )
        self.machines = self.provider.machines
        self.boxes = self.provider.boxes

    def registered(self) -> BoxManifest:
        """Return the box as Vagrant keeps it."""
        folder = self.folder / "registered"
        folder.mkdir(exist_ok=True)
        for name, content in BOX.items():
            (folder / name).write_bytes(content)
        return replace(MANIFEST, registered_at=folder)

    def plan(self, *names: str) -> list[PlannedMachine]:
        """Return machines at the addresses and ports of hashlab.toml."""
        found = [self.lab.machine(name) for name in names]
        return [
            PlannedMachine(m, m.address, {port.guest: port.host for port in m.forwarded_ports})
            for m in found
        ]

    def prepare(self, track: Track, *names: str, subnet: IPv4Network = SUBNET) -> None:
        """Do all the work that precedes `vagrant up` of these machines."""
        manifest = self.registered()
        self.machines.prepare(self.lab, self.plan(*names), manifest, subnet, track=track)
        found = [self.lab.machine(name) for name in names]
        self.machines.fill_disks(self.lab, found, manifest, track=track)

    def up(self, track: Track, *names: str) -> None:
        """Create machines as Vagrant does from the rendered Vagrantfile."""
        self.prepare(track, *names)
        for planned in self.plan(*names):
            settings = self.machines.settings(self.lab, planned, MANIFEST, KEY)
            assert settings["pool"] == POOL
            name = f"{settings['prefix']}{planned.name}"
            assert name == domain(self.lab, planned.name)
            self.libvirt.add_volume(POOL, disk(self.lab, planned.name))
            self.libvirt.add_domain(
                name,
                description=settings["description"],
                cmdline=settings["cmd_line"],
                network=settings["network"],
                disk=f"{POOL_FOLDER}/{disk(self.lab, planned.name)}",
                stands_on=(
                    f"{POOL_FOLDER}/{box_disk(MANIFEST)}",
                    settings["kernel"],
                    settings["initrd"],
                ),
            )

    def hosts(self) -> set[tuple[str | None, str | None]]:
        """Return names and addresses in the DHCP server of the lab's network."""
        described = self.libvirt.networks[self.lab.id].described
        return {(host.get("name"), host.get("ip")) for host in described.iter("host")}

    def about(self, machine: str) -> Mapping[str, object]:
        """Return the content of a machine's description."""
        described = self.libvirt.domains[domain(self.lab, machine)].described
        found: Mapping[str, object] = json.loads(described.findtext("description", ""))
        return found
