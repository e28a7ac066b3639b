"""`hashlab exec SERVICE COMMAND`: run a command in a service's container."""

from __future__ import annotations

from hashlab.commands import READING, TYPE_CHECKING, Argument, Command, Option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hashlab.phases.world import World
    from hashlab.run.execution import Options

INDEX = Option("index", "Number of the replica, by default 1.", value="NUMBER")
USER = Option("user", "Run as this user of the container.", short="u", value="USER")
WORKDIR = Option("workdir", "Run in this folder of the container.", short="w", value="FOLDER")
ENV = Option("env", "Set a variable.", short="e", value="NAME=VALUE", many=True)
NO_TTY = Option("no-tty", "Give it no terminal.", short="T")

COMMAND = Command(
    "Run a command in a service's container.",
    text="Finds the machine of the service. The command has a terminal if hashlab has one, reads "
    "its input, and its exit code becomes that of hashlab. Options go before the service.",
    examples=[
        ("Open a shell", "hashlab exec web sh"),
        ("Load a dump", "hashlab exec --no-tty db psql shop < dump.sql"),
    ],
    exits=(0, 2, 3, 4, 130),
    arguments=[
        Argument("service", "Name of the service.", complete="service"),
        Argument("command", "The command and its arguments.", many=True, raw=True),
    ],
    options=[INDEX, USER, WORKDIR, ENV, NO_TTY],
    common=READING,
    compose="It has no --detach and no --privileged.",
)


def run(
    options: Options,
    *,
    service: str,
    command: Sequence[str],
    index: str,
    user: str,
    workdir: str,
    env: Sequence[str],
    no_tty: bool,
) -> int:
    """Run `docker exec` on the machine of the service, by SSH."""
    from hashlab.errors import UsageError
    from hashlab.run import execution
    from hashlab.run.openssh import attach, container_of, explain_container, on_terminal, remote

    if not command:
        example = f"hashlab exec {service} sh"
        return execution.fail(UsageError("the command is missing", next_step=example), options)
    terminal = not no_tty and on_terminal()
    flags = ["--interactive", *(["--tty"] if terminal else [])]
    flags += [f"--user={user}"] if user else []
    flags += [f"--workdir={workdir}"] if workdir else []
    flags += [f"--env={each}" for each in env]

    def choose(world: World) -> list[str]:
        machine, container = container_of(world, service, index)
        argv = ["docker", "exec", *flags, container, *command]
        return remote(machine, argv, terminal=terminal)

    code = attach(options, choose)
    # docker exec ends with 1 for a container that does not run, as many commands do by themselves.
    return explain_container(options, service, index) if code == 1 else code
