"""Runs OpenSSH's client on a machine, and commands in containers with it."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Sequence

from hashlab.errors import HashlabError, UsageError
from hashlab.phases.connect import reconnect, renew_ssh_files
from hashlab.phases.containers.phase import replica_names
from hashlab.phases.world import World
from hashlab.pipeline import CancelToken, Recorder
from hashlab.report import Silent
from hashlab.run.execution import Options, fail
from hashlab.run.services import services_of
from hashlab.state.files import is_file


def attach(options: Options, choose: Callable[[World], Sequence[str]]) -> int:
    """Run OpenSSH's client with the lab's configuration; its exit code becomes ours.

    ``choose`` returns its words: options, "--", the machine and perhaps a command.
    """
    try:
        world = options.world()
        words = choose(world)
        if is_file(world.state.machines):
            renew_ssh_files(world)
        else:
            _connect(world)
        world.close()
    except HashlabError as error:
        return fail(error, options)
    argv = ["ssh", "-F", str(world.state.ssh_config), *words]
    return os.spawnvp(os.P_WAIT, "ssh", argv)  # noqa: S606 - the user's own shell and command


def _connect(world: World) -> None:
    """Ask the provider for the machines' endpoints, and save the answer."""
    with Recorder(Silent(), CancelToken()).step("connect") as track:
        for name in world.machine_names():
            reconnect(world, track, name)


def on_terminal() -> bool:
    """True if a person types into this process and sees what it prints."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def remote(machine: str, argv: Sequence[str], *, terminal: bool) -> list[str]:
    """Return the words of OpenSSH's client for a command on a machine. ``terminal``: the command
    gets one.
    """
    # Otherwise the client reports at its end that a connection was closed.
    quiet = ["-o", "LogLevel=ERROR"]
    return [*(["-t"] if terminal else ["-T"]), *quiet, "--", machine, shlex.join(argv)]


def container_of(world: World, service: str, index: str) -> tuple[str, str]:
    """Return the machine and the name of a service's replica. ``index``: counted from 1, "" is the
    first. Raises UsageError.
    """
    found = services_of(world.lab, [service])[0]
    names = replica_names(world.lab, found)
    number = index or "1"
    if not number.isdecimal() or not 1 <= int(number) <= len(names):
        raise UsageError(
            f"service {service} has no replica {number}",
            next_step=f"its replicas are numbered from 1 to {len(names)}",
        )
    return found.machine, names[int(number) - 1]
