"""Compares the volumes of machines with the Compose file: engines never change existing ones."""

from __future__ import annotations

from collections.abc import Mapping

from hashlab.config.model import Volume
from hashlab.phases.world import World


def note_old_volumes(world: World) -> None:
    """Note each volume that was made with other options than the Compose file has now. Machines are
    asked only if a volume has options, or a container was changed: it may have lost them.
    """
    own = [volume for volume in world.lab.volumes if not volume.external]
    if not (any(volume.driver_opts for volume in own) or world.facts.containers.changed):
        return
    for machine, link in world.facts.machines.links.items():
        mounted = {m.volume for s in world.services_on(machine) for m in s.volumes}
        here = {volume.name: volume for volume in own if volume.key in mounted}
        for name, options in link.engine.volume_options(list(here)).items():
            if options != dict(here[name].driver_opts):
                world.note(_old(machine, here[name], options))


def _old(machine: str, volume: Volume, options: Mapping[str, str]) -> str:
    return (
        f"volume {volume.name} on {machine} keeps the options that it was made with: "
        f"{_shown(options)}. The Compose file has: {_shown(dict(volume.driver_opts))}. To make it "
        f"new, without its data: hashlab down, then hashlab ssh {machine} --command "
        f"'docker volume rm {volume.name}', then hashlab start"
    )


def _shown(options: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in options.items()) or "none"
