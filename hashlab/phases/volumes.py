"""Compares the volumes of machines with the Compose file: engines never change existing ones."""

from __future__ import annotations

from collections.abc import Mapping

from hashlab.config.model import Volume
from hashlab.phases.world import World


def note_old_volumes(world: World) -> None:
    """Note each volume that was made with other options than the Compose file has now. A machine is
    asked only for volumes that have options, and for those of a service that was changed: they may
    have lost theirs.
    """
    changed = world.facts.containers.changed
    own = [volume for volume in world.lab.volumes if not volume.external]
    for machine, link in world.facts.machines.links.items():
        services = world.services_on(machine)
        mounted = {m.volume for s in services for m in s.volumes}
        of_changed = {m.volume for s in services if s.name in changed for m in s.volumes}
        here = {
            volume.name: volume
            for volume in own
            if volume.key in (mounted if volume.driver_opts else of_changed)
        }
        found = link.engine.volume_options(list(here)) if here else {}
        for name, options in found.items():
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
