"""`hashlab dev`: boot the machines and start the application on them."""

from __future__ import annotations

from hashlab.commands import RUN_EXITS, TYPE_CHECKING, Command, Option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hashlab.phases.world import World
    from hashlab.run.execution import Options, Workflow

OBSERVABLE = ("logs", "metrics")

COMMAND = Command(
    "Boot the machines and start the application with its data.",
    text="Builds what is missing, the box too, boots the machines that do not run, starts the "
    "services, proves that they run what was built, loads sample data and runs the application's "
    "test. A second run changes nothing: machines and containers that are as they should be are "
    "left alone. If services could become root on this laptop, it asks the first time.",
    examples=[
        ("Boot the lab on real virtual machines", "hashlab dev --provider libvirt"),
        ("Replace machines that were made from an older box", "hashlab dev --replace"),
        ("Run it as it would run elsewhere", "hashlab dev --images"),
        ("Start where a snapshot was taken", "hashlab dev --from before-migration"),
        ("Keep all logs in a store that can be searched", "hashlab dev --with logs"),
    ],
    exits=RUN_EXITS,
    options=[
        Option("replace", "Replace stale machines one by one; the data of named volumes stay."),
        Option(
            "from",
            "Make the machines from this snapshot, with its data.",
            value="NAME",
            complete="snapshot",
            key="snapshot",
        ),
        Option(
            "images",
            "Run from self-contained images, without files of the laptop; else with them.",
        ),
        Option(
            "with",
            "Store logs or metrics on the laptop until the lab is destroyed, as [observe] does.",
            value="WHAT",
            choices=OBSERVABLE,
            many=True,
            key="observed",
        ),
        Option("yes", "Do not ask, even on a terminal.", short="y"),
    ],
)


def run(
    options: Options,
    *,
    replace: bool,
    snapshot: str,
    images: bool,
    observed: Sequence[str],
    yes: bool,
) -> int:
    """Boot a lab, replace its stale machines, or make it from a snapshot."""
    from dataclasses import replace as changed

    from hashlab.errors import HashlabError
    from hashlab.phases.observe import save_observed
    from hashlab.phases.selfcontained.images import save_kind
    from hashlab.run import execution, workflows
    from hashlab.run.labs import forget_scale

    try:
        _check(replace, snapshot, images, observed)
        forget_scale(options.lab)
    except HashlabError as error:
        return execution.fail(error, options)
    options = changed(options, yes=yes)

    def begin(world: World) -> None:
        save_observed(world, observed)
        if not (snapshot or replace):
            start_all(world)
            save_kind(world)

    if snapshot:
        return execution.run("dev-from", workflows.dev_from(snapshot), options, begin=begin)
    if replace:
        return execution.run("dev-replace", _replacements, options, begin=begin)
    options = changed(options, images=images)
    return execution.run("dev", bring_up, options, begin=begin)


def _check(replace: bool, snapshot: str, images: bool, observed: Sequence[str]) -> None:
    """Raise UsageError for options that exclude each other, or are unknown."""
    from hashlab.errors import UsageError

    if sum(map(bool, (snapshot, replace, images))) > 1:
        raise UsageError(
            "--from, --replace and --images exclude each other", next_step="leave out all but one"
        )
    for name in observed:
        if name not in OBSERVABLE:
            raise UsageError(
                f"--with {name}: unknown", next_step=f"one of: {', '.join(OBSERVABLE)}"
            )


def bring_up(world: World) -> Sequence[Workflow]:
    """Build the box first if the lab has none."""
    from hashlab.phases.boxes.registry import registered_boxes
    from hashlab.run import workflows

    if world.provider.hosts is not None:
        return [workflows.DEV_ON_HOSTS]
    return [workflows.DEV] if registered_boxes(world) else [workflows.INIT_BOX, workflows.DEV]


def start_all(world: World) -> None:
    """Forget that services were stopped."""
    from hashlab.phases.stop import save_stopped

    save_stopped(world, ())


def _replacements(world: World) -> Sequence[Workflow]:
    """One workflow per stale machine, so that the application answers again after each."""
    from hashlab.phases.kept_data import stale_machines
    from hashlab.run import workflows

    stale = stale_machines(world)
    return [workflows.replacing(machine) for machine in stale] or [workflows.DEV]
