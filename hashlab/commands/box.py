"""`hashlab box`: list the boxes of this laptop."""

from __future__ import annotations

import sys

from hashlab.commands import READ_EXITS, TYPE_CHECKING, Command

if TYPE_CHECKING:
    from hashlab.run.execution import Options

COMMAND = Command(
    "List the boxes of this laptop.",
    text="Shows of each box its recipe, size, contents, age, and which machines use it.",
    examples=[
        ("List the boxes", "hashlab box"),
        (
            "Print the boxes that no machine uses",
            "hashlab box --json | jq '.boxes[] | select(.machines == [])'",
        ),
    ],
    exits=READ_EXITS,
)


def run(options: Options) -> int:
    """Show the boxes; it changes nothing, so it needs no lock."""
    import time

    from hashlab.documents import json_text
    from hashlab.errors import ExitCode, HashlabError
    from hashlab.phases.boxes.listing import box_document
    from hashlab.report import show_boxes
    from hashlab.run import execution

    try:
        with options.opened() as world:
            document = box_document(world)
    except HashlabError as error:
        return execution.fail(error, options)
    if options.json:
        print(json_text(document))
    else:
        show_boxes(document, stream=sys.stdout, now=time.time())
    return ExitCode.OK
