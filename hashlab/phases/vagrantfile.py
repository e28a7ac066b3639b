"""Renders the lab's Vagrantfile."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

from hashlab.config.model import Machine
from hashlab.phases.programs import WAIT_FOR_FILE
from hashlab.phases.world import World
from hashlab.protocols import BoxManifest, PlannedMachine

BOOT_SECONDS = 120.0


def vagrantfile_text(
    world: World, planned: Mapping[str, PlannedMachine], box: BoxManifest, public_key: str
) -> str:
    """Render the Vagrantfile of this run."""

    def values(machine: Machine) -> dict[str, object]:
        own = planned[machine.name]
        return {
            "name": machine.name,
            "address": str(own.address),
            "forwarded_ports": [
                {"id": port.id, "guest": port.guest, "host": own.ports[port.guest]}
                for port in machine.forwarded_ports
            ],
            "settings": world.provider.machines.settings(world.lab, own, box, public_key),
        }

    return world.render(
        {
            "lab": world.lab.name,
            "provider": world.provider.name,
            "box": {"name": box.name, "version": box.version},
            "user": "core",
            "boot_seconds": round(BOOT_SECONDS * world.provider.time_factor),
            "private_key": str(world.state.key),
            "wait_for_disk": wait_for(world.state.disks_ready),
            "machines": [values(machine) for machine in world.lab.machines],
        }
    )


def wait_for(path: Path) -> str:
    """Return a shell command that waits until the file exists, and fails after a minute."""
    return shlex.join(["sh", "-c", WAIT_FOR_FILE, "sh", str(path)])
