"""`hashlab restart [SERVICE...]`: stop services and start them again."""

from __future__ import annotations

from hashlab.commands import RUN_EXITS, TYPE_CHECKING, Argument, Command

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hashlab.phases.world import World
    from hashlab.run.execution import Options, Workflow

COMMAND = Command(
    "Stop services and start them again.",
    text="Ends the containers of these services, or of all that run, then does what `hashlab "
    "refresh` does. Replicas of a service are restarted in turn. Containers keep the files that "
    "they wrote, unless a change replaces them.",
    examples=[("Restart one service", "hashlab restart web")],
    exits=RUN_EXITS,
    arguments=[Argument("service", "Only these services.", complete="service", many=True)],
    warm=True,
    compose="It also brings changed files, and waits until the services are healthy. Without a "
    "name it leaves alone what `hashlab stop` stopped.",
)


def run(options: Options, *, service: Sequence[str]) -> int:
    """Stop services, then refresh, which restarts those with several replicas in turn."""
    from collections import Counter

    from hashlab.phases.stop import save_stopped
    from hashlab.run import execution, workflows
    from hashlab.run.services import services_of

    def plan(world: World) -> Sequence[Workflow]:
        chosen = {each.name: each.family for each in services_of(world.lab, service)}
        replicas = Counter[str]()
        for each in world.lab.services:
            replicas[each.family] += each.replicas
        in_turn = sorted(name for name, family in chosen.items() if replicas[family] > 1)
        others = sorted(chosen.keys() - in_turn)
        refresh = workflows.restarting(in_turn) if in_turn else workflows.REFRESH
        return [workflows.stopping(others), refresh] if others else [refresh]

    def begin(world: World) -> None:
        if service:
            names = {each.name for each in services_of(world.lab, service)}
            save_stopped(world, world.stopped() - names)

    return execution.run("restart", plan, options, begin=begin)
