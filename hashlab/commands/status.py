"""`hashlab status`: show the machines and services of the lab."""

from __future__ import annotations

import sys

from hashlab.commands import JSON, READING, TYPE_CHECKING, Command, Option

if TYPE_CHECKING:
    from hashlab.run.execution import Options

COMMAND = Command(
    "Show machines, services, builds and addresses.",
    text="Changes nothing. It ends with exit code 4 if something that should run does not, and "
    "with 0 if the lab does not exist or all its machines are stopped. A service is healthy since "
    "the time that is shown, as far as hashlab has looked. Ctrl-C ends --follow with exit code 0.",
    examples=[
        ("Show the lab", "hashlab status"),
        ("Watch it", "hashlab status --follow"),
        ("Compare what names lead to with what runs", "hashlab status --services"),
        ("Print the state of each service", "hashlab status --json | jq '.services[]'"),
    ],
    exits=(0, 2, 3, 4, 130),
    options=[
        Option(
            "follow",
            "Show each change until Ctrl-C; with --json, one document on each line.",
            short="f",
        ),
        Option("services", "Show where the name of each service leads to on each machine."),
    ],
    common=(*READING, JSON),
    warm=True,
    lasting="follow",
)


def run(options: Options, *, follow: bool, services: bool) -> int:
    """Show what the machines report; it changes nothing, so it needs no lock."""
    import time

    from hashlab.documents import json_text
    from hashlab.errors import ExitCode, HashlabError
    from hashlab.phases.lookups import lookups
    from hashlab.phases.status import status_document
    from hashlab.report import show_lookups, show_status
    from hashlab.run import execution
    from hashlab.run.following import follow_status

    if follow:
        return follow_status(options)
    try:
        with options.opened() as world, execution.unseen_step("status") as track:
            document = status_document(world, track)
            names = lookups(world, track) if services else None
    except HashlabError as error:
        return execution.fail(error, options)
    if names is not None:
        if options.json:
            print(json_text(names))
        else:
            show_lookups(names, stream=sys.stdout)
        return ExitCode.OK if names.ok else ExitCode.LAB
    if options.json:
        print(json_text(document))
    else:
        show_status(document, stream=sys.stdout, now=time.time())
    return ExitCode.OK if document.all_runs else ExitCode.LAB
