"""`hashlab pull [SERVICE...]`: pull newer images of services on the laptop."""

from __future__ import annotations

from hashlab.commands import RUN_EXITS, TYPE_CHECKING, Argument, Command

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hashlab.phases.world import World
    from hashlab.run.execution import Options, Workflow

COMMAND = Command(
    "Pull newer images of services that are not built here.",
    text="The laptop's engine asks the registries for images that services only name, and needs no "
    "machine for that. The next `hashlab refresh` or `hashlab dev` brings those that changed to "
    "the machines, and replaces their containers.",
    examples=[
        ("Get newer images", "hashlab pull"),
        ("One service, and bring it", "hashlab pull db && hashlab refresh"),
    ],
    exits=RUN_EXITS,
    arguments=[Argument("service", "Only these services.", complete="service", many=True)],
    compose="It leaves alone images that are built here. If an image cannot be pulled, it tries "
    "the others too. It has none of its options.",
)


def run(options: Options, *, service: Sequence[str]) -> int:
    """Pull what registries have."""
    from dataclasses import replace

    from hashlab.run import execution, workflows
    from hashlab.run.services import services_of

    def plan(world: World) -> Sequence[Workflow]:
        return [workflows.pulling([each.name for each in services_of(world.lab, service)])]

    return execution.run("pull", plan, replace(options, services=tuple(service)))
