"""Runs OpenSSH's client on a machine, and commands in containers with it."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Sequence

from hashlab.errors import ExitCode, HashlabError, LabError, UsageError
from hashlab.phases.connect import is_located, reconnect, renew_ssh_files
from hashlab.phases.containers.body import replica_names
from hashlab.phases.containers.missing import check_container
from hashlab.phases.containers.oneoff import tidy
from hashlab.phases.world import World
from hashlab.run.execution import Options, fail, unseen_step
from hashlab.run.services import services_of
from hashlab.run.signals import terminating
from hashlab.state.files import is_file

CONNECT_SECONDS = 5
# A connection that is cut off without a word is noticed after three of these.
ALIVE_SECONDS = 5


def attach(options: Options, choose: Callable[[World], Sequence[str]]) -> int:
    """Run OpenSSH's client with the lab's configuration; its exit code becomes ours.

    ``choose`` returns its words: options, "--", the machine and perhaps a command.
    """
    try:
        with options.opened() as world:
            words = choose(world)
            if is_file(world.state.machines):
                renew_ssh_files(world)
            else:
                _connect(world)
    except HashlabError as error:
        return fail(error, options)
    argv = ["ssh", "-F", str(world.state.ssh_config), *words]
    return os.spawnvp(os.P_WAIT, "ssh", argv)  # noqa: S606 - the user's own shell and command


def explain_container(options: Options, service: str, index: str) -> int:
    """Return 1, the exit code of a command in a container, unless the container does not run: then
    say so.
    """
    try:
        with options.opened() as world, unseen_step("exec") as track:
            machine, container = container_of(world, service, index)
            reconnect(world, track, machine)
            check_container(world, machine, container, runs=True)
    except HashlabError as error:
        return fail(error, options)
    return 1


def _connect(world: World) -> None:
    """Ask the provider for the machines' endpoints, and save the answer."""
    with unseen_step("connect") as track:
        for name in world.machine_names():
            reconnect(world, track, name)


def attach_one_off(
    options: Options, make: Callable[[World], tuple[str, str]], *, terminal: bool
) -> int:
    """Start the container that ``make`` creates, with our input and output; its exit code becomes
    ours. ``make`` returns its machine and its name.

    A container that did not start is removed; after Ctrl-C, one that runs is stopped.
    """
    made: list[tuple[str, str]] = []

    def choose(world: World) -> list[str]:
        made.append(make(world))
        machine, container = made[0]
        start = ["docker", "start", "--attach", "--interactive", container]
        return remote(machine, start, terminal=terminal)

    try:
        with terminating():
            code = attach(options, choose)
    except KeyboardInterrupt:
        code = ExitCode.INTERRUPTED
    if code != ExitCode.OK and made:
        _tidy(options, *made[0], stop=code == ExitCode.INTERRUPTED)
    return code


def _tidy(options: Options, machine: str, container: str, *, stop: bool) -> None:
    try:
        with options.opened() as world, unseen_step("tidy") as track:
            tidy(world, track, machine, container, stop=stop)
    except HashlabError as error:
        fail(error, options)


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


def check_machines(world: World) -> None:
    """Raise LabError if the lab has no machines; renew OpenSSH's files of those it knows."""
    if any(is_located(world, name) for name in world.machine_names()):
        renew_ssh_files(world)
    elif not world.provider.machines.observe_all(world.lab):
        raise LabError(f"lab {world.lab.name} has no machines", next_step="hashlab dev")


def lasting(world: World, machine: str, program: str, options: Sequence[str] = ()) -> list[str]:
    """Return the words of OpenSSH's client for a program on a machine that may run for hours.
    ``program``: one command line for the shell there; ``options``: more words of the client.
    """
    settings = {
        "ConnectTimeout": int(CONNECT_SECONDS * world.provider.time_factor),
        "ServerAliveInterval": ALIVE_SECONDS,
        "ServerAliveCountMax": 3,
    }
    return [
        *("ssh", "-F", str(world.state.ssh_config)),
        *(word for name, value in settings.items() for word in ("-o", f"{name}={value}")),
        *options,
        *("--", machine, program),
    ]


def container_of(world: World, service: str, index: str) -> tuple[str, str]:
    """Return the machine and the name of a service's replica. ``index``: counted from 1 over all
    of its machines, "" is the first. Raises UsageError.
    """
    found = services_of(world.lab, [service])
    replicas = [(each.machine, n) for each in found for n in replica_names(world.lab, each)]
    number = index or "1"
    if not number.isdecimal() or not 1 <= int(number) <= len(replicas):
        raise UsageError(
            f"service {service} has no replica {number}",
            next_step=f"its replicas are numbered from 1 to {len(replicas)}",
        )
    return replicas[int(number) - 1]
