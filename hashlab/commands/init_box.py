"""`hashlab init-box`: build the base box and register it with Vagrant."""

from __future__ import annotations

from hashlab.commands import RUN_EXITS, TYPE_CHECKING, Command

if TYPE_CHECKING:
    from hashlab.run.execution import Options

COMMAND = Command(
    "Build the base box of all machines, with all images inside.",
    text="The box holds a minimal operating system, Docker and the images of compose.yaml. It is "
    "skipped while nothing that goes into the box has changed.",
    examples=[("Build the box of the nearest lab", "hashlab init-box")],
    exits=RUN_EXITS,
)


def run(options: Options) -> int:
    """Build the box."""
    from hashlab.run import execution, workflows

    return execution.run("init-box", workflows.INIT_BOX, options)
