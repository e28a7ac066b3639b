"""`hashlab down`: remove containers and networks; machines and data stay."""

from __future__ import annotations

from hashlab.commands import RUN_EXITS, TYPE_CHECKING, Command, Option, destroy

if TYPE_CHECKING:
    from hashlab.phases.world import World
    from hashlab.run.execution import Options

COMMAND = Command(
    "Remove containers and networks; machines and data stay.",
    text="Data in named volumes stay, other files that containers wrote go with them. The services "
    "stay stopped until `hashlab start` or `hashlab dev`. With --volumes it does what `hashlab "
    "destroy` does: machines and data go.",
    examples=[
        ("Remove the containers", "hashlab down"),
        ("Remove everything", "hashlab down --volumes"),
    ],
    exits=RUN_EXITS,
    options=[
        Option("volumes", "Remove machines and data too: hashlab destroy."),
        Option("yes", "Do not ask, even on a terminal.", short="y"),
    ],
    compose="Machines stay. --volumes removes them too, and asks first on a terminal.",
)


def _on_hosts(options: Options) -> bool:
    """Return whether volumes are left when the machines are: on hosts. A lab whose files cannot be
    read is reported later.
    """
    from hashlab.config.providers import HOSTS
    from hashlab.errors import HashlabError
    from hashlab.run.labs import read_lab

    try:
        return read_lab(options.lab, options.provider).provider == HOSTS
    except HashlabError:
        return False


def run(options: Options, *, volumes: bool, yes: bool) -> int:
    """Remove the containers, or the lab."""
    from hashlab.phases.stop import save_stopped
    from hashlab.run import execution, workflows

    if volumes:
        on_hosts = _on_hosts(options)
        return destroy.run(options, yes=yes, box=False, keep_observed=False, volumes=on_hosts)

    def begin(world: World) -> None:
        save_stopped(world, (service.name for service in world.lab.services))

    return execution.run("down", workflows.DOWN, options, begin=begin)
