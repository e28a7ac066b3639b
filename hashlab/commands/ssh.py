"""`hashlab ssh MACHINE`: open a shell on a machine."""

from __future__ import annotations

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
    from hashlab.errors import UsageError
    from hashlab.run.openssh import attach

    def choose(world: World) -> list[str]:
        if machine not in world.machine_names():
            known = ", ".join(world.machine_names())
            raise UsageError(
                f"lab {world.lab.name} has no machine {machine!r}", next_step=f"one of: {known}"
            )
        # OpenSSH takes options even behind the machine's name, but none behind "--".
        return ["--", machine, *([command] if command else [])]

    return attach(options, choose)
