"""`hashlab logs`: show the logs of all services, or of a machine, in the order of time."""

from __future__ import annotations

from hashlab.commands import READING, TYPE_CHECKING, Argument, Command, Option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hashlab.run.execution import Options

COMMAND = Command(
    "Show the logs of all services in the order of time.",
    text="Reads the journals of the machines, so it also shows lines of containers that a refresh "
    "has replaced, and from before a restart. A line and its stack trace count as one. With "
    "--follow, a machine that goes away is reported, and followed again when it is back; Ctrl-C "
    "ends with exit code 0.",
    examples=[
        ("Show all lines, then new ones", "hashlab logs --follow"),
        ("Search the last ten minutes of two services", "hashlab logs user nginx --since 10m"),
        ("Show what was printed since the last refresh", "hashlab logs --since refresh"),
        ("Show the log of a machine's Docker Engine", "hashlab logs --machine web --unit docker"),
        ("Count errors by service", "hashlab logs --level error --json | jq -r .service | uniq -c"),
    ],
    exits=(0, 2, 3, 4, 130),
    arguments=[
        Argument("service", "Names of services; by default all.", complete="service", many=True)
    ],
    options=[
        Option("follow", "Show the last lines, then new ones until Ctrl-C.", short="f"),
        Option(
            "machine",
            "Show only lines of this machine.",
            short="m",
            value="MACHINE",
            complete="machine",
            many=True,
        ),
        Option(
            "since",
            "Begin so long ago (10m, 2h, 1d), at this time, or with the last change: refresh.",
            value="TIME",
        ),
        Option("until", "End so long ago, or at this time.", value="TIME"),
        Option("tail", "Show only the last lines, so many of all together.", value="N"),
        Option("grep", "Show only lines with this regular expression.", value="REGEX"),
        Option(
            "level",
            "Show only lines of this level and above: trace, debug, info, warn, error, fatal.",
            value="LEVEL",
        ),
        Option(
            "unit",
            "Show the log of this systemd unit of the machines, instead of services.",
            value="UNIT",
            many=True,
        ),
        Option("raw", "Print only the lines themselves; unchanged into a pipe or a file."),
        Option("json", "Print one JSON object a line.", short="j"),
    ],
    common=READING,
    compose="It shows the lines of replaced containers too. --tail counts the lines of all "
    "services together, --follow begins with the last 20. It has no --timestamps, which are always "
    "shown; --raw is its --no-log-prefix.",
)


def run(
    options: Options,
    *,
    service: Sequence[str],
    follow: bool,
    machine: Sequence[str],
    since: str,
    until: str,
    tail: str,
    grep: str,
    level: str,
    unit: Sequence[str],
    raw: bool,
) -> int:
    """Show log lines; it changes nothing, so it needs no lock."""
    from hashlab.logs.reading import read_logs

    return read_logs(
        options,
        raw=raw,
        words={
            "services": service,
            "machines": machine,
            "units": unit,
            "follow": follow,
            "since": since,
            "until": until,
            "tail": tail,
            "grep": grep,
            "level": level,
        },
    )
