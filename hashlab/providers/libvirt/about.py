"""What hashlab writes into a domain's description, so that machines are found without our state."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import escape

from hashlab.config.model import Lab
from hashlab.protocols import BoxManifest, PlannedMachine
from hashlab.providers.libvirt.virsh import Virsh


def describe(lab: Lab, planned: PlannedMachine, manifest: BoxManifest) -> str:
    """The description of a machine that is to be made, as vagrant-libvirt puts it into XML."""
    about = {
        "hashlab": lab.id,
        "machine": planned.name,
        "recipe": manifest.recipe,
        "address": str(planned.address),
        "ports": {str(guest): host for guest, host in planned.ports.items()},
    }
    return escape(json.dumps(about))


def read_about(virsh: Virsh, domain: str) -> Mapping[str, Any]:
    """What ``describe`` wrote; empty for a domain that is not hashlab's, or is gone."""
    try:
        about = json.loads(virsh.ask("desc", domain) or "")
    except ValueError:
        return {}
    return about if isinstance(about, dict) and "hashlab" in about else {}
