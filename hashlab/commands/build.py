"""`hashlab build [SERVICE...]`: build images on the laptop."""

from __future__ import annotations

from hashlab.commands import RUN_EXITS, TYPE_CHECKING, Argument, Command

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hashlab.phases.world import World
    from hashlab.run.execution import Options, Workflow

COMMAND = Command(
    "Build the images of services whose files changed.",
    text="Builds artifacts and images on the laptop, and needs no machine. The next `hashlab "
    "refresh` or `hashlab dev` brings the images to the machines, and would have built them too.",
    examples=[("See if an image builds", "hashlab build web")],
    exits=RUN_EXITS,
    arguments=[Argument("service", "Only these services.", complete="service", many=True)],
    compose="It leaves alone images whose files did not change. It has no --no-cache, no --push.",
)


def run(options: Options, *, service: Sequence[str]) -> int:
    """Build what changed."""
    from dataclasses import replace

    from hashlab.run import execution, workflows
    from hashlab.run.services import services_of

    def plan(world: World) -> Sequence[Workflow]:
        return [workflows.building([each.name for each in services_of(world.lab, service)])]

    return execution.run("build", plan, replace(options, services=tuple(service)))
