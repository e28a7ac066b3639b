"""`hashlab start [SERVICE...]`: start what was stopped."""

from __future__ import annotations

from hashlab.commands import RUN_EXITS, TYPE_CHECKING, Argument, Command

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hashlab.phases.world import World
    from hashlab.run.execution import Options, Workflow

COMMAND = Command(
    "Start what was stopped: services, or the whole lab.",
    text="Without a name it does what `hashlab dev` does: boots machines that are off, then starts "
    "all services. With names it starts these services, and does what `hashlab refresh` does.",
    examples=[
        ("Go on after halt, or after a restart of the laptop", "hashlab start"),
        ("Start one service again", "hashlab start web"),
    ],
    exits=RUN_EXITS,
    arguments=[Argument("service", "Only these services.", complete="service", many=True)],
    compose="It also makes containers that are missing, brings changed files, and waits until the "
    "services are healthy.",
)


def run(options: Options, *, service: Sequence[str]) -> int:
    """Forget that services were stopped, and bring them up."""
    from hashlab.commands.dev import bring_up
    from hashlab.phases.stop import save_stopped
    from hashlab.run import execution, workflows
    from hashlab.run.services import services_of

    def plan(world: World) -> Sequence[Workflow]:
        services_of(world.lab, service)
        return [workflows.REFRESH] if service else bring_up(world)

    def begin(world: World) -> None:
        named = {each.name for each in services_of(world.lab, service)}
        save_stopped(world, world.stopped() - named if service else ())

    return execution.run("start", plan, options, begin=begin)
