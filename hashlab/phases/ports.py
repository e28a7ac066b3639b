"""Phase ``ports``: makes the machines' forwarded ports answer on the laptop."""

from __future__ import annotations

import stat
from collections.abc import Mapping

from hashlab.config.model import ForwardedPort
from hashlab.errors import LabError
from hashlab.phases.addresses import FIRST_FREE, replaced
from hashlab.phases.world import World
from hashlab.pipeline import Track, parallel
from hashlab.state.files import remove, write_json
from hashlab.state.private import kind

SSH_SECONDS = 60.0
# An unprivileged user gets 8080 for 80, 8443 for 443.
ABOVE_ROOT = 8000
# A tunnel ends within 15 s after its machine is gone.
ALIVE = ("-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=3")


def forward_ports(world: World, track: Track, _: str) -> None:
    """Promise: every forwarded port of a machine answers on 127.0.0.1, at the port that the lab's
    files name unless another program uses that. The provider publishes it, or an SSH connection in
    the background (a tunnel), which outlives this run, forwards it.
    """
    names = [m.name for m in world.lab.machines if m.forwarded_ports or _is_open(world, m.name)]
    # A port may move to another machine, so the old tunnels end before a new one begins.
    kept = parallel(names, lambda name: _kept(world, track, name), track.cancel)
    forwarded = dict(zip(names, kept, strict=True))
    opened = parallel(
        names, lambda name: _adjust_tunnel(world, track, name, forwarded[name]), track.cancel
    )
    if any(opened):
        track.detail(f"{sum(opened)} opened")
    elif world.provider.publishes_ports and not any(kept):
        track.skip("published by the provider")
    else:
        track.skip("open already")


def close_ports(world: World, track: Track) -> None:
    """End the tunnels of all machines. Fine if there are none."""
    for machine in world.machine_names():
        close_ports_of(world, track, machine)


def close_ports_of(world: World, track: Track, machine: str) -> None:
    """End one machine's tunnel. Fine if there is none."""
    if _is_open(world, machine):
        _ssh(world, track, machine, "-O", "exit")
    remove(world.tunnel_file(machine))


def _is_open(world: World, machine: str) -> bool:
    """Return whether a machine's tunnel has a socket. A link could lead to another program's."""
    return kind(str(world.state.ssh / _socket(machine))) not in (0, stat.S_IFLNK)


def _kept(world: World, track: Track, machine: str) -> dict[int, int]:
    """Return the ports that a machine's tunnel forwards (guest → laptop). End a tunnel that
    forwards one which the machine no longer has.
    """
    forwarded = _forwarded(world, track, machine)
    if forwarded.keys() <= {port.guest for port in world.machine(machine).forwarded_ports}:
        return forwarded
    close_ports_of(world, track, machine)
    return {}


def _adjust_tunnel(world: World, track: Track, machine: str, forwarded: Mapping[int, int]) -> int:
    """Make a machine's tunnel forward the ports that the provider does not publish as wanted.
    Return how many ports a tunnel was opened for, 0 if it was right already. ``forwarded``: the
    ports that it forwards now.
    """
    wanted = _wanted(world, machine, forwarded)
    if wanted == forwarded:
        return 0
    if forwarded:
        close_ports_of(world, track, machine)
    if wanted:
        _open(world, track, machine, wanted)
        write_json(world.tunnel_file(machine), {str(g): h for g, h in wanted.items()})
    return len(wanted)


def _forwarded(world: World, track: Track, machine: str) -> dict[int, int]:
    """Return the ports that a machine's tunnel forwards (guest → laptop); none without a tunnel."""
    if not _is_open(world, machine):
        return {}
    if _ssh(world, track, machine, "-O", "check"):
        return {}
    # A tunnel of an earlier version of hashlab has no list.
    return world.tunnel_ports(machine) or dict(world.facts.machines.endpoints[machine].forwarded)


def _wanted(world: World, machine: str, forwarded: Mapping[int, int]) -> dict[int, int]:
    """Return the ports that a machine's tunnel should forward: the wanted port if it is free, else
    the port that the machine was made with.
    """
    made_with = world.facts.machines.endpoints[machine].forwarded
    wanted: dict[int, int] = {}
    for port in world.machine(machine).forwarded_ports:
        published = made_with.get(port.guest) if world.provider.publishes_ports else None
        if published == port.host:
            continue
        host = port.host
        if forwarded.get(port.guest) != host and not world.port_is_free(host):
            present = forwarded.get(port.guest)
            host = published or _another(world, port, made_with.get(port.guest, 0), present)
            world.note(replaced(port, host))
        if host != published:
            wanted[port.guest] = host
    return wanted


def _another(world: World, port: ForwardedPort, made_with: int, present: int | None) -> int:
    """Return a port to use instead of one in use: the present one, the machine's own, for 80 the
    port 8080 and the like, or any.
    """
    if present:
        return present
    usual = port.host + ABOVE_ROOT if port.host < FIRST_FREE else 0
    taken = {each.host for m in world.lab.machines for each in m.forwarded_ports}
    candidates = (made_with, 0 if usual in taken else usual)
    suiting = (each for each in candidates if each and world.port_is_free(each))
    return next(suiting, None) or world.free_port()


def _open(world: World, track: Track, machine: str, ports: Mapping[int, int]) -> None:
    """Open a machine's tunnel. Raises LabError."""
    forwards = [
        option
        for guest, host in ports.items()
        for option in ("-L", f"127.0.0.1:{host}:127.0.0.1:{guest}")
    ]
    options = ["-M", "-f", "-N", "-o", "ExitOnForwardFailure=yes", *ALIVE, *forwards]
    failure = _ssh(world, track, machine, *options)
    if failure:
        listed = ", ".join(str(host) for host in ports.values())
        raise LabError(
            f"cannot forward ports {listed}",
            where=machine,
            output=failure,
            next_step="run it again: it takes another port if a program uses one of these",
        )


def _ssh(world: World, track: Track, machine: str, *options: str) -> str:
    """Run the OpenSSH client on a machine's tunnel. Return why it failed; "" if it did not."""
    done = world.runner.run(
        ["ssh", "-F", str(world.state.ssh_config), "-S", _socket(machine), *options, machine],
        # A socket's path may have 107 characters at most, so ssh runs in the socket's folder.
        cwd=world.state.ssh,
        timeout=SSH_SECONDS * world.provider.time_factor,
        cancel=track.cancel,
    )
    return "" if done.code == 0 else done.stderr.strip() or f"exit code {done.code}"


def _socket(machine: str) -> str:
    return f"{machine}.tunnel"
