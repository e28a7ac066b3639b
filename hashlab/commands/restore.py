"""`hashlab restore NAME`: bring the whole lab back to a snapshot."""

from __future__ import annotations

from hashlab.commands import RUN_EXITS, TYPE_CHECKING, Argument, Command

if TYPE_CHECKING:
    from hashlab.run.execution import Options

COMMAND = Command(
    "Bring the whole lab back to a snapshot.",
    text="Works whatever happened since, also after destroy. Your code stays as it is now: the "
    "application is built from it and started with the data of the snapshot. Container machines "
    "that are still those of the snapshot only get their data back.",
    examples=[("Go back", "hashlab restore before-migration")],
    exits=RUN_EXITS,
    arguments=[Argument("name", "Name of the snapshot.", complete="snapshot")],
    warm=True,
)


def run(options: Options, *, name: str) -> int:
    """Restore a snapshot."""
    from hashlab.run import execution, workflows

    return execution.run("restore", workflows.restore(name), options)
