"""`hashlab suspend`: freeze the machines."""

from __future__ import annotations

from hashlab.commands import RUN_EXITS, TYPE_CHECKING, Command

if TYPE_CHECKING:
    from hashlab.run.execution import Options

COMMAND = Command(
    "Freeze the machines at once; they take no processor.",
    text="All processes of the machines stop where they are and keep their memory. "
    "`hashlab resume` lets them go on within seconds. To free the memory too: `hashlab halt`.",
    examples=[("Have the laptop's processor for something else", "hashlab suspend")],
    exits=RUN_EXITS,
)


def run(options: Options) -> int:
    """Suspend all machines."""
    from hashlab.run import execution, workflows

    return execution.run("suspend", workflows.SUSPEND, options)
