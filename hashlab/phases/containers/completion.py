"""Containers that have done their work: a run of hashlab saw them end with exit code 0."""

from __future__ import annotations

from hashlab.phases.containers.body import BUILD_LABEL
from hashlab.phases.containers.reload import remember
from hashlab.phases.upload.machine import MachineFiles, Process
from hashlab.phases.world import World
from hashlab.protocols import ContainerState


def is_done(container: ContainerState, files: MachineFiles) -> bool:
    """Return whether a run saw this very exit. The exit code alone proves nothing: a process that
    ends because its machine or engine stops may end with 0 as well. Pure.
    """
    seen = files.processes.get(container.id)
    exit_seen = (container.started_at, container.finished_at)
    return (
        container.state == "exited"
        and container.exit_code == 0
        and seen is not None
        and bool(seen.finished_at)
        and (seen.started_at, seen.finished_at) == exit_seen
    )


def record_completion(world: World, machine: str, container: ContainerState) -> None:
    """Record on the machine that this run saw a container end with 0. Raises LabError."""
    if is_done(container, world.facts.uploads.files[machine]):
        return
    build = container.labels.get(BUILD_LABEL, "")
    seen = Process(
        container.started_at, build, fixed="", files={}, finished_at=container.finished_at
    )
    remember(world, machine, container.id, seen)
