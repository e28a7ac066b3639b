"""Boxes of the provider ``libvirt``: a bootable disk with images inside, and its kernel next
to it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from hashlab.config.model import Lab
from hashlab.errors import LabError
from hashlab.pipeline import Track
from hashlab.protocols import BoxContents, BoxManifest, Engine, Runner
from hashlab.providers.contents import ask_contents
from hashlab.providers.disks import fault_of_qcow2
from hashlab.providers.libvirt.about import read_about
from hashlab.providers.libvirt.names import (
    box_disk,
    initrd,
    kernel,
    seed_image,
    seed_store,
    system_image,
)
from hashlab.providers.libvirt.virsh import Virsh
from hashlab.providers.scripts import run_script
from hashlab.providers.seed import Seed, system_files
from hashlab.providers.vagrant import LabVagrant, VagrantBoxes

SYSTEM_FILES = (
    *("Dockerfile", "setup.sh", "firewall.sh", "await-manager.sh", "sandboxes.sh"),
    *("virtual-machine.sh", "first-boot.sh", "make-disk.sh"),
)
# Size of a machine's disk. The file only takes the space that was written.
DISK_GIB = 20
DISK_SECONDS = 600
PARTS = {"box.img": "disk, compressed", "vmlinuz": "kernel", "initrd.img": "initial ram disk"}
DISK_FILES = tuple(PARTS)
VAGRANTFILE = """\
Vagrant.configure("2") do |config|
  config.vm.provider("libvirt") do |libvirt|
    libvirt.kernel = File.expand_path("../vmlinuz", __FILE__)
    libvirt.initrd = File.expand_path("../initrd.img", __FILE__)
    libvirt.cmd_line = "root=/dev/vda rw console=ttyS0 net.ifnames=0"
  end
end
"""


class LibvirtBoxes(VagrantBoxes):
    """protocols.Boxes: built on the laptop's Docker Engine, kept by Vagrant and libvirt."""

    promised_size = 600_000_000
    packed = True
    holds_images = True

    def __init__(
        self,
        *,
        vagrant: LabVagrant,
        engine: Callable[[], Engine],
        seed: Seed,
        runner: Runner,
        virsh: Virsh,
    ) -> None:
        super().__init__(vagrant)
        self._engine = engine
        self._seed = seed
        self._runner = runner
        self._virsh = virsh

    def inputs(self) -> Mapping[str, str]:
        """See protocols.Boxes."""
        return system_files(*SYSTEM_FILES)

    def build_system(self, lab: Lab, manifest: BoxManifest, *, track: Track) -> None:
        """See protocols.Boxes. The seed machine is the same system as a container."""
        for name, target in (
            (system_image(manifest), "virtual-machine"),
            (seed_image(manifest), "container"),
        ):
            self._seed.build_system(lab, manifest, name, target=target, track=track)

    def build_store(self, lab: Lab, manifest: BoxManifest, archive: Path, *, track: Track) -> None:
        """See protocols.Boxes.

        A container of the same system fills the store. It boots in a second even where virtual
        machines are emulated, and the disk needs no clean-up after a boot.
        """
        engine = self._engine()
        store = seed_store(manifest)
        self._seed.fill_store(
            manifest, image=seed_image(manifest), volume=store, archive=archive, track=track
        )
        try:
            track.detail("making the disk")
            self._make_disk(manifest, store, archive.parent)
            self._compress(archive.parent, track)
        finally:
            engine.remove_volume(store)

    def _make_disk(self, manifest: BoxManifest, store: str, work: Path) -> None:
        run_script(
            self._engine(),
            system_files("make-disk.sh")["make-disk.sh"],
            arguments=[f"{DISK_GIB}G"],
            name=f"{store}-disk",
            image=system_image(manifest),
            binds=[f"{work.resolve()}:/out", f"{store}:/store:ro"],
            # Needed to mount the root a second time.
            capabilities=["SYS_ADMIN"],
            may_mount=True,
            failure="cannot make the box's disk",
        )

    def _compress(self, work: Path, track: Track) -> None:
        raw = work / "disk.raw"
        options = ["-c", "-o", "compression_type=zstd", "-m", "4", "-W"]
        try:
            done = self._runner.run(
                ["qemu-img", "convert", "-O", "qcow2", *options, str(raw), str(work / "box.img")],
                timeout=DISK_SECONDS,
                cancel=track.cancel,
                on_line=track.output,
            )
        finally:
            raw.unlink(missing_ok=True)
        if done.code != 0:
            raise LabError("cannot compress the box's disk", output=done.stderr)

    def files(self, manifest: BoxManifest, work: Path) -> Mapping[str, str | Path]:
        """See protocols.Boxes."""
        return {**self.own_files(manifest), **{name: work / name for name in DISK_FILES}}

    def own_files(self, manifest: BoxManifest) -> Mapping[str, str]:
        """See protocols.Boxes."""
        metadata = {"provider": "libvirt", "format": "qcow2", "virtual_size": DISK_GIB}
        return {"metadata.json": json.dumps(metadata), "Vagrantfile": VAGRANTFILE}

    def takes(self, name: str) -> bool:
        """See protocols.Boxes."""
        return name in DISK_FILES

    def fault_of(self, name: str, head: bytes, names: Collection[str]) -> str:
        """See protocols.Boxes."""
        return fault_of_qcow2(head) if name == "box.img" else ""

    def contents(self, manifest: BoxManifest, work: Path, *, track: Track) -> BoxContents:
        """See protocols.Boxes. Its parts are files; the disk among them is compressed."""
        contents = ask_contents(
            self._engine(),
            name=f"{seed_store(manifest)}-contents",
            image=system_image(manifest),
        )
        parts = {PARTS[name]: (work / name).stat().st_size for name in DISK_FILES}
        return replace(contents, parts=parts)

    def users(self) -> Mapping[str, Sequence[str]]:
        """See protocols.Boxes."""
        users: dict[str, list[str]] = {}
        for name in self._virsh.domain_states():
            about = read_about(self._virsh, name)
            if "recipe" in about:
                machine = f"{about.get('hashlab')}/{about.get('machine')}"
                users.setdefault(str(about["recipe"]), []).append(machine)
        return users

    def export_files(
        self, manifest: BoxManifest, work: Path, *, track: Track
    ) -> Mapping[str, str | Path]:
        """See protocols.Boxes. The registered box is complete by itself."""
        folder = manifest.registered_at
        if folder is None or not self.present(manifest):
            raise LabError(f"the box {manifest.name} {manifest.version} is incomplete")
        return self.files(manifest, folder)

    def take_in(self, manifest: BoxManifest, *, track: Track) -> bool:
        """See protocols.Boxes. Nothing has to be unpacked."""
        return self.present(manifest)

    def present(self, manifest: BoxManifest) -> bool:
        """See protocols.Boxes. All files of a box are in Vagrant's own folder."""
        folder = manifest.registered_at
        return folder is not None and all((folder / name).exists() for name in DISK_FILES)

    def remove(self, manifest: BoxManifest) -> list[str]:
        """See protocols.Boxes. vagrant-libvirt leaves its copy of the disk behind."""
        engine = self._engine()
        removed = []
        volumes = self._virsh.volumes()
        for name in (box_disk(manifest), kernel(manifest), initrd(manifest)):
            if name in volumes:
                self._virsh.remove_volume(name)
                removed.append(f"volume {name}")
        for name in (system_image(manifest), seed_image(manifest)):
            if engine.remove_image(name):
                removed.append(f"image {name}")
        self._virsh.remove_empty_pool()
        return removed
