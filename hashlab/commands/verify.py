"""`hashlab verify`: prove that the lab runs what was built."""

from __future__ import annotations

from hashlab.commands import RUN_EXITS, TYPE_CHECKING, Command

if TYPE_CHECKING:
    from hashlab.run.execution import Options

COMMAND = Command(
    "Prove that the lab runs what was built, and test it.",
    text="Reads the build of each container from inside it, then runs "
    "the verify command of hashlab.toml. It changes nothing by itself.",
    examples=[("Check the running lab", "hashlab verify")],
    exits=RUN_EXITS,
    warm=True,
)


def run(options: Options) -> int:
    """Verify the lab."""
    from hashlab.run import execution, workflows

    return execution.run("verify", workflows.VERIFY, options)
