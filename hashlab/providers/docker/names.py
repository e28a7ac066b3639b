"""What everything of a lab and of a box is called on the laptop's engine."""

from __future__ import annotations

from hashlab.config.model import Lab
from hashlab.protocols import BoxManifest

MACHINE_LABEL = "hashlab.machine"
BOX_IMAGE = "hashlab-box:"
# Marks what belongs to a snapshot: of which lab, and which one. Not LAB_LABEL: it outlives the lab.
SNAPSHOT_OF = "hashlab.snapshot-of"
SNAPSHOT = "hashlab.snapshot"


def system_image(manifest: BoxManifest) -> str:
    """The image with a box's system."""
    return f"{BOX_IMAGE}{manifest.recipe}"


def image_store(manifest: BoxManifest) -> str:
    """The volume with a box's image store."""
    return f"hashlab-box-{manifest.recipe}"


def container(lab: Lab, machine: str) -> str:
    """The container that is a machine."""
    return f"{lab.id}-{machine}"


def volume(lab: Lab, machine: str) -> str:
    """The volume with a machine's image store."""
    return f"{lab.id}-{machine}-images"


def snapshot_image(lab: Lab, snapshot: str, machine: str) -> str:
    """The image with a machine's file system in a snapshot. Machines' names hold no dots, so no two
    snapshots share one.
    """
    return f"hashlab-snapshot:{lab.id}.{snapshot}.{machine}"


def snapshot_volume(lab: Lab, snapshot: str, machine: str) -> str:
    """The volume with a machine's image store in a snapshot."""
    return f"{lab.id}-snapshot.{snapshot}.{machine}"
