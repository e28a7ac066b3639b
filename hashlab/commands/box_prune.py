"""`hashlab box prune`: remove the boxes that no lab uses."""

from __future__ import annotations

from hashlab.commands import RUN_EXITS, TYPE_CHECKING, Command, Option

if TYPE_CHECKING:
    from hashlab.run.execution import Options

COMMAND = Command(
    "Remove the boxes that no lab uses.",
    text="Also removes what image builds of labs that no longer exist have left.",
    examples=[("Show what would be removed", "hashlab box prune --plan")],
    exits=RUN_EXITS,
    options=[Option("plan", "Show what would be removed, and remove nothing.")],
)


def run(options: Options, *, plan: bool) -> int:
    """Remove unused boxes."""
    from hashlab.run import execution, workflows

    return execution.run("box-prune", workflows.box_prune(plan=plan), options)
