"""`hashlab debug SERVICE`: bring the port of a service's debugger to the laptop."""

from __future__ import annotations

from hashlab.commands import JSON, READING, TYPE_CHECKING, Argument, Command, Option

if TYPE_CHECKING:
    from hashlab.run.execution import Options

COMMAND = Command(
    "Bring the debugger's port of a service to 127.0.0.1.",
    text="It runs until Ctrl-C, and then ends with exit code 0. For a JVM, Python, Node or Go: the "
    "label hashlab.debug of the service says how its debugger is called, where it listens in the "
    "container, and where its sources are. Prints what VS Code and IntelliJ need to attach. "
    "--write puts it into .vscode/launch.json and .run/, of which it changes nothing else. No port "
    "is published, and no other container reaches it. While a debugger is attached, refresh does "
    "not replace the service.",
    examples=[
        ("Attach an editor to a service", "hashlab debug user"),
        ("Write the attach configuration", "hashlab debug user --write"),
    ],
    exits=(0, 2, 3, 4),
    arguments=[Argument("service", "The service.")],
    options=[
        Option(
            "port",
            "Port of the laptop, by default the debugger's; if it is not free, another is taken "
            "and reported.",
            value="PORT",
        ),
        Option("write", "Write the attach configuration instead of printing it."),
    ],
    common=(*READING, JSON),
)


def run(options: Options, *, service: str, port: str, write: bool) -> int:
    """Forward the port; it changes nothing in the lab, so it needs no lock."""
    from hashlab.run.debugging import debug

    return debug(options, service, port=port, save=write)
