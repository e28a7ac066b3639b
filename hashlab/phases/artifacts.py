"""Phase ``artifacts``: builds on the laptop what changed, one call per build tool."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hashlab.config.model import Artifact, Builder
from hashlab.errors import LabError
from hashlab.hashing import digest, file_digest, files_below
from hashlab.phases.world import World
from hashlab.pipeline import Track, parallel
from hashlab.statefiles import read_json, write_json

BUILD_SECONDS = 1800.0


@dataclass(frozen=True)
class Order:
    """One call of a build tool and the artifacts it makes."""

    command: tuple[str, ...]
    artifacts: tuple[Artifact, ...]


def build_artifacts(world: World, track: Track, _: str) -> None:
    """Promise: every artifact's output is what its inputs make; unchanged ones are not built."""
    artifacts = world.lab.artifacts
    inputs = {artifact.name: inputs_digest(world.lab.folder, artifact) for artifact in artifacts}
    changed = [artifact for artifact in artifacts if not _current(world, artifact, inputs)]
    if not changed:
        track.skip(f"{len(artifacts)} unchanged" if artifacts else "none")
        return
    for artifact in changed:
        world.state.artifact(artifact.name).unlink(missing_ok=True)
    orders = plan(changed, world.lab.builders)

    def carry_out(order: Order) -> None:
        for artifact in order.artifacts:
            track.output(f"building {artifact.name}")
        _run(world, order, track)
        for artifact in order.artifacts:
            _record(world, artifact, inputs[artifact.name])

    parallel(orders, carry_out, track.cancel)
    track.detail("built " + ", ".join(artifact.name for artifact in changed))


def plan(changed: Sequence[Artifact], builders: Sequence[Builder]) -> list[Order]:
    """Group changed artifacts by builder: one call each, with ``{targets}`` filled in."""
    orders = []
    for builder in builders:
        mine = tuple(artifact for artifact in changed if artifact.builder == builder.name)
        if mine:
            targets = ",".join(artifact.target for artifact in mine)
            command = tuple(word.replace("{targets}", targets) for word in builder.command)
            orders.append(Order(command, mine))
    return orders + [Order(a.command, (a,)) for a in changed if not a.builder]


def inputs_digest(folder: Path, artifact: Artifact) -> str:
    """Hash of every input file's name and content, and of how the artifact is made."""
    files: dict[str, str] = {}
    for pattern in artifact.inputs:
        for match in sorted(folder.glob(pattern)):
            for path in files_below(match):
                files[path.relative_to(folder).as_posix()] = file_digest(path)
    return digest([artifact.builder, artifact.target, list(artifact.command), files])


def output_digest(output: Path) -> str:
    """Hash of an artifact's output; "" when there is none."""
    if not output.exists():
        return ""
    return digest(
        {p.relative_to(output.parent).as_posix(): file_digest(p) for p in files_below(output)}
    )


def _current(world: World, artifact: Artifact, inputs: dict[str, str]) -> bool:
    record = read_json(world.state.artifact(artifact.name))
    made = output_digest(artifact.output)
    return bool(made) and record == {"inputs": inputs[artifact.name], "output": made}


def _record(world: World, artifact: Artifact, inputs: str) -> None:
    made = output_digest(artifact.output)
    if not made:
        raise LabError(
            f"the build made no {artifact.output.relative_to(world.lab.folder)}",
            where=f"artifact {artifact.name}",
            next_step="correct its command or its output in hashlab.toml",
        )
    write_json(world.state.artifact(artifact.name), {"inputs": inputs, "output": made})


def _run(world: World, order: Order, track: Track) -> None:
    names = ", ".join(artifact.name for artifact in order.artifacts)
    done = world.runner.run(
        order.command,
        cwd=world.lab.folder,
        timeout=BUILD_SECONDS,
        cancel=track.cancel,
        on_line=track.output,
    )
    if done.code != 0:
        raise LabError(
            f"{order.command[0]} failed with exit code {done.code}",
            where=f"artifact {names}",
            output=done.stdout + done.stderr,
            next_step="mend the source and run it again; nothing in the lab was touched",
        )
