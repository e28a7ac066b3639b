"""`hashlab top`: show the lab in the terminal, live."""

from __future__ import annotations

from hashlab.commands import JSON, READING, TYPE_CHECKING, Command, Option

if TYPE_CHECKING:
    from hashlab.run.execution import Options

COMMAND = Command(
    "Show machines, services and logs in the terminal, live.",
    text="Keys: r refreshes, up and down choose a service, t restarts it, l shows only its log "
    "lines, s opens a shell in it, q or Ctrl-C quits. Into a pipe it prints the lab once. That "
    "ends with exit code 4 if something that should run does not.",
    examples=[
        ("Watch the lab", "hashlab top"),
        ("Print it once", "hashlab top --once"),
        ("Print what each service uses", "hashlab top --json | jq '.usage.services[]'"),
    ],
    exits=(0, 2, 3, 4, 130),
    options=[Option("once", "Print the lab once.")],
    common=(*READING, JSON),
)


def run(options: Options, *, once: bool) -> int:
    """Show the lab; it changes nothing, so it needs no lock."""
    from hashlab.ui.top import show_top

    return show_top(options, once=once)
