"""Phases ``suspend`` and ``resume``: freeze the machines where they are, and let them go on."""

from __future__ import annotations

from hashlab.errors import HashlabError, LabError
from hashlab.phases.ports import close_ports
from hashlab.phases.world import World
from hashlab.pipeline import Track
from hashlab.state.files import is_file, remove, write_text


def suspend(world: World, track: Track, _: str) -> None:
    """Promise: no process of a machine runs, and each goes on where it is with ``resume``."""
    booting = world.booting  # before anything changes
    running = _in_state(world, "running")
    if not running:
        track.skip("no machine runs")
        return
    write_text(world.state.suspended, "", lasting=True)
    # A tunnel to a frozen machine would take connections and never answer.
    close_ports(world, track)
    try:
        booting.suspend(world.lab, running)
    except HashlabError:
        # A lab of which only some machines run is worse than one that runs.
        resume_machines(world)
        raise
    track.detail(f"{', '.join(running)} suspended")


def resume(world: World, track: Track, _: str) -> None:
    """Promise: no machine is suspended."""
    suspended = resume_machines(world)
    if suspended:
        track.detail(f"{', '.join(suspended)} run again")
    else:
        track.skip("no machine is suspended")


def resume_machines(world: World) -> list[str]:
    """Let suspended machines go on; return their names."""
    suspended = _in_state(world, "paused")
    if suspended:
        world.booting.resume(world.lab, suspended)
    remove(world.state.suspended)
    return suspended


def check_not_suspended(world: World, machine: str) -> None:
    """Raise LabError if the lab is suspended: nothing on it would answer."""
    if is_file(world.state.suspended):
        raise LabError("the lab is suspended", where=machine, next_step="hashlab resume")


def _in_state(world: World, state: str) -> list[str]:
    observed = world.provider.machines.observe_all(world.lab)
    return [machine.name for machine in observed if machine.state == state]
