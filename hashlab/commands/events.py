"""`hashlab events`: show what happened to the lab."""

from __future__ import annotations

import sys

from hashlab.commands import READING, TYPE_CHECKING, Argument, Command, Option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hashlab.run.execution import Options

COMMAND = Command(
    "Show runs, changed and ended services, and lost machines.",
    text="Reads a record that outlives the machines. What happens by itself is noticed when "
    "hashlab observes the lab: by status, by this command with --follow, and by the stores of "
    "[observe]. Ctrl-C ends --follow with exit code 0.",
    examples=[
        ("Show everything that is recorded", "hashlab events"),
        ("Follow it", "hashlab events --follow"),
        ("Count how often each service has ended", "hashlab events --json | grep ended | wc -l"),
    ],
    exits=(0, 2, 3, 4, 130),
    arguments=[Argument("service", "Names of services; by default all events.", many=True)],
    options=[
        Option("follow", "Show the last events, then new ones until Ctrl-C.", short="f"),
        Option("tail", "Show only the last events, so many.", value="N"),
        Option("json", "Print one JSON object a line.", short="j"),
    ],
    common=READING,
)
# Events that --follow shows before it waits for new ones.
FOLLOW_TAIL = 10


def run(options: Options, *, service: Sequence[str], follow: bool, tail: str) -> int:
    """Show the recorded events, then perhaps new ones."""
    from hashlab.documents.events import LabEvent
    from hashlab.errors import ExitCode, HashlabError, UsageError
    from hashlab.phases.happened import read_events
    from hashlab.report import show_events
    from hashlab.run import execution
    from hashlab.run.following import follow_events
    from hashlab.run.labs import state_of

    def wanted(event: LabEvent) -> bool:
        return not service or event.service in service

    try:
        if tail and not tail.isdecimal():
            raise UsageError(f"--tail {tail}: not a number of events", next_step="--tail 10")
        recorded = read_events(state_of(options.lab))
        events = [event for _, event in recorded if wanted(event)]
        count = int(tail) if tail else FOLLOW_TAIL if follow else len(events)
        show_events(events[max(0, len(events) - count) :], sys.stdout, as_json=options.json)
        if not follow:
            return ExitCode.OK
        last = recorded[-1][0] if recorded else 0
        return follow_events(options, wanted, last=last)
    except HashlabError as error:
        return execution.fail(error, options)
