"""Phase ``boot``: starts the machines."""

from __future__ import annotations

from collections.abc import Mapping

from hashlab.errors import LabError
from hashlab.phases.facts import filled
from hashlab.phases.ports import close_ports_of
from hashlab.phases.world import World
from hashlab.pipeline import Track
from hashlab.protocols import ObservedMachine


def boot(world: World, track: Track, _: str) -> None:
    """Promise: every machine is up, according to its provider."""
    prepared = filled(world.facts.prepared, "prepare")
    observed = prepared.observed
    running = [m.name for m in observed.values() if m.state == "running"]
    missing = [name for name in world.machine_names() if name not in running]
    if not missing:
        track.skip(f"{len(running)} machines run")
        return
    _check_ports(world, observed)
    for name in missing:
        # A port that leads to a machine that is gone would look open for some seconds.
        close_ports_of(world, track, name)
    world.booting.boot(missing, prepared.box, track=track)
    track.detail(f"{', '.join(missing)} up")


def _check_ports(world: World, observed: Mapping[str, ObservedMachine]) -> None:
    """Raise LabError if another program uses a port of a stopped machine. The machine was made with
    that port, and cannot start without it.
    """
    if not world.provider.keeps_ports:
        return
    for machine in observed.values():
        taken = [port for port in machine.forwarded.values() if not world.port_is_free(port)]
        if machine.state == "stopped" and taken:
            listed = ", ".join(str(port) for port in taken)
            raise LabError(
                f"it cannot start, because another program has its port {listed} of this laptop",
                where=machine.name,
                next_step="stop that program (ss -ltnp shows it), then hashlab dev; or, without "
                "the machine's data: hashlab destroy, hashlab dev",
            )
