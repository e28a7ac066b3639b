"""`hashlab resume`: let suspended machines go on."""

from __future__ import annotations

from hashlab.commands import RUN_EXITS, TYPE_CHECKING, Command

if TYPE_CHECKING:
    from hashlab.run.execution import Options

COMMAND = Command(
    "Let suspended machines go on.",
    text="Waits until services find each other again. `hashlab verify` proves what runs; "
    "`hashlab dev` resumes machines as well.",
    examples=[("Go on after hashlab suspend", "hashlab resume")],
    exits=RUN_EXITS,
)


def run(options: Options) -> int:
    """Resume all machines."""
    from hashlab.run import execution, workflows

    return execution.run("resume", workflows.RESUME, options)
