"""Phase ``proof``: reads back from inside every running container what it really runs."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, replace

from hashlab.errors import HashlabError, LabError
from hashlab.phases.builds import Build, build_id, is_below
from hashlab.phases.containers import observe_containers, replica_names, wanted_builds
from hashlab.phases.containerspec import BUILD_LABEL, SERVICE_LABEL
from hashlab.phases.inside import read_machine
from hashlab.phases.laptopfiles import bind_name
from hashlab.phases.machinefiles import Inside, MachineFiles
from hashlab.phases.readiness import is_one_shot
from hashlab.phases.reload import distrust, process_of, stale_after_reload
from hashlab.phases.world import World
from hashlab.pipeline import CancelToken, Track, parallel
from hashlab.protocols import ContainerState

# A process whose build nobody knows.
ANEW = "it took files in, and was started anew or changed since"


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
    try:
        _prove(world, track)
    except HashlabError:
        # The application's own test may pass meanwhile, but it tested what nobody has built.
        world.about_to_change()
        raise


def _prove(world: World, track: Track) -> None:
    wanted = wanted_builds(world)
    found = read_back(world, wanted, track.cancel)
    stale = [running for running in found if running.stale]
    for running in stale:
        distrust(world, running.machine, running.container)
    wrong = [f"{r.service} on {r.machine}: {r.stale}" for r in stale]
    wrong += missing(world, found)
    if wrong:
        raise LabError(
            "; ".join(wrong),
            where="what runs is not what was built",
            next_step="hashlab refresh; if it stays, please report it with .hashlab/runs",
        )
    track.detail(f"{len(found)} containers run what was built")


def read_back(world: World, wanted: Mapping[str, Build], cancel: CancelToken) -> list[Running]:
    """What the containers of all machines run. Every machine is asked once in a run: now, unless
    what it told before still holds because nothing was changed or waited for since.
    """
    facts = world.facts
    if facts.unsettled or not set(facts.links) <= set(facts.inside):
        facts.containers = observe_containers(world)
        parallel(facts.links, lambda machine: read_machine(world, machine, wanted), cancel)
    found = parallel(facts.links, lambda one: _judge_machine(world, one, wanted, cancel), cancel)
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


def _judge_machine(
    world: World, machine: str, wanted: Mapping[str, Build], cancel: CancelToken
) -> list[Running]:
    files, inside = world.facts.files[machine], world.facts.inside[machine]
    there = world.facts.containers[machine]
    known = [c for c in there if c.labels.get(SERVICE_LABEL) in wanted]
    builds = {c.id: wanted[c.labels[SERVICE_LABEL]] for c in known}
    one_shots = {service.name for service in world.lab.services if is_one_shot(service)}
    found = [
        _judge(machine, c, builds[c.id], inside, files)
        if c.state == "running"
        else _judge_ended(machine, c, builds[c.id], one_shots)
        for c in known
    ]
    left = sorted(files.own - set(world.wanted_on(machine)))
    left = [name for name in left if files.files[name].kind != "d"]
    found = [_judge_leftovers(world, one, left) for one in found]
    return [_judge_reloaded(world, one, files, builds[one.container.id], cancel) for one in found]


def _judge(
    machine: str,
    container: ContainerState,
    build: Build,
    inside: Inside,
    files: MachineFiles,
) -> Running:
    """Compare one running container with its build; pure."""
    service = container.labels[SERVICE_LABEL]
    root = f"/proc/{container.pid}/root"
    sync = {path: inside.seen.get(root + path, "") for path in build.sync_files}
    # Some servers write their title over their environment (nginx does); then what counts is the
    # environment the engine started the process with, which nothing can change.
    start_id = inside.started.get(container.pid) or container.labels.get(BUILD_LABEL, "")
    process = process_of(container, files)
    if process is not None and start_id == container.labels.get(BUILD_LABEL):
        start_id = process.build
    if not start_id:
        return Running(container, machine, service, "", ANEW)
    running = build_id(start_id, sync)
    old = [
        path
        for path, content in build.start_files.items()
        if inside.seen.get(root + path) != content
    ]
    if old:
        return Running(container, machine, service, running, f"it sees another {old[0]}")
    stale = "" if running == build.id else f"it runs build {running}, built was {build.id}"
    return Running(container, machine, service, running, stale)


def _judge_leftovers(world: World, running: Running, left: Iterable[str]) -> Running:
    """A file that hashlab put there and nobody wants any more must not be seen."""
    if running.stale or not running.build:
        return running
    service = next(s for s in world.lab.services if s.name == running.service)
    names = [bind_name(world.lab, bind.source) for bind in service.binds]
    seen = [name for name in left if any(is_below(name, mounted) for mounted in names)]
    if not seen:
        return running
    return replace(running, stale=f"it still sees {seen[0].removeprefix('files/')}")


def _judge_reloaded(
    world: World, running: Running, files: MachineFiles, build: Build, cancel: CancelToken
) -> Running:
    """What was put into a running process is asked of the process itself."""
    process = process_of(running.container, files)
    if running.stale or process is None or not process.reloaded:
        return running
    return replace(running, stale=stale_after_reload(world, build, process, cancel))


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
