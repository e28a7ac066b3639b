"""`hashlab snapshots prune NAME`: remove a snapshot."""

from __future__ import annotations

from hashlab.commands import RUN_EXITS, TYPE_CHECKING, Argument, Command

if TYPE_CHECKING:
    from hashlab.run.execution import Options

COMMAND = Command(
    "Remove a snapshot.",
    text="Also removes what is left of a snapshot that is broken or was interrupted.",
    examples=[("Remove one snapshot", "hashlab snapshots prune before-migration")],
    exits=RUN_EXITS,
    arguments=[Argument("name", "Name of the snapshot.", complete="snapshot")],
)


def run(options: Options, *, name: str) -> int:
    """Remove a snapshot."""
    from hashlab.run import execution, workflows

    return execution.run("remove-snapshot", workflows.remove_snapshot(name), options)
