"""Names of a lab's machines in VirtualBox, and keys of the notes that hashlab stores there."""

from __future__ import annotations

import hashlib

from hashlab.config.model import Lab

# Notes at a machine: its lab, its name there, the recipe of its box; READY, once `vagrant up` has
# ended, with the address and public key at that time; the host key seen first.
LAB = "hashlab/lab"
MACHINE = "hashlab/machine"
RECIPE = "hashlab/recipe"
READY = "hashlab/ready"
HOST_KEY = "hashlab/host-key"
# The description of snapshots that hashlab took.
SNAPSHOT_MARK = "hashlab"
# The MAC prefix of VirtualBox machines.
MAC_PREFIX = "08:00:27"


def prefix(lab: Lab) -> str:
    """Return the common beginning of the names of a lab's machines."""
    return f"{lab.id}-"


def vm(lab: Lab, machine: str) -> str:
    """Return a machine's name in VirtualBox."""
    return f"{prefix(lab)}{machine}"


def mac(lab: Lab, machine: str) -> str:
    """Return the MAC address of a machine's card in the lab's network."""
    digest = hashlib.sha256(vm(lab, machine).encode()).hexdigest()
    return ":".join([MAC_PREFIX, digest[0:2], digest[2:4], digest[4:6]])


def network(lab: Lab) -> str:
    """Return the key of the note, at VirtualBox as a whole, with the name and subnet of the lab's
    network.
    """
    return f"hashlab/network/{lab.id}"
