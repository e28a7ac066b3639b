"""What machines of a lab are called in VirtualBox, and what is written down about them."""

from __future__ import annotations

import hashlib

from hashlab.config.model import Lab

# Notes at a machine: its lab, its name there, the recipe of its box; that `vagrant up` has come to
# its end, with the address and the public key that were inside then; the host key seen first.
LAB = "hashlab/lab"
MACHINE = "hashlab/machine"
RECIPE = "hashlab/recipe"
READY = "hashlab/ready"
HOST_KEY = "hashlab/host-key"
# The description of snapshots that hashlab took.
SNAPSHOT_MARK = "hashlab"
# The prefix of machines of VirtualBox.
MAC_PREFIX = "08:00:27"


def prefix(lab: Lab) -> str:
    """How the names of a lab's machines begin."""
    return f"{lab.id}-"


def vm(lab: Lab, machine: str) -> str:
    """A machine's name in VirtualBox."""
    return f"{prefix(lab)}{machine}"


def mac(lab: Lab, machine: str) -> str:
    """The MAC address of a machine's card in the lab's network."""
    digest = hashlib.sha256(vm(lab, machine).encode()).hexdigest()
    return ":".join([MAC_PREFIX, digest[0:2], digest[2:4], digest[4:6]])


def network(lab: Lab) -> str:
    """The note, at VirtualBox as a whole, that names the lab's network and its subnet."""
    return f"hashlab/network/{lab.id}"
