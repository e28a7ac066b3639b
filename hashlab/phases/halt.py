"""Phase ``halt``: switches the machines off."""

from __future__ import annotations

from hashlab.errors import LabError
from hashlab.phases.connect import reconnect
from hashlab.phases.ports import close_ports
from hashlab.phases.stop import run_pre_stop
from hashlab.phases.suspend import resume_machines
from hashlab.phases.world import World
from hashlab.pipeline import Track, parallel

# The engine gives containers their own time to end, at most 90 s as systemd sees it.
END = (
    ("sudo", "systemctl", "stop", "docker.socket", "docker.service"),
    ("sudo", "sync"),
)
END_SECONDS = 120.0


def halt(world: World, track: Track, _: str) -> None:
    """Promise: no machine runs, and all of them keep their data: containers had their hooks and
    their time to end, and what they wrote is on the disks.
    """
    booting = world.booting  # before anything of a host stops
    resume_machines(world)
    observed = world.provider.machines.observe_all(world.lab)
    running = [machine.name for machine in observed if machine.state == "running"]
    if not running:
        track.skip("no machine runs")
        return
    parallel(running, lambda name: _end_containers(world, track, name), track.cancel)
    close_ports(world, track)
    booting.halt(world.lab)
    track.detail(f"{', '.join(running)} off")


def _end_containers(world: World, track: Track, machine: str) -> None:
    with track.child("end", machine=machine) as step:
        reconnect(world, step, machine)
        run_pre_stop(world, step, machine)
        limit = END_SECONDS * world.provider.time_factor
        for command in END:
            done = world.link(machine).shell.run(command, timeout=limit)
            if done.code != 0:
                raise LabError(
                    "its containers did not end",
                    where=machine,
                    output=done.stderr,
                    next_step="run it again; without the data: hashlab destroy",
                )
