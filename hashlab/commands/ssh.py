"""`hashlab ssh MACHINE`: open a shell on a machine."""

from __future__ import annotations

import os

from hashlab.commands import READING, TYPE_CHECKING, Argument, Command, Option

if TYPE_CHECKING:
    from hashlab.phases.world import World
    from hashlab.run.execution import Options

COMMAND = Command(
    "Open a shell on a machine.",
    text="Uses OpenSSH's client and ends with its exit code.",
    examples=[
        ("Open a shell", "hashlab ssh broker"),
        ("Run one command", 'hashlab ssh broker --command "docker ps"'),
    ],
    exits=(0, 2, 3, 4, 130),
    arguments=[Argument("machine", "Name of the machine.", complete="machine")],
    options=[
        Option("command", "Run this instead of a shell.", short="c", value="COMMAND"),
    ],
    common=READING,
)


def run(options: Options, *, machine: str, command: str) -> int:
    """Run an OpenSSH client on a machine; its exit code becomes ours."""
    from hashlab.errors import HashlabError, UsageError
    from hashlab.phases.connect import renew_ssh_files
    from hashlab.run import execution
    from hashlab.state.files import is_file

    try:
        world = options.world()
        if machine not in world.machine_names():
            known = ", ".join(world.machine_names())
            raise UsageError(
                f"lab {world.lab.name} has no machine {machine!r}", next_step=f"one of: {known}"
            )
        if is_file(world.state.machines):
            renew_ssh_files(world)
        else:
            _connect(world)
        world.close()
    except HashlabError as error:
        return execution.fail(error, options)
    # OpenSSH takes options even behind the machine's name, but none behind "--".
    argv = ["ssh", "-F", str(world.state.ssh_config), "--", machine]
    argv += [command] if command else []
    return os.spawnvp(os.P_WAIT, "ssh", argv)  # noqa: S606 - the user's own shell and command


def _connect(world: World) -> None:
    """Ask the provider for the machines' endpoints, and save the answer."""
    from hashlab.phases.connect import reconnect
    from hashlab.pipeline import CancelToken, Recorder
    from hashlab.report import Silent

    with Recorder(Silent(), CancelToken()).step("connect") as track:
        for name in world.machine_names():
            reconnect(world, track, name)
