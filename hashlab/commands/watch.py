"""`hashlab watch`: refresh the lab at each save."""

from __future__ import annotations

from hashlab.commands import READING, RUN_EXITS, TYPE_CHECKING, VERBOSE, Command, Option

if TYPE_CHECKING:
    from hashlab.run.execution import Options

COMMAND = Command(
    "Refresh at each save, until Ctrl-C.",
    text="Shows one line for each refresh: how long it took from the save to the proof, and which "
    "files it was about. Ctrl-C while it waits ends with exit code 0, during a refresh with 130.",
    examples=[
        ("Refresh while you edit", "hashlab watch"),
        ("Show what the services print, too", "hashlab watch --logs"),
    ],
    exits=RUN_EXITS,
    options=[
        Option("logs", "Show new log lines of all services between the refreshes."),
        Option("json", "Print one JSON document, on one line, for each refresh.", short="j"),
    ],
    common=(*READING, VERBOSE),
)


def run(options: Options, *, logs: bool) -> int:
    """Watch the lab's files until Ctrl-C."""
    from hashlab.watch import loop

    return loop.watch(options, logs=logs)
