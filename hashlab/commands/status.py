"""`hashlab status`: show the machines and services of the lab."""

from __future__ import annotations

import sys

from hashlab.commands import JSON, READING, TYPE_CHECKING, Command

if TYPE_CHECKING:
    from hashlab.run.execution import Options

COMMAND = Command(
    "Show machines, services, builds and addresses.",
    text="Changes nothing. It ends with exit code 4 if something that should run does not, and "
    "with 0 if the lab does not exist or all its machines are stopped.",
    examples=[
        ("Show the lab", "hashlab status"),
        ("Print the state of each service", "hashlab status --json | jq '.services[]'"),
    ],
    exits=(0, 2, 3, 4, 130),
    common=(*READING, JSON),
    warm=True,
)


def run(options: Options) -> int:
    """Show what the machines report; it changes nothing, so it needs no lock."""
    import time

    from hashlab.documents import json_text
    from hashlab.errors import ExitCode, HashlabError
    from hashlab.phases.status import status_document
    from hashlab.report import show_status
    from hashlab.run import execution

    try:
        with options.opened() as world, execution.unseen_step("status") as track:
            document = status_document(world, track)
    except HashlabError as error:
        return execution.fail(error, options)
    if options.json:
        print(json_text(document))
    else:
        show_status(document, stream=sys.stdout, now=time.time())
    return ExitCode.OK if document.all_runs else ExitCode.LAB
