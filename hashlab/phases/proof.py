"""Phase ``proof``: reads back from inside every running container what it really runs."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass

from hashlab.errors import LabError
from hashlab.phases.builds import Build, build_id
from hashlab.phases.containers import observe_containers, replica_names, wanted_builds
from hashlab.phases.containerspec import BUILD_LABEL, BUILD_VARIABLE, SERVICE_LABEL
from hashlab.phases.readiness import is_one_shot
from hashlab.phases.world import World
from hashlab.pipeline import CancelToken, Track, parallel
from hashlab.protocols import ContainerState

# The files are read through the process's own view of its file system, so a mount that still
# shows an old file is seen as what it is.
READ_INSIDE = """
for pid in "$@"; do
    printf '%s\\0' "$pid"
    grep -z '^HASHLAB_BUILD=' "/proc/$pid/environ" || printf 'HASHLAB_BUILD=\\0'
done
printf 'files\\0'
xargs -0 -r sha256sum -z -- 2> /dev/null
exit 0
"""


@dataclass(frozen=True)
class Running:
    """What one container was found to run. ``build`` "" when it does not run at all."""

    container: ContainerState
    machine: str
    service: str
    build: str
    stale: str = ""


def prove(world: World, track: Track, _: str) -> None:
    """Promise: what runs in every container is what was built; a difference is a failure."""
    wanted = wanted_builds(world)
    found = read_back(world, wanted)
    wrong = [f"{r.service} on {r.machine}: {r.stale}" for r in found if r.stale]
    wrong += missing(world, found)
    if wrong:
        raise LabError(
            "; ".join(wrong),
            where="what runs is not what was built",
            next_step="hashlab refresh; if it stays, please report it with .hashlab/runs",
        )
    track.detail(f"{len(found)} containers run what was built")


def read_back(world: World, wanted: Mapping[str, Build]) -> list[Running]:
    """Ask every machine once what its containers run."""
    there = observe_containers(world)
    found = parallel(
        there, lambda machine: _read_machine(world, machine, there[machine], wanted), CancelToken()
    )
    return [running for machine in found for running in machine]


def missing(world: World, found: Iterable[Running]) -> list[str]:
    """Say which containers should be there and are not."""
    there = {(running.machine, running.container.name) for running in found}
    return [
        f"{service.name} on {service.machine}: {name} is not there"
        for service in world.lab.services
        for name in replica_names(world.lab, service)
        if (service.machine, name) not in there
    ]


def _read_machine(
    world: World, machine: str, containers: list[ContainerState], wanted: Mapping[str, Build]
) -> list[Running]:
    known = [c for c in containers if c.labels.get(SERVICE_LABEL) in wanted]
    alive = [c for c in known if c.pid]
    paths = [
        f"/proc/{c.pid}/root{path}"
        for c in alive
        for build in [wanted[c.labels[SERVICE_LABEL]]]
        for path in [*build.start_files, *build.sync_files]
    ]
    started, seen = _ask(world, machine, [c.pid for c in alive], paths) if alive else ({}, {})
    one_shots = {service.name for service in world.lab.services if is_one_shot(service)}
    return [
        _judge(machine, c, wanted[c.labels[SERVICE_LABEL]], started, seen)
        if c.state == "running"
        else _judge_ended(machine, c, wanted[c.labels[SERVICE_LABEL]], one_shots)
        for c in known
    ]


def _ask(
    world: World, machine: str, pids: Iterable[int], paths: Iterable[str]
) -> tuple[dict[int, str], dict[str, str]]:
    done = world.link(machine).shell.run(
        ["sudo", "sh", "-c", READ_INSIDE, "sh", *map(str, pids)],
        stdin="".join(f"{path}\0" for path in paths).encode(),
    )
    if done.code != 0:
        raise LabError("cannot look inside the containers", where=machine, output=done.stderr)
    head, _, listing = done.stdout.partition("files\0")
    words = head.split("\0")
    started = {
        int(pid): variable.removeprefix(f"{BUILD_VARIABLE}=")
        for pid, variable in zip(words[0::2], words[1::2], strict=False)
    }
    entries = (entry.partition("  ") for entry in listing.split("\0") if entry)
    return started, {path: content for content, _, path in entries}


def _judge(
    machine: str,
    container: ContainerState,
    build: Build,
    started: Mapping[int, str],
    seen: Mapping[str, str],
) -> Running:
    """Compare one running container with its build; pure."""
    service = container.labels[SERVICE_LABEL]
    root = f"/proc/{container.pid}/root"
    sync = {path: seen.get(root + path, "") for path in build.sync_files}
    # Some servers write their title over their environment (nginx does); then what counts is the
    # environment the engine started the process with, which nothing can change.
    start_id = started.get(container.pid) or container.labels.get(BUILD_LABEL, "")
    running = build_id(start_id, sync)
    old = [path for path, content in build.start_files.items() if seen.get(root + path) != content]
    if old:
        return Running(container, machine, service, running, f"it sees another {old[0]}")
    stale = "" if running == build.id else f"it runs build {running}, built was {build.id}"
    return Running(container, machine, service, running, stale)


def _judge_ended(
    machine: str, container: ContainerState, build: Build, one_shots: Container[str]
) -> Running:
    """Judge a container that does not run: fine for a one-shot that completed this build; pure."""
    service = container.labels[SERVICE_LABEL]
    if service not in one_shots or container.state != "exited" or container.exit_code != 0:
        return Running(container, machine, service, "", f"it is {container.state}")
    started = container.labels.get(BUILD_LABEL, "")
    if started != build.start_id:
        stale = f"it ran build {started}, built was {build.id}"
        return Running(container, machine, service, started, stale)
    return Running(container, machine, service, build.id)
