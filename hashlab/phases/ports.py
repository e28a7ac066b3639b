"""Phase ``ports``: what machines forward answers on the laptop, whoever forwards it."""

from __future__ import annotations

import stat
from collections.abc import Mapping

from hashlab.errors import LabError
from hashlab.phases.world import World
from hashlab.pipeline import Track, parallel
from hashlab.state.files import remove, write_json
from hashlab.state.private import kind

SSH_SECONDS = 60.0
# A machine that is gone is noticed within 15 s; then its tunnel ends by itself.
ALIVE = ("-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=3")


def forward_ports(world: World, track: Track, _: str) -> None:
    """Promise: every forwarded port of a machine answers on 127.0.0.1, where hashlab.toml says as
    long as nothing else has that port: published by the provider, or by an SSH connection in the
    background that outlives this run.
    """
    names = [machine.name for machine in world.lab.machines if machine.forwarded_ports]
    opened = parallel(names, lambda name: _lead(world, track, name), track.cancel)
    if any(opened):
        track.detail(f"{sum(opened)} opened")
    elif world.provider.publishes_ports:
        track.skip("published by the provider")
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
    remove(world.led_ports_file(machine))


def _is_open(world: World, machine: str) -> bool:
    """True if the socket of a machine's tunnel is there; another program may listen at a link."""
    return kind(str(world.state.ssh / _socket(machine))) not in (0, stat.S_IFLNK)


def _lead(world: World, track: Track, machine: str) -> int:
    """Have the connection of a machine forward what the provider does not, or elsewhere; returns
    how many ports it was opened for, 0 if it was right already.
    """
    led = _led(world, track, machine)
    wanted = _wanted(world, machine, led)
    if wanted == led:
        return 0
    if led:
        close_ports_of(world, track, machine)
    if wanted:
        _open(world, track, machine, wanted)
        write_json(world.led_ports_file(machine), {str(g): h for g, h in wanted.items()})
    return len(wanted)


def _led(world: World, track: Track, machine: str) -> dict[int, int]:
    """What the connection of a machine forwards (guest → laptop), if it lives."""
    if not _is_open(world, machine):
        return {}
    if _ssh(world, track, machine, "-O", "check"):
        return {}
    # One that an earlier version of hashlab opened left no list.
    return world.led_ports(machine) or dict(world.facts.machines.endpoints[machine].forwarded)


def _wanted(world: World, machine: str, led: Mapping[int, int]) -> dict[int, int]:
    """What a machine's connection should forward: the port of hashlab.toml wherever it is free,
    else the one that the machine was made with.
    """
    made_with = world.facts.machines.endpoints[machine].forwarded
    found: dict[int, int] = {}
    for port in world.machine(machine).forwarded_ports:
        published = made_with.get(port.guest) if world.provider.publishes_ports else None
        if published == port.host:
            continue
        host = port.host
        if led.get(port.guest) != host and not world.port_is_free(host):
            host = published or _another(world, made_with.get(port.guest, 0), led.get(port.guest))
            world.note(f"port {port.host} ({port.id}) is in use; using {host}")
        if host != published:
            found[port.guest] = host
    return found


def _another(world: World, made_with: int, led: int | None) -> int:
    """A port in place of one that is taken: the present one, that of the machine, or any."""
    if led:
        return led
    return made_with if made_with and world.port_is_free(made_with) else world.free_port()


def _open(world: World, track: Track, machine: str, ports: Mapping[int, int]) -> None:
    """Open a machine's connection. Raises LabError."""
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
            next_step="run it again: a port that another program has taken meanwhile is replaced",
        )


def _ssh(world: World, track: Track, machine: str, *words: str) -> str:
    """Run the OpenSSH client about a machine's tunnel; return why it failed, "" if it did not."""
    done = world.runner.run(
        ["ssh", "-F", str(world.state.ssh_config), "-S", _socket(machine), *words, machine],
        # The path of a socket may have 107 characters only, so it is named from its own folder.
        cwd=world.state.ssh,
        timeout=SSH_SECONDS * world.provider.time_factor,
        cancel=track.cancel,
    )
    return "" if done.code == 0 else done.stderr.strip() or f"exit code {done.code}"


def _socket(machine: str) -> str:
    return f"{machine}.tunnel"
