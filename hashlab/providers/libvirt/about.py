"""The description that hashlab writes into a domain, so that machines are recognised without local
state.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape

from hashlab.config.model import Lab
from hashlab.protocols import BoxManifest, PlannedMachine
from hashlab.providers.libvirt.virsh import Virsh

KEY_WORD = "hashlab.key="
# Words of the kernel's command line that give a machine the addresses for which its network is
# open.
NETWORK_WORDS = ("hashlab.subnet=", "hashlab.gateway=")


def describe(lab: Lab, planned: PlannedMachine, manifest: BoxManifest) -> str:
    """Return the description of a planned machine, escaped for vagrant-libvirt's XML."""
    about = {
        "hashlab": lab.id,
        "machine": planned.name,
        "recipe": manifest.recipe,
        **_place(planned),
    }
    return escape(json.dumps(about))


def key_word(public_key: str) -> str:
    """Return the word of the kernel's command line that gives a machine the lab's public key."""
    return f"{KEY_WORD}{public_key.split()[1]}"


def network_words(planned: PlannedMachine) -> list[str]:
    """Return the words that give a machine the lab's subnet and the laptop's address in it."""
    subnet = planned.subnet
    values = (subnet, next(subnet.hosts()))
    return [f"{word}{value}" for word, value in zip(NETWORK_WORDS, values, strict=True)]


def has_key(described: Element, public_key: str) -> bool:
    """Return whether a domain gives its machine this key."""
    return key_word(public_key) in described.findtext("os/cmdline", "").split()


def move(described: Element, planned: PlannedMachine, public_key: str) -> None:
    """Change a domain's XML in place: set its machine's planned address and ports, and the lab's
    key.
    """
    line = described.find("os/cmdline")
    if line is not None:
        old = (KEY_WORD, *NETWORK_WORDS)
        words = [word for word in (line.text or "").split() if not word.startswith(old)]
        line.text = " ".join([*words, *network_words(planned), key_word(public_key)])
    text = described.find("description")
    if text is not None:
        text.text = moved(json.loads(text.text or "{}"), planned)


def moved(about: Mapping[str, Any], planned: PlannedMachine) -> str:
    """Return a domain's description with its machine's planned address and ports."""
    return json.dumps({**about, **_place(planned)})


def _place(planned: PlannedMachine) -> dict[str, Any]:
    # SSH goes to the machine's own address, so a port planned for it is not forwarded.
    guests = [port.guest for port in planned.machine.made_with]
    ports = {str(guest): planned.ports[guest] for guest in guests}
    return {"address": str(planned.address), "ports": ports}


def read_about(virsh: Virsh, domain: str) -> Mapping[str, Any]:
    """Return the data written by ``describe``; empty for a domain that is missing or not
    hashlab's.
    """
    try:
        about = json.loads(virsh.ask("desc", domain) or "")
    except ValueError:
        return {}
    return about if isinstance(about, dict) and "hashlab" in about else {}
