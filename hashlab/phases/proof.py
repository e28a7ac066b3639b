"""Phase ``proof``: reads from inside every running container what it runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from hashlab.errors import HashlabError, LabError
from hashlab.phases.builds import Build, build_id, is_below
from hashlab.phases.containers import readiness
from hashlab.phases.containers.body import BUILD_LABEL, SERVICE_LABEL, container_name, replica_names
from hashlab.phases.containers.completion import is_done, record_completion
from hashlab.phases.containers.debugged import is_debugged
from hashlab.phases.containers.networking import misplaced, parted
from hashlab.phases.containers.phase import observe_containers, wanted_builds
from hashlab.phases.containers.readiness import is_job, keeps_ending, wait_ready
from hashlab.phases.containers.reload import distrust, process_of, stale_after_reload
from hashlab.phases.containers.sandbox import Present, has_sandbox, holder_of, left_behind
from hashlab.phases.upload.inside import read_machine
from hashlab.phases.upload.laptop import bind_name
from hashlab.phases.upload.machine import Inside, MachineFiles
from hashlab.phases.volumes import note_old_volumes
from hashlab.phases.world import World
from hashlab.pipeline import CancelToken, Track, parallel
from hashlab.protocols import ContainerState

UNHEALTHY = "it is unhealthy"
# The reason why a process has no known build.
UNKNOWN = "it took files in, and was restarted or changed since"


@dataclass(frozen=True)
class Running:
    """The state of one container.

    ``build``: "" if it does not run; ``down``: why it does not serve; ``stale``: how its build
    differs from the one that was built.
    """

    container: ContainerState
    machine: str
    service: str
    build: str
    stale: str = ""
    down: str = ""


def prove(world: World, track: Track, _: str) -> None:
    """Promise: on every machine that answers, every container that should run runs what was built.
    A difference is a failure.
    """
    try:
        _prove(world, track)
    except HashlabError:
        # The application's own test may have passed, but it tested something else than was built.
        world.about_to_change()
        raise


def _prove(world: World, track: Track) -> None:
    wanted = wanted_builds(world)
    found = read_back(world, wanted, track.cancel)
    if _wait_for_health(world, found, track):
        found = read_back(world, wanted, track.cancel)
    stale = [running for running in found if running.stale]
    for running in stale:
        # One that was left alone runs what it ran.
        if running.service not in world.facts.containers.debugged:
            distrust(world, running.machine, running.container)
    down = [f"{r.service} on {r.machine}: {r.down}" for r in found if r.down]
    down += missing(world, found)
    wrong = [f"{r.service} on {r.machine}: {r.stale}" for r in stale]
    if wrong or down:
        raise LabError(
            "; ".join(down + wrong),
            where="not all that should run runs" if down else "what runs is not what was built",
            next_step=_advice(world),
        )
    note_old_volumes(world)
    count = sum(not world.rests(running.service, running.container.name) for running in found)
    detail = f"{count} containers run what was built"
    resting = {"stopped": world.stopped(), "intercepted": world.intercepted()}
    more = [f"; {how}: {', '.join(sorted(names))}" for how, names in resting.items() if names]
    track.detail(detail + "".join(more))


def _advice(world: World) -> str:
    debugged = " ".join(sorted(world.facts.containers.debugged))
    if debugged:
        return f"detach the debugger, then hashlab refresh; or: hashlab restart {debugged}"
    return "hashlab refresh; if it stays: hashlab logs SERVICE"


def _wait_for_health(world: World, found: Iterable[Running], track: Track) -> bool:
    """Wait for containers that are unhealthy, and return whether there are any. A service whose
    dependency was away is unhealthy until its engine asks it again.
    """
    unhealthy = [
        running
        for running in found
        if running.down == UNHEALTHY
        and not running.stale
        and running.service not in world.facts.containers.debugged
    ]
    if not unhealthy:
        return False

    def wait(running: Running) -> None:
        name, service = running.container.name, world.lab.service(running.service)
        # A container that stays unhealthy is found when all are read again.
        with (
            suppress(LabError),
            track.child("healthy", machine=running.machine, service=service.name) as step,
        ):
            wait_ready(world, service, name, step, seconds=readiness.KEPT_SECONDS)
            step.detail("healthy again")

    parallel(unhealthy, wait, track.cancel)
    world.facts.containers.unsettled = True
    return True


def read_back(world: World, wanted: Mapping[str, Build], cancel: CancelToken) -> list[Running]:
    """Return what the containers of all machines run. Every machine is asked now, unless an earlier
    phase has asked and nothing was changed or waited for since.
    """
    facts, links = world.facts, world.facts.machines.links
    if facts.containers.unsettled or not set(links) <= set(facts.uploads.inside):
        facts.containers.found.update(observe_containers(world))
        parallel(links, lambda machine: read_machine(world, machine, wanted), cancel)
    found = parallel(links, lambda name: _judge_machine(world, name, wanted, cancel), cancel)
    return [running for machine in found for running in machine]


def missing(world: World, found: Iterable[Running]) -> list[str]:
    """Return a sentence for each container that is missing on a machine that answers."""
    existing = {(running.machine, running.container.name) for running in found}
    return [
        f"{service.name} on {service.machine}: {name} does not exist"
        for service in world.lab.services
        if service.machine in world.facts.machines.links
        for name in replica_names(world.lab, service)
        if (service.machine, name) not in existing and not world.rests(service.name, name)
    ]


def _judge_machine(
    world: World, machine: str, wanted: Mapping[str, Build], cancel: CancelToken
) -> list[Running]:
    files, inside = world.facts.uploads.files[machine], world.facts.uploads.inside[machine]
    present = world.facts.containers.found[machine]
    containers = present.containers
    known = [c for c in containers if c.labels.get(SERVICE_LABEL) in wanted]
    builds = {c.id: wanted[c.labels[SERVICE_LABEL]] for c in known}
    found = [
        _judge_place(world, present, _judge(machine, c, builds[c.id], inside, files))
        if c.state == "running"
        else _judge_ended(world, machine, c, builds[c.id])
        for c in known
    ]
    left = sorted(files.own - set(world.wanted_on(machine)))
    left = [name for name in left if files.files[name].kind != "d"]
    found = [_judge_leftovers(world, each, left) for each in found]
    return [_judge_reloaded(world, r, files, builds[r.container.id], cancel) for r in found]


def _judge(
    machine: str,
    container: ContainerState,
    build: Build,
    inside: Inside,
    files: MachineFiles,
) -> Running:
    """Compare one running container with its build. Pure."""
    service = container.labels[SERVICE_LABEL]
    root = f"/proc/{container.pid}/root"
    sync = {path: inside.seen.get(root + path, "") for path in build.sync_files}
    # Some servers overwrite their environment with their title (nginx does). Then the environment
    # with which the engine started the process counts, which nothing can change.
    start_id = inside.started.get(container.pid) or container.labels.get(BUILD_LABEL, "")
    process = process_of(container, files)
    if process is not None and start_id == container.labels.get(BUILD_LABEL):
        start_id = process.build
    if not start_id:
        return Running(container, machine, service, "", UNKNOWN)
    down = _why_down(container)
    running = build_id(start_id, sync)
    old = [
        path
        for path, content in build.start_files.items()
        if inside.seen.get(root + path) != content
    ]
    if old:
        return Running(container, machine, service, running, f"it sees another {old[0]}", down)
    stale = "" if running == build.id else f"it runs build {running}, built was {build.id}"
    return Running(container, machine, service, running, stale, down)


def _judge_place(world: World, present: Present, running: Running) -> Running:
    """Mark a container as down if it is not on its service's networks under its names, or does not
    share what it should.
    """
    lab, service, container = world.lab, world.lab.service(running.service), running.container
    containers = {c.name: c for c in present.containers}
    owners = {n: containers.get(container_name(lab, lab.service(n), 1)) for n in service.owners}
    fault = None
    if service.joined or has_sandbox(service):
        fault = left_behind(container, holder_of(lab, service, container.name, present))
    why = fault.reason if fault else misplaced(lab, service, container)
    return replace(running, down=running.down or why or parted(service, container, owners))


def _why_down(container: ContainerState) -> str:
    if container.health == "unhealthy":
        return UNHEALTHY
    if keeps_ending(container):
        return f"it keeps ending: {container.restarts} restarts, the last one just now"
    return ""


def _judge_leftovers(world: World, running: Running, left: Iterable[str]) -> Running:
    """Mark a container as stale if it sees an uploaded file that no service mounts any more."""
    if running.stale or not running.build:
        return running
    service = world.lab.service(running.service)
    names = [bind_name(world.lab, bind.source) for bind in service.binds]
    seen = [name for name in left if any(is_below(name, mounted) for mounted in names)]
    if not seen:
        return running
    return replace(running, stale=f"it still sees {seen[0].removeprefix('files/')}")


def _judge_reloaded(
    world: World, running: Running, files: MachineFiles, build: Build, cancel: CancelToken
) -> Running:
    """Ask the process itself whether it runs the files that were reloaded."""
    process = process_of(running.container, files)
    if running.stale or process is None or not process.reloaded:
        return running
    if is_debugged(world, world.lab.service(running.service), [running.container]):
        world.note(
            f"{running.service}: what was reloaded is not proved while a debugger is attached"
        )
        return running
    return replace(running, stale=stale_after_reload(world, build, process, cancel))


def _judge_ended(world: World, machine: str, container: ContainerState, build: Build) -> Running:
    """Judge a container that does not run: fine if it has done its work with this build, or if a
    person stopped or intercepted it.
    """
    service = container.labels[SERVICE_LABEL]
    if world.rests(service, container.name):
        return Running(container, machine, service, "")
    if not _has_done_its_work(world, machine, container):
        return Running(container, machine, service, "", down=_describe_end(container))
    started = container.labels.get(BUILD_LABEL, "")
    if started != build.start_id:
        stale = f"it ran build {started}, built was {build.id}"
        return Running(container, machine, service, started, stale)
    return Running(container, machine, service, build.id)


def _has_done_its_work(world: World, machine: str, container: ContainerState) -> bool:
    """Return whether this run or an earlier one saw the container end with 0."""
    service = world.lab.service(container.labels[SERVICE_LABEL])
    if container.state != "exited" or not is_job(world.lab, service, container):
        return False
    if is_done(container, world.facts.uploads.files[machine]):
        return True
    if container.id not in world.facts.containers.started or container.exit_code != 0:
        return False
    record_completion(world, machine, container)
    return True


def _describe_end(container: ContainerState) -> str:
    if container.state != "exited":
        return f"it is {container.state}"
    return f"it ended with exit code {container.exit_code} and was not started again"
