"""`hashlab seed`: load the sample data that are missing."""

from __future__ import annotations

from hashlab.commands import RUN_EXITS, TYPE_CHECKING, Command

if TYPE_CHECKING:
    from hashlab.run.execution import Options

COMMAND = Command(
    "Load the sample data that are missing.",
    text="Runs the seed command of hashlab.toml against the running lab.",
    examples=[("Load the sample data", "hashlab seed")],
    exits=RUN_EXITS,
    warm=True,
)


def run(options: Options) -> int:
    """Load the sample data."""
    from hashlab.run import execution, workflows

    return execution.run("seed", workflows.SEED, options)
