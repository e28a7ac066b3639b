"""Check builders, artifacts, seed and verify of hashlab.toml against the lab folder and PATH."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from hashlab.config.model import Artifact, Builder, Incremental, OwnImages, Step
from hashlab.config.readers import At, Draft
from hashlab.config.report import Report, suggestion
from hashlab.config.sources import is_file
from hashlab.inputs.artifacts import expand
from hashlab.inputs.boundary import in_state
from hashlab.state.private import STATE

_TARGETS = "{targets}"


def absolute(folder: Path, path: str) -> Path:
    """Return ``path``, relative to ``folder``, as an absolute path without '..'. Links are not
    resolved.
    """
    return Path(os.path.normpath(folder / path))


def outputs(draft: Draft, folder: Path) -> dict[str, Path]:
    """Return the absolute output path of each artifact that names one."""
    artifacts: dict[str, Draft] = draft.get("artifacts", {})
    return {
        name: absolute(folder, artifact.get("output"))
        for name, artifact in artifacts.items()
        if artifact.get("output")
    }


def check_artifacts(draft: Draft, folder: Path, report: Report) -> None:
    """Report artifacts that cannot be built because of their builder, target, inputs or output."""
    builders: dict[str, Draft] = draft.get("builders", {})
    for name, builder in builders.items():
        _check_builder(name, builder, report)
    seen_targets: dict[tuple[str, str], str] = {}
    seen_outputs: dict[Path, str] = {}
    for name, artifact in draft.get("artifacts", {}).items():
        _check_way(name, artifact, builders, report)
        _check_target(name, artifact, seen_targets, report)
        _check_output(name, artifact, folder, seen_outputs, report)
        _check_inputs(name, artifact, folder, report)
        if artifact.get("incremental"):
            _check_incremental(name, artifact, builders, report)


def _check_builder(name: str, builder: Draft, report: Report) -> None:
    command = builder.get("command", At((), 0))
    has_targets = any(_TARGETS in word for word in command.value)
    if not command.value or has_targets != builder.get("worker", False):
        return
    if has_targets:
        message = f"builder '{name}' is a worker, which reads its targets from its input"
        report.add(command.line, message, f'Remove "{_TARGETS}" from its command.')
    else:
        message = f"the command of builder '{name}' does not contain {_TARGETS}"
        hint = f'Add "{_TARGETS}" where the targets of the changed artifacts belong.'
        report.add(command.line, message, hint)


def _check_incremental(
    name: str, artifact: Draft, builders: Mapping[str, Draft], report: Report
) -> None:
    incremental: Draft = artifact.get("incremental")
    line, builder = incremental.line_of("builder"), incremental.get("builder")
    if builder and builder not in builders:
        hint = suggestion(builder, list(builders), otherwise=f"Write [builders.{builder}].")
        report.add(line, f"unknown builder '{builder}'", hint)
    elif builder and not builders[builder].get("worker"):
        message = f"builder '{builder}' is not a worker, so it cannot build incrementally"
        report.add(line, message, f"Write worker = true under [builders.{builder}].")
    inputs = [Path(item.value) for item in artifact.get("inputs", ())]
    for item in incremental.get("inputs", ()):
        path = Path(item.value)
        if inputs and not any(path == each or each in path.parents for each in inputs):
            message = f"incremental input '{item.value}' is not in any input of artifact '{name}'"
            report.add(item.line, message, f"Add '{item.value}' to inputs.")


def _check_way(name: str, artifact: Draft, builders: Mapping[str, Draft], report: Report) -> None:
    builder = artifact.get("builder")
    line = artifact.line_of("builder")
    if artifact.has("builder") == artifact.has("command"):
        both = "both a builder and a command" if builder else "neither a builder nor a command"
        hint = "Keep builder and target, or command."
        report.add(line, f"artifact '{name}' has {both}", hint)
    elif artifact.has("builder") != artifact.has("target"):
        missing = "target" if artifact.has("builder") else "builder"
        hint = f'Write {missing} = "…", or a command of its own.'
        report.add(artifact.line_of("target"), f"artifact '{name}' has no {missing}", hint)
    if builder and builder not in builders:
        hint = suggestion(builder, list(builders), otherwise=f"Write [builders.{builder}].")
        report.add(line, f"unknown builder '{builder}'", hint)
    elif builder and builders[builder].get("worker"):
        message = f"builder '{builder}' is a worker, which cannot make a clean build"
        hint = "Name the worker under incremental, and a builder for clean builds here."
        report.add(line, message, hint)


def _check_target(
    name: str, artifact: Draft, seen: dict[tuple[str, str], str], report: Report
) -> None:
    builder, target = artifact.get("builder"), artifact.get("target")
    if not (builder and target):
        return
    other = seen.setdefault((builder, target), name)
    if other != name:
        message = f"target '{target}' already belongs to artifact '{other}'"
        report.add(artifact.line_of("target"), message, "Give each artifact its own target.")


def _check_output(
    name: str, artifact: Draft, folder: Path, seen: dict[Path, str], report: Report
) -> None:
    written = artifact.get("output")
    if not written:
        return
    line, output = artifact.line_of("output"), absolute(folder, written)
    if folder not in output.parents:
        hint = 'Write a path below the folder of hashlab.toml: "target/app".'
        report.add(line, f"output '{written}' is not inside the lab folder", hint)
    if in_state(output):
        report.add(line, f"output '{written}' is part of {STATE}", "Name another folder.")
    other = seen.setdefault(output, name)
    if other != name:
        hint = "Give each artifact its own output."
        report.add(line, f"output '{written}' already belongs to artifact '{other}'", hint)
    for item in artifact.get("inputs", ()):
        source = absolute(folder, item.value)
        if source == output or source in output.parents:
            message = f"output '{written}' is inside input '{item.value}' and so changes it"
            report.add(line, message, "Name the source folders one by one, or move the output.")


def _check_inputs(name: str, artifact: Draft, folder: Path, report: Report) -> None:
    for item in artifact.get("inputs", ()):
        if Path(item.value).is_absolute():
            hint = "Write it relative to the folder of hashlab.toml."
            report.add(item.line, f"input '{item.value}' is an absolute path", hint)
        elif not _matches(folder, item.value):
            hint = "Write a file, a folder or a glob of the lab folder that exists."
            message = f"input '{item.value}' of artifact '{name}' matches nothing"
            report.add(item.line, message, hint)


def _matches(folder: Path, pattern: str) -> bool:
    try:
        return next(expand(folder, pattern), None) is not None
    except (OSError, ValueError):  # a name that is too long, a folder that may not be read
        return False


def check_commands(draft: Draft, folder: Path, path: str, report: Report) -> None:
    """Report commands whose first word is neither a program in the lab folder nor on ``path``."""
    for command in _commands(draft):
        word = command.value[0]
        if "/" in word:
            if not _is_program(folder / word):
                hint = f"Write the file, or make it executable: chmod +x {word}"
                report.add(
                    command.line, f"'{word}' is not an executable file of the lab folder", hint
                )
        elif word not in ("python", "python3") and not _on_path(word, path):
            hint = f"Install it, or write the path of a script: ./{word}"
            report.add(command.line, f"the program '{word}' is not found on this laptop", hint)


def _commands(draft: Draft) -> Iterator[At[tuple[str, ...]]]:
    groups = (
        *draft.get("builders", {}).values(),
        *draft.get("artifacts", {}).values(),
        *draft.get("reload", {}).values(),
        draft.get("seed", Draft()),
        draft.get("verify", Draft()),
        draft.get("test", Draft()),
    )
    for group in groups:
        command = group.get("command")
        if command and command.value:
            yield command
    boms = draft.get("images", Draft()).get("sbom")
    if boms and boms.value:
        yield boms


def _is_program(path: Path) -> bool:
    return is_file(path) and os.access(path, os.X_OK)


def _on_path(word: str, path: str) -> bool:
    return any(_is_program(Path(folder or ".") / word) for folder in path.split(os.pathsep))


def builders_of(draft: Draft) -> tuple[Builder, ...]:
    """Return the builders of a draft without problems."""
    builders: dict[str, Draft] = draft.get("builders", {})
    return tuple(
        Builder(name, made.get("command").value, made.get("worker", False))
        for name, made in builders.items()
    )


def artifacts_of(draft: Draft, folder: Path) -> tuple[Artifact, ...]:
    """Return the artifacts of a draft without problems."""
    return tuple(
        Artifact(
            name=name,
            inputs=tuple(item.value for item in artifact.get("inputs")),
            output=absolute(folder, artifact.get("output")),
            builder=artifact.get("builder", ""),
            target=artifact.get("target", ""),
            command=artifact.get("command", At((), 0)).value,
            incremental=_incremental_of(artifact.get("incremental")),
            sbom=absolute(folder, artifact.get("sbom")) if artifact.get("sbom") else None,
        )
        for name, artifact in draft.get("artifacts", {}).items()
    )


def _incremental_of(draft: Draft | None) -> Incremental | None:
    if draft is None:
        return None
    return Incremental(draft.get("builder"), tuple(item.value for item in draft.get("inputs")))


def own_images_of(draft: Draft) -> OwnImages:
    """Return the settings of self-contained images of a draft without problems."""
    images: Draft = draft.get("images", Draft())
    return OwnImages(images.get("layers", ()), images.get("sbom", At((), 0)).value)


def step_of(draft: Draft, name: str) -> Step | None:
    """Return the seed, verify or test step of a draft without problems, or None."""
    step = draft.get(name)
    return Step(step.get("command").value) if step else None
