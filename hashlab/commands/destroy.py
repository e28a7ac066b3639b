"""`hashlab destroy`: remove a lab's machines and its data."""

from __future__ import annotations

from hashlab.commands import RUN_EXITS, TYPE_CHECKING, Command, Option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hashlab.phases.world import World
    from hashlab.run.execution import Options, Workflow

COMMAND = Command(
    "Remove the lab's machines and data; snapshots stay.",
    text="Removes machines, volumes, networks, keys, secrets and stored logs of the lab, then "
    "checks that nothing is left. Hosts that are there already stay: only the lab's containers, "
    "networks and files go from them. On a terminal it asks first.",
    examples=[
        ("Remove the lab without a question", "hashlab destroy --yes"),
        ("Remove its box and images too", "hashlab destroy --box"),
    ],
    exits=RUN_EXITS,
    options=[
        Option("yes", "Do not ask, even on a terminal.", short="y"),
        Option("box", "Also remove the box and its images."),
        Option("volumes", "On hosts that are there already: also remove the lab's volumes."),
        Option("unprepare", "On hosts that are there already: also undo what init-box did."),
        Option("keep-observed", "Keep the logs and metrics that [observe] has stored."),
    ],
)


def run(
    options: Options,
    *,
    yes: bool,
    box: bool,
    keep_observed: bool,
    volumes: bool = False,
    unprepare: bool = False,
) -> int:
    """Remove the lab, and end its background process."""
    from contextlib import suppress

    from hashlab.daemon import client
    from hashlab.errors import HashlabError, UsageError
    from hashlab.run import execution, workflows
    from hashlab.run.asking import has_terminal
    from hashlab.run.labs import lab_folder

    if not yes and has_terminal():
        try:
            _confirm(options, box=box, volumes=volumes)
        except HashlabError as error:
            return execution.fail(error, options)

    def plan(world: World) -> Sequence[Workflow]:
        if world.provider.hosts is not None:
            return [
                workflows.destroying_on_hosts(
                    volumes=volumes, unprepare=unprepare, keep_observed=keep_observed
                )
            ]
        if volumes or unprepare:
            raise UsageError(
                f"--volumes and --unprepare are for hosts, not for provider {world.provider.name}",
                next_step="hashlab destroy removes the machines with everything on them",
            )
        return [workflows.destroying(box=box, keep_observed=keep_observed)]

    code = execution.run("destroy", plan, options)
    with suppress(HashlabError):  # the run has reported a lab that could not be opened
        client.stop(str(lab_folder(options.lab)))
    return code


def _confirm(options: Options, *, box: bool, volumes: bool) -> None:
    """Ask on the terminal. Raises Interrupted unless the answer is yes."""
    from hashlab.config.providers import HOSTS
    from hashlab.errors import Interrupted
    from hashlab.run.asking import confirmed
    from hashlab.run.labs import read_lab

    lab = read_lab(options.lab, options.provider)
    number = len(lab.machines)
    machines = f"{number} machine{'' if number == 1 else 's'}"
    if lab.provider == HOSTS:
        data = "with its data" if volumes else "but keep its volumes"
        names = ", ".join(machine.endpoint for machine in lab.machines)
        if not confirmed(f"Remove lab {lab.name} from {names}, {data}?"):
            raise Interrupted("not confirmed: nothing was deleted")
        return
    what = f"{machines}, its box and its data" if box else f"{machines} and its data"
    if not confirmed(f"Delete lab {lab.name} with {what}?"):
        raise Interrupted("not confirmed: nothing was deleted")
