"""`hashlab pipeline`: everything from a commit to a lab that runs it, for a CI."""

from __future__ import annotations

from hashlab.commands import RUN_EXITS, TYPE_CHECKING, Command, Option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hashlab.documents.run import RunRecord
    from hashlab.phases.world import World
    from hashlab.run.execution import Options, Workflow

COMMAND = Command(
    "Build, test, make images, and verify them in a lab: for a CI.",
    text="Builds artifacts and images, runs [test] of hashlab.toml, makes self-contained images "
    "with bills of materials, pushes them, starts a lab from them, loads its data, verifies it, "
    "and destroys it. It ends at the first failure, and then leaves the lab as it is.",
    examples=[
        ("On each commit", "hashlab pipeline --junit report.xml --summary summary.md --yes"),
        ("Push what has passed its tests", "hashlab pipeline --push registry.example.org/team"),
        ("Only if the lab has changed", "hashlab pipeline --changed-since origin/main"),
    ],
    exits=RUN_EXITS,
    options=[
        Option(
            "push", "HOST[:PORT][/PATH] of the registry that gets the images.", value="REGISTRY"
        ),
        Option("junit", "Write a JUnit report.", value="FILE", complete="file"),
        Option("summary", "Append a summary in Markdown.", value="FILE", complete="file"),
        Option(
            "changed-since",
            "Do nothing if no file of the lab differs from this commit.",
            value="COMMIT",
        ),
        Option("keep", "Leave the lab running at the end."),
        Option("yes", "Do not ask, even on a terminal.", short="y"),
    ],
)


def run(
    options: Options,
    *,
    push: str,
    junit: str,
    summary: str,
    changed_since: str,
    keep: bool,
    yes: bool,
) -> int:
    """Run the pipeline; destroy the lab if all went well."""
    from dataclasses import replace as changed
    from functools import partial

    from hashlab.commands.dev import bring_up, start_all
    from hashlab.daemon import client
    from hashlab.errors import ExitCode, HashlabError
    from hashlab.phases.selfcontained.images import save_kind
    from hashlab.phases.selfcontained.push import place
    from hashlab.run import execution, workflows
    from hashlab.run.labs import lab_folder

    options = changed(options, yes=yes, images=True)
    try:
        to = place(push) if push else None
        if changed_since and not _has_changed(options, changed_since):
            return ExitCode.OK
    except HashlabError as error:
        return execution.fail(error, options)

    def plan(world: World) -> Sequence[Workflow]:
        end = [] if keep else [workflows.destroying(box=False, keep_observed=False)]
        return [workflows.tested(to), *bring_up(world), *end]

    def begin(world: World) -> None:
        start_all(world)
        save_kind(world)

    code = execution.run(
        "pipeline", plan, options, begin=begin, after=partial(_save, junit=junit, summary=summary)
    )
    if code == ExitCode.OK and not keep:
        client.stop(str(lab_folder(options.lab)))
    return code


def _has_changed(options: Options, commit: str) -> bool:
    """Say it if no file of the lab has changed. Raises HashlabError."""
    from hashlab.run.changes import changed_since

    world = options.world()
    try:
        names = changed_since(world, commit)
    finally:
        world.close()
    if not names:
        print(f"no file of the lab differs from {commit}", file=options.people)
    return bool(names)


def _save(record: RunRecord, *, junit: str, summary: str) -> None:
    """Write the reports. Raises LaptopError."""
    from pathlib import Path

    from hashlab.report.ci import junit_text, markdown_text
    from hashlab.state.files import append, write_text

    if junit:
        write_text(Path(junit).absolute(), junit_text(record))
    if summary:
        append(Path(summary).absolute(), markdown_text(record))
