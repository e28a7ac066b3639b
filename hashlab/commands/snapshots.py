"""`hashlab snapshots`: list the snapshots of the lab."""

from __future__ import annotations

import sys

from hashlab.commands import READ_EXITS, TYPE_CHECKING, Command

if TYPE_CHECKING:
    from hashlab.run.execution import Options

COMMAND = Command(
    "List the snapshots of the lab.",
    text="Shows the name, time, size and machines of each snapshot.",
    examples=[("List the snapshots", "hashlab snapshots")],
    exits=READ_EXITS,
)


def run(options: Options) -> int:
    """Show the snapshots; it changes nothing, so it needs no lock."""
    import time

    from hashlab.documents import json_text
    from hashlab.errors import ExitCode, HashlabError
    from hashlab.phases.snapshots.listing import snapshots_document
    from hashlab.report import show_snapshots
    from hashlab.run import execution

    try:
        with options.opened() as world:
            document = snapshots_document(world)
    except HashlabError as error:
        return execution.fail(error, options)
    if options.json:
        print(json_text(document))
    else:
        show_snapshots(document, stream=sys.stdout, now=time.time())
    return ExitCode.OK
