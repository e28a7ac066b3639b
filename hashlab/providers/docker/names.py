"""Names of the objects of a lab and of a box on the laptop's engine."""

from __future__ import annotations

from hashlab.config.model import Lab
from hashlab.protocols import BoxManifest

MACHINE_LABEL = "hashlab.machine"
BOX_IMAGE = "hashlab-box:"
# Marks objects of a snapshot with its lab and its name. LAB_LABEL is not used, because snapshots
# outlive the lab.
SNAPSHOT_OF = "hashlab.snapshot-of"
SNAPSHOT = "hashlab.snapshot"


def system_image(manifest: BoxManifest) -> str:
    """Return the name of the image with a box's system."""
    return f"{BOX_IMAGE}{manifest.recipe}"


def image_store(manifest: BoxManifest) -> str:
    """Return the name of the volume with a box's image store."""
    return f"hashlab-box-{manifest.recipe}"


def container(lab: Lab, machine: str) -> str:
    """Return the name of the container that is a machine."""
    return f"{lab.id}-{machine}"


def volume(lab: Lab, machine: str) -> str:
    """Return the name of the volume with a machine's image store."""
    return f"{lab.id}-{machine}-images"


def snapshot_image(lab: Lab, snapshot: str, machine: str) -> str:
    """Return the name of the image with a machine's file system in a snapshot.

    Names of machines contain no dots, so two snapshots never share an image.
    """
    return f"hashlab-snapshot:{lab.id}.{snapshot}.{machine}"


def snapshot_volume(lab: Lab, snapshot: str, machine: str) -> str:
    """Return the name of the volume with a machine's image store in a snapshot."""
    return f"{lab.id}-snapshot.{snapshot}.{machine}"
