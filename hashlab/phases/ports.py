"""Phase ``ports``: what machines forward answers on the laptop, whoever forwards it."""

from __future__ import annotations

import stat

from hashlab.errors import LabError
from hashlab.phases.world import World
from hashlab.pipeline import Track, parallel
from hashlab.private import kind

SSH_SECONDS = 60.0
# A machine that is gone is noticed within 15 s; then its tunnel ends by itself.
ALIVE = ("-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=3")


def forward_ports(world: World, track: Track, _: str) -> None:
    """Promise: every forwarded port of a machine answers on 127.0.0.1: published by the provider,
    or by an SSH connection in the background that outlives this run.
    """
    if world.provider.publishes_ports:
        track.skip("published by the provider")
        return
    names = [machine.name for machine in world.lab.machines if machine.forwarded_ports]
    opened = parallel(names, lambda name: _open(world, track, name), track.cancel)
    if any(opened):
        track.detail(f"{sum(opened)} opened")
    else:
        track.skip("open already")


def close_ports(world: World, track: Track) -> None:
    """End the connections that forward ports. Fine if there are none."""
    for machine in world.machine_names():
        close_ports_of(world, track, machine)


def close_ports_of(world: World, track: Track, machine: str) -> None:
    """End the connection that forwards one machine's ports. Fine if there is none."""
    if _is_open(world, machine):
        _ssh(world, track, machine, "-O", "exit")


def _is_open(world: World, machine: str) -> bool:
    """True if the socket of a machine's tunnel is there; another program may listen at a link."""
    return kind(str(world.state.ssh / _socket(machine))) not in (0, stat.S_IFLNK)


def _open(world: World, track: Track, machine: str) -> int:
    """Open a machine's tunnel; 0 when it is open, else how many ports it forwards."""
    if _is_open(world, machine) and not _ssh(world, track, machine, "-O", "check"):
        return 0
    ports = world.facts.reach[machine].forwarded
    forwards = [
        word
        for guest, host in ports.items()
        for word in ("-L", f"127.0.0.1:{host}:127.0.0.1:{guest}")
    ]
    words = ["-M", "-f", "-N", "-o", "ExitOnForwardFailure=yes", *ALIVE, *forwards]
    failure = _ssh(world, track, machine, *words)
    if failure:
        listed = ", ".join(str(host) for host in ports.values())
        raise LabError(
            f"cannot forward ports {listed}",
            where=machine,
            output=failure,
            next_step="free the port, or choose another in hashlab.toml, then: hashlab destroy, "
            "hashlab dev",
        )
    return len(ports)


def _ssh(world: World, track: Track, machine: str, *words: str) -> str:
    """Run the OpenSSH client about a machine's tunnel; return why it failed, "" if it did not."""
    done = world.runner.run(
        ["ssh", "-F", str(world.state.ssh_config), "-S", _socket(machine), *words, machine],
        # The path of a socket may have 107 characters only, so it is named from its own folder.
        cwd=world.state.ssh,
        timeout=SSH_SECONDS * world.provider.patience,
        cancel=track.cancel,
    )
    return "" if done.code == 0 else done.stderr.strip() or f"exit code {done.code}"


def _socket(machine: str) -> str:
    return f"{machine}.tunnel"
