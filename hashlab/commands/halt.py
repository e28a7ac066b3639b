"""`hashlab halt`: switch the machines off."""

from __future__ import annotations

from hashlab.commands import RUN_EXITS, TYPE_CHECKING, Command

if TYPE_CHECKING:
    from hashlab.run.execution import Options

COMMAND = Command(
    "Switch the machines off; all data stay.",
    text="Containers get their time to end, disks are written, then the machines lose their power. "
    "`hashlab start` or `hashlab dev` boots them again, with what they held.",
    examples=[("Free the laptop's processor and memory", "hashlab halt")],
    exits=RUN_EXITS,
)


def run(options: Options) -> int:
    """Switch all machines off."""
    from hashlab.run import execution, workflows

    return execution.run("halt", workflows.HALT, options)
