"""`hashlab config`: show the lab as hashlab reads it, in Compose's shape."""

from __future__ import annotations

import sys

from hashlab.commands import JSON, READ_EXITS, READING, TYPE_CHECKING, Command

if TYPE_CHECKING:
    from hashlab.run.execution import Options

COMMAND = Command(
    "Show the files as read, in Compose's shape.",
    text="Prints what `docker compose config` prints: variables, env files and short forms are "
    "resolved. Each service's machine, the machines and the notes are under x-hashlab. The content "
    "of secrets is not shown; variables of the environment are. It needs no machine.",
    examples=[
        ("Show everything", "hashlab config"),
        ("Which machine runs what", "hashlab config --json | jq '.services[].\"x-hashlab\"'"),
    ],
    exits=READ_EXITS,
    common=(*READING, JSON),
    compose="It adds the machines and the notes under x-hashlab, and has --json for --format json.",
)


def run(options: Options) -> int:
    """Print the lab's files as they are read; nothing is contacted."""
    import json

    from hashlab.config.compose.resolved import resolved
    from hashlab.config.fronts.making import without_fronts
    from hashlab.errors import ExitCode, HashlabError
    from hashlab.report.resolved import show_resolved
    from hashlab.run import execution
    from hashlab.run.labs import read_lab

    try:
        shape = resolved(without_fronts(read_lab(options.lab, options.provider)))
    except HashlabError as error:
        return execution.fail(error, options)
    if options.json:
        print(json.dumps(shape, indent=2))
    else:
        show_resolved(shape, stream=sys.stdout)
    return ExitCode.OK
