"""Names of the objects of a lab and of a box in libvirt."""

from __future__ import annotations

import hashlib
import uuid

from hashlab.config.model import Lab
from hashlab.protocols import BoxManifest

NAMESPACE = uuid.UUID("9f2c6d0e-5b1a-5c43-8f0d-6d1f3f6a7b11")
# The MAC prefix of KVM and QEMU machines.
MAC_PREFIX = "52:54:00"


def prefix(lab: Lab) -> str:
    """Return the common beginning of the names of a lab's machines and disks."""
    return f"{lab.id}-"


def domain(lab: Lab, machine: str) -> str:
    """Return the name of the domain that is a machine, as vagrant-libvirt names it."""
    return f"{prefix(lab)}{machine}"


def disk(lab: Lab, machine: str) -> str:
    """Return the name of the volume that is a machine's disk, as vagrant-libvirt names it."""
    return f"{domain(lab, machine)}.img"


def domain_id(lab: Lab, machine: str) -> str:
    """Return the domain's UUID. It is the same at every boot of a lab, so that lost state can be
    restored.
    """
    return str(uuid.uuid5(NAMESPACE, domain(lab, machine)))


def mac(lab: Lab, machine: str) -> str:
    """Return the MAC address by which the DHCP server identifies a machine."""
    digest = hashlib.sha256(domain(lab, machine).encode()).hexdigest()
    return ":".join([MAC_PREFIX, digest[0:2], digest[2:4], digest[4:6]])


def box_disk(manifest: BoxManifest) -> str:
    """Return the name of the volume in which vagrant-libvirt expects a box's disk."""
    name = manifest.name.replace("/", "-VAGRANTSLASH-")
    return f"{name}_vagrant_box_image_{manifest.version}_box.img"


def kernel(manifest: BoxManifest) -> str:
    """Return the name of the volume with a box's kernel."""
    return f"{manifest.recipe}-vmlinuz"


def initrd(manifest: BoxManifest) -> str:
    """Return the name of the volume with the initial RAM disk of a box's kernel."""
    return f"{manifest.recipe}-initrd.img"


def system_image(manifest: BoxManifest) -> str:
    """Return the name of the image on the laptop's engine from which a box's disk is made."""
    return f"hashlab-vm:{manifest.recipe}"


def seed_image(manifest: BoxManifest) -> str:
    """Return the name of the image of the seed machine, which fills a box's image store."""
    return f"hashlab-vm-seed:{manifest.recipe}"


def seed_store(manifest: BoxManifest) -> str:
    """Return the name of the volume in which the seed machine fills the image store."""
    return f"hashlab-vm-{manifest.recipe}"
