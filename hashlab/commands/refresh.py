"""`hashlab refresh`: bring what you edited to the running lab."""

from __future__ import annotations

from hashlab.commands import RUN_EXITS, TYPE_CHECKING, Command

if TYPE_CHECKING:
    from hashlab.run.execution import Options

COMMAND = Command(
    "Bring your edits to the running lab, and prove that it runs.",
    text="Builds, uploads and restarts only what changed. It then "
    "reads back from inside each container which build it runs; a difference is a failure.",
    examples=[
        ("Bring an edit to the lab", "hashlab refresh"),
        ("Use the result in a script", "hashlab refresh --json | jq .ok"),
    ],
    exits=RUN_EXITS,
    warm=True,
)


def run(options: Options) -> int:
    """Refresh the lab."""
    from hashlab.run import execution, workflows

    return execution.run("refresh", workflows.REFRESH, options)
