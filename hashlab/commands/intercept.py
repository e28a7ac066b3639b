"""`hashlab intercept SERVICE [-- COMMAND]`: a process on the laptop takes a service's place."""

from __future__ import annotations

from hashlab.commands import JSON, READING, TYPE_CHECKING, Argument, Command, Option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hashlab.run.execution import Options

COMMAND = Command(
    "Let a process on the laptop take the place of a service.",
    text="Stops the service in the lab. Others reach the process on the laptop by the service's "
    "names and ports; it reaches them by theirs, and gets the service's variables, secrets, "
    "configs and mounted files. With a command, it runs that and ends with its exit code. Without "
    "one it prints what an editor needs, and runs until Ctrl-C. Then, or when this laptop does not "
    "answer for ten seconds, the machine starts the service again. A refresh leaves it alone "
    "meanwhile.",
    examples=[
        ("Run a service from its sources", "hashlab intercept user -- mvn -q exec:java"),
        ("Start it in the editor", "hashlab intercept user"),
        ("Listen at another port of the laptop", "hashlab intercept user --port 8080=9090"),
        ("Take the place of one replica", "hashlab intercept qa --replica 1"),
    ],
    exits=(0, 2, 3, 4, 5, 130),
    arguments=[
        Argument("service", "The service."),
        Argument("command", "Behind --: the command and its arguments.", many=True),
    ],
    options=[
        Option(
            "port",
            "PORT or PORT=LAPTOPPORT, several with commas between: ports of the service, by "
            "default all on which it listens.",
            value="PORT",
        ),
        Option(
            "replica",
            "Take the place of this replica only, counted from 1 over all machines; the others "
            "go on.",
            value="NUMBER",
        ),
        Option(
            "mode",
            "How names of services reach the process: namespace (every program; Linux), jvm, or "
            "socks (programs that use a proxy). By default the best that works here.",
            value="MODE",
            choices=("namespace", "jvm", "socks"),
        ),
    ],
    common=(*READING, JSON),
)


def run(
    options: Options,
    *,
    service: str,
    command: Sequence[str],
    port: str,
    replica: str,
    mode: str,
) -> int:
    """Intercept a service; it takes the lab's lock only while it begins."""
    from hashlab.run.intercept_plan import Wish
    from hashlab.run.intercepting import intercept

    wish = Wish(service, tuple(port.split(",")) if port else (), replica, mode)
    return intercept(options, wish, command=command)
