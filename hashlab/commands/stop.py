"""`hashlab stop [SERVICE...]`: stop services until they are started again."""

from __future__ import annotations

from hashlab.commands import RUN_EXITS, TYPE_CHECKING, Argument, Command

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hashlab.phases.world import World
    from hashlab.run.execution import Options, Workflow

COMMAND = Command(
    "Stop services; they stay so until start or dev.",
    text="Ends the containers of these services, or of all, those first that no other needs. "
    "Containers, volumes and machines stay. Refresh and watch leave the services stopped, and run "
    "neither seed nor verify meanwhile.",
    examples=[("Stop one service", "hashlab stop web"), ("Stop all of them", "hashlab stop")],
    exits=RUN_EXITS,
    arguments=[Argument("service", "Only these services.", complete="service", many=True)],
    warm=True,
    compose="What it stopped stays stopped through refresh and watch. Its name still leads to an "
    "address, at which nothing answers. The time to end is "
    "stop_grace_period; it has no --timeout.",
)


def run(options: Options, *, service: Sequence[str]) -> int:
    """Save which services are stopped, and stop them."""
    from hashlab.phases.stop import save_stopped
    from hashlab.run import execution, workflows
    from hashlab.run.services import services_of

    def names(world: World) -> list[str]:
        return [each.name for each in services_of(world.lab, service)]

    def plan(world: World) -> Sequence[Workflow]:
        return [workflows.stopping(names(world))]

    def begin(world: World) -> None:
        save_stopped(world, {*names(world), *world.stopped()})

    return execution.run("stop", plan, options, begin=begin)
