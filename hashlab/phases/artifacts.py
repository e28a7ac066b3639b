"""Phase ``artifacts``: builds changed artifacts on the laptop, by a worker if that is enough."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from hashlab.config.model import Artifact, Builder
from hashlab.documents.run import Cause
from hashlab.errors import LabError
from hashlab.hashing import Digests, digest, files_below, mode_digest, settled
from hashlab.inputs.artifacts import read_inputs
from hashlab.phases.world import World
from hashlab.pipeline import Track, parallel
from hashlab.protocols import BuildAnswer, BuildRequest
from hashlab.state.files import read_json, remove, write_json

BUILD_SECONDS = 1800.0


@dataclass(frozen=True)
class Recipe:
    """Everything that determines an artifact. ``how``: hash of its build; ``inputs``: content by
    name.
    """

    how: str
    inputs: Mapping[str, str]


@dataclass(frozen=True)
class Change:
    """An artifact that must be built. ``changed`` and ``removed``: inputs since its last build;
    ``by``: the worker that can build it, None if it needs a clean build.
    """

    artifact: Artifact
    recipe: Recipe
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    by: Builder | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all inputs that differ."""
        return (*self.changed, *self.removed)


@dataclass(frozen=True)
class Order:
    """One call of a build tool for a clean build of these artifacts."""

    command: tuple[str, ...]
    changes: tuple[Change, ...]


def build_artifacts(world: World, track: Track, _: str) -> None:
    """Promise: every artifact's output is up to date. Unchanged artifacts are not built."""
    changes = [c for a in world.lab.artifacts if (c := _change(world, a)) is not None]
    if not changes:
        count = len(world.lab.artifacts)
        track.skip(f"{count} unchanged" if count else "none")
        return
    world.because(*(Cause(f"artifact {c.artifact.name}", c.names) for c in changes))
    clean = [change for change in changes if change.by is None]
    answers = _ask_workers(world, [change for change in changes if change.by], track)
    for change, answer in answers:
        if answer.result == "rebuild":
            track.output(f"{change.artifact.name}: clean build: {answer.detail}")
            clean.append(change)
    _build_clean(world, clean, track)
    done = [f"{c.artifact.name} ({a.detail})" for c, a in answers if a.result == "done"]
    track.detail("built " + ", ".join(done + [change.artifact.name for change in clean]))


def feed_images(world: World, machine: str = "") -> bool:
    """True if an image is built from an artifact's output, so that the artifact comes first."""
    outputs = [artifact.output for artifact in world.lab.artifacts]
    contexts = [image.build.context for image in world.lab.images if image.build]
    return any(o.is_relative_to(c) or c.is_relative_to(o) for o in outputs for c in contexts)


def recipe_of(folder: Path, artifact: Artifact, digests: Digests) -> Recipe:
    """Return everything that determines an artifact's output."""
    how = digest([artifact.builder, artifact.target, list(artifact.command)])
    return Recipe(how, read_inputs(folder, artifact.inputs, digests))


def output_digest(output: Path, digests: Digests) -> str:
    """Return the hash of an artifact's output; "" if it does not exist."""

    def read() -> str:
        if not output.exists():
            return ""
        return digest(
            {
                p.relative_to(output.parent).as_posix(): mode_digest(p, digests.file)
                for p in files_below(output)
            }
        )

    return settled(read)


def compare(
    artifact: Artifact, recipe: Recipe, record: object, made: str, workers: Mapping[str, Builder]
) -> Change | None:
    """Decide whether an artifact must be built, and by which worker; None if it is up to date.

    ``record``: the record of its last build; ``made``: the present hash of its output. Pure.
    """
    last = record if isinstance(record, dict) else {}
    before = last.get("inputs")
    if not isinstance(before, dict):
        return Change(artifact, recipe, tuple(recipe.inputs), ())
    changed = tuple(n for n, content in recipe.inputs.items() if before.get(n) != content)
    removed = tuple(sorted(set(before) - set(recipe.inputs)))
    intact = bool(made) and last.get("output") == made and last.get("how") == recipe.how
    if intact and not (changed or removed):
        return None
    quick = artifact.incremental
    enough = intact and quick is not None and _below(quick.inputs, (*changed, *removed))
    worker = workers[quick.builder] if enough and quick is not None else None
    return Change(artifact, recipe, changed, removed, worker)


def _below(folders: Sequence[str], names: Sequence[str]) -> bool:
    """Return whether every name is one of the folders or below one."""
    places = [PurePosixPath(folder) for folder in folders]
    return all(any(PurePosixPath(name).is_relative_to(p) for p in places) for name in names)


def plan(changes: Sequence[Change], builders: Sequence[Builder]) -> list[Order]:
    """Group clean builds by builder: one call for each, with ``{targets}`` filled in."""
    orders = []
    for builder in builders:
        mine = tuple(change for change in changes if change.artifact.builder == builder.name)
        if mine:
            targets = ",".join(change.artifact.target for change in mine)
            command = tuple(part.replace("{targets}", targets) for part in builder.command)
            orders.append(Order(command, mine))
    return orders + [Order(c.artifact.command, (c,)) for c in changes if not c.artifact.builder]


def _change(world: World, artifact: Artifact) -> Change | None:
    recipe = recipe_of(world.lab.folder, artifact, world.digests)
    record = read_json(world.state.artifact(artifact.name))
    made = output_digest(artifact.output, world.digests)
    workers = {builder.name: builder for builder in world.lab.builders if builder.worker}
    return compare(artifact, recipe, record, made, workers)


def _ask_workers(
    world: World, changes: Sequence[Change], track: Track
) -> list[tuple[Change, BuildAnswer]]:
    """Ask each change's worker; all workers build at the same time. A finished build is recorded
    even if another build failed.
    """
    workers = [(b, [c for c in changes if c.by is b]) for b in world.lab.builders if b.worker]
    asked = [(worker, mine) for worker, mine in workers if mine]
    by_worker = parallel(asked, lambda order: _ask(world, *order, track), track.cancel)
    answers = [answer for each in by_worker for answer in each]
    for change, answer in answers:
        if answer.result == "done":
            _record(world, change)
    failed = [(change, answer) for change, answer in answers if answer.result == "failed"]
    if failed:
        by = next(change.by.name for change, _ in failed if change.by)
        # An error in a source that several artifacts share is one error.
        outputs = dict.fromkeys(answer.output for _, answer in failed)
        raise _failed(f"{by} failed", [change for change, _ in failed], "".join(outputs))
    return answers


def _ask(
    world: World, worker: Builder, changes: Sequence[Change], track: Track
) -> list[tuple[Change, BuildAnswer]]:
    requests = [
        BuildRequest(
            target=change.artifact.target or change.artifact.name,
            output=change.artifact.output.relative_to(world.lab.folder).as_posix(),
            changed=change.changed,
            removed=change.removed,
        )
        for change in changes
    ]
    answers = world.workers.ask(
        worker.command,
        requests,
        cwd=world.lab.folder,
        timeout=BUILD_SECONDS,
        cancel=track.cancel,
        on_line=track.output,
    )
    return list(zip(changes, answers, strict=True))


def _build_clean(world: World, changes: Sequence[Change], track: Track) -> None:
    for change in changes:
        # An interrupted build leaves an incomplete output, which must not count as built.
        remove(world.state.artifact(change.artifact.name))

    def carry_out(order: Order) -> None:
        for change in order.changes:
            track.output(f"building {change.artifact.name}")
        _run(world, order, track)
        for change in order.changes:
            _record(world, change)

    parallel(plan(changes, world.lab.builders), carry_out, track.cancel)


def _record(world: World, change: Change) -> None:
    artifact = change.artifact
    made = output_digest(artifact.output, world.digests)
    if not made:
        raise LabError(
            f"the build did not make {artifact.output.relative_to(world.lab.folder)}",
            where=f"artifact {artifact.name}",
            next_step="correct its command or its output in hashlab.toml",
        )
    write_json(
        world.state.artifact(artifact.name),
        {"how": change.recipe.how, "inputs": dict(change.recipe.inputs), "output": made},
    )


def _run(world: World, order: Order, track: Track) -> None:
    done = world.runner.run(
        order.command,
        cwd=world.lab.folder,
        timeout=BUILD_SECONDS,
        cancel=track.cancel,
        on_line=track.output,
        users=True,
    )
    if done.code != 0:
        what = f"{order.command[0]} failed with exit code {done.code}"
        raise _failed(what, order.changes, done.stdout + done.stderr)


def _failed(what: str, changes: Sequence[Change], output: str) -> LabError:
    return LabError(
        what,
        where=f"artifact {', '.join(change.artifact.name for change in changes)}",
        output=output,
        next_step="fix the source and run it again; the running services were not touched",
    )
