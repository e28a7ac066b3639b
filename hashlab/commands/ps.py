"""`hashlab ps`: list the containers of the services."""

from __future__ import annotations

import sys

from hashlab.commands import JSON, READING, TYPE_CHECKING, Argument, Command, Option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hashlab.run.execution import Options

COMMAND = Command(
    "List the containers of the services.",
    text="Shows what the engines of the machines report, and changes nothing. `hashlab status` "
    "also compares it with the files.",
    examples=[
        ("List what runs", "hashlab ps"),
        ("One service, also what has ended", "hashlab ps --all web"),
    ],
    exits=(0, 2, 3, 4, 130),
    arguments=[Argument("service", "Only these services.", complete="service", many=True)],
    options=[Option("all", "Also list containers that do not run, and those of run.", short="a")],
    common=(*READING, JSON),
    warm=True,
    compose="It shows the machine in place of the command, and the addresses on the laptop. It has "
    "--json for --format json.",
)


def run(options: Options, *, service: Sequence[str], all: bool) -> int:
    """Show the containers; it changes nothing, so it needs no lock."""
    import time

    from hashlab.documents import json_text
    from hashlab.documents.ps import Containers
    from hashlab.errors import ExitCode, HashlabError
    from hashlab.phases.ps import list_containers
    from hashlab.report import show_containers
    from hashlab.run import execution
    from hashlab.run.services import services_of

    try:
        with options.opened() as world, execution.unseen_step("ps") as track:
            wanted = {each.name for each in services_of(world.lab, service)}
            containers = list_containers(world, track, one_off=all)
    except HashlabError as error:
        return execution.fail(error, options)
    shown = (each for each in containers if each.service in wanted)
    document = Containers(
        world.lab.name, tuple(each for each in shown if all or each.state == "running")
    )
    if options.json:
        print(json_text(document))
    else:
        show_containers(document, stream=sys.stdout, now=time.time())
    return ExitCode.OK
