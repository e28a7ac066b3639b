"""`hashlab snapshot NAME`: save all machines as they are at one point in time."""

from __future__ import annotations

from hashlab.commands import RUN_EXITS, TYPE_CHECKING, Argument, Command

if TYPE_CHECKING:
    from hashlab.run.execution import Options

COMMAND = Command(
    "Save all machines at one point in time, with the data.",
    text="The machines pause for about a second. A snapshot stays when the lab is destroyed.",
    examples=[("Save the lab before a risky step", "hashlab snapshot before-migration")],
    exits=RUN_EXITS,
    arguments=[Argument("name", "Name of the new snapshot.")],
    warm=True,
)


def run(options: Options, *, name: str) -> int:
    """Take a snapshot."""
    from hashlab.run import execution, workflows

    return execution.run("snapshot", workflows.snapshot(name), options)
