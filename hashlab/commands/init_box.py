"""`hashlab init-box`: build the base box and register it with Vagrant, or prepare hosts."""

from __future__ import annotations

from hashlab.commands import RUN_EXITS, TYPE_CHECKING, Command, Option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hashlab.protocols import HostPlan
    from hashlab.run.execution import Options

COMMAND = Command(
    "Build the base box of all machines, with all images inside.",
    text="The box holds a minimal operating system, Docker and the images of compose.yaml. It is "
    "skipped while nothing that goes into the box has changed. Hosts that are there already have "
    "no box: they are prepared, after a question on a terminal. A second run changes nothing.",
    examples=[
        ("Build the box of the nearest lab", "hashlab init-box"),
        ("Show what it would do to hosts", "hashlab init-box --provider hosts --plan"),
    ],
    exits=RUN_EXITS,
    options=[
        Option("plan", "Only show what would change on hosts."),
        Option("yes", "Do not ask, even on a terminal.", short="y"),
    ],
)


def run(options: Options, *, plan: bool, yes: bool) -> int:
    """Build the box, or prepare the hosts."""
    from hashlab.config.providers import HOSTS
    from hashlab.errors import ExitCode, HashlabError, UsageError
    from hashlab.run import execution, workflows
    from hashlab.run.labs import read_lab

    try:
        on_hosts = read_lab(options.lab, options.provider).provider == HOSTS
        if plan and not on_hosts:
            raise UsageError(
                "--plan: only hosts that are there already are prepared step by step",
                next_step="without it: hashlab init-box",
            )
        if not on_hosts:
            return execution.run("init-box", workflows.INIT_BOX, options)
        plans = _plans(options)
        _show(plans, options)
        if plan:
            return ExitCode.OK
        _confirm(plans, yes=yes)
    except HashlabError as error:
        return execution.fail(error, options)
    return execution.run("init-box", workflows.PREPARE_HOSTS, options)


def _plans(options: Options) -> Sequence[HostPlan]:
    """Ask the hosts, and change nothing. Raises HashlabError."""
    with options.opened() as world:
        hosts = world.provider.hosts
        return hosts.plan(world.lab) if hosts else ()


def _show(plans: Sequence[HostPlan], options: Options) -> None:
    for plan in plans:
        print(f"{plan.machine} ({plan.endpoint})", file=options.people)
        for step in plan.steps or ("nothing to do: prepared already",):
            print(f"  {step}", file=options.people)
        for note in plan.notes:
            print(f"  note: {note}", file=options.people)


def _confirm(plans: Sequence[HostPlan], *, yes: bool) -> None:
    """Ask on the terminal before hosts change. Raises Interrupted unless the answer is yes."""
    from hashlab.errors import Interrupted
    from hashlab.run.asking import confirmed, has_terminal

    todo = [plan.machine for plan in plans if plan.steps]
    if todo and not yes and has_terminal() and not confirmed(f"Prepare {', '.join(todo)}?"):
        raise Interrupted("not confirmed: nothing was changed")
