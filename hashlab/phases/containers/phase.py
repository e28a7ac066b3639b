"""Phase ``containers``: every service's container runs its build, in dependency order, healthy."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from functools import partial

from hashlab.config.model import Service
from hashlab.documents.run import RELOADED, Cause
from hashlab.errors import LabError
from hashlab.phases.builds import Build, service_build
from hashlab.phases.containers.actions import (
    ALIVE,
    STARTED_AGAIN,
    SYNCHRONISED,
    Action,
    Job,
    carry_out,
    stop_and_remove,
    stop_container,
)
from hashlab.phases.containers.body import replica_names
from hashlab.phases.containers.completion import record_completion
from hashlab.phases.containers.conditions import check_conditions, machines_to_check
from hashlab.phases.containers.debugged import ends, is_debugged, leave
from hashlab.phases.containers.decisions import actions_for
from hashlab.phases.containers.fronts import await_front, drain
from hashlab.phases.containers.oneoff import is_one_off, remove_ended
from hashlab.phases.containers.readiness import (
    KEPT_SECONDS,
    completes,
    is_ready,
    keeps_ending,
    wait_ready,
)
from hashlab.phases.containers.renewal import leave_networks, network_ids, renew_networks
from hashlab.phases.containers.rollback import keep_previous
from hashlab.phases.containers.rolling import in_turn
from hashlab.phases.containers.sandbox import Present, has_sandbox, tell_apart
from hashlab.phases.upload.inside import read_machine
from hashlab.phases.upload.transfer import upload
from hashlab.phases.world import World
from hashlab.pipeline import CancelToken, Part, Track, parallel
from hashlab.protocols import LAB_LABEL, ContainerState, Engine
from hashlab.state.files import read_json, write_json


def wanted_builds(world: World) -> dict[str, Build]:
    """Return the build that each service of the lab should run."""
    return {service.name: wanted_build(world, service) for service in world.lab.services}


def wanted_build(world: World, service: Service) -> Build:
    """Return the build that a service should run; it is hashed once in a run."""
    builds = world.facts.wanted.builds
    if service.name not in builds:
        inputs = " ".join(world.facts.images.inputs[name] for name in service.images)
        builds[service.name] = service_build(world.lab, service, inputs, world.laptop_files())
    return builds[service.name]


def observe_containers(world: World) -> dict[str, Present]:
    """Return all containers of the lab by machine. The machines are read at the same time."""
    links = list(world.facts.machines.links.values())
    found = parallel(links, lambda link: _read(world, link.engine), CancelToken())
    return {link.machine: present for link, present in zip(links, found, strict=True)}


def _read(world: World, engine: Engine) -> Present:
    return tell_apart(engine.containers({LAB_LABEL: world.lab.id}))


def parts(world: World) -> Mapping[Hashable, Part[World]]:
    """Return the work of phase ``containers`` in pieces; the workflow names the phases that each
    kind waits for.

    For each machine: read its containers (``observe``), upload its files (``upload``), remove its
    containers from retired networks (``leave``), which are renewed when all have left (``renew``).
    For each service two, because Compose lets others wait for its start (``start``) or its health
    (``ready``). Where only an image knows whether a service can get healthy (``conditions``), no
    container of the lab starts before that image was asked.
    """
    found: dict[Hashable, Part[World]] = {}
    checks: frozenset[Hashable] = frozenset(
        ("conditions", machine) for machine in machines_to_check(world.lab)
    )
    for machine in world.machine_names():
        if ("conditions", machine) in checks:
            found["conditions", machine] = Part(
                partial(_check_conditions, machine=machine), machine, kind="conditions"
            )
        found["observe", machine] = Part(
            partial(_observe, machine=machine), machine, kind="observe"
        )
        found["upload", machine] = Part(
            partial(_upload, machine=machine),
            machine,
            after=frozenset({("observe", machine)}),
            kind="upload",
        )
        found["leave", machine] = Part(
            partial(_leave, machine=machine),
            machine,
            after=frozenset({("upload", machine)}),
            kind="start",
        )
    first, *others = world.machine_names()
    found["renew",] = Part(
        _renew,
        first,
        after=frozenset({("leave", first)}),
        after_end=frozenset(("leave", machine) for machine in others),
        kind="renew",
    )
    for service in world.lab.services:
        found |= _parts_of(world, service, checks)
    return found


def _parts_of(
    world: World, service: Service, checks: frozenset[Hashable]
) -> dict[Hashable, Part[World]]:
    names = {other.name for other in world.lab.services}
    needed = [d for d in service.depends_on if d.service in names]
    after = {("start" if d.condition == "service_started" else "ready", d.service) for d in needed}
    # A service is asked for its health after those it depends on are healthy: asking costs them.
    asked_after = {("ready", d.service) for d in needed}
    behind = [other for other in world.lab.services if other.front == service.name]
    return {
        ("start", service.name): Part(
            partial(_start, service=service),
            service.machine,
            after=frozenset(after | {("leave", service.machine)}),
            after_end=checks,
            kind="start",
        ),
        ("ready", service.name): Part(
            partial(_await_ready, service=service),
            service.machine,
            after=frozenset({("start", service.name), *asked_after}),
            after_end=frozenset(("ready", other.name) for other in behind),
            kind="ready",
        ),
    }


def mounts_artifacts(world: World, machine: str) -> bool:
    """True if a service of the machine mounts an artifact's output; "": if any service does."""
    outputs = [artifact.output for artifact in world.lab.artifacts]
    services = world.services_on(machine) if machine else world.lab.services
    return any(
        output.is_relative_to(bind.source) or bind.source.is_relative_to(output)
        for service in services
        for bind in service.binds
        for output in outputs
    )


def start_containers(world: World, track: Track, _: str) -> None:
    """Promise: each service runs its build and met its health check; others were not touched."""
    _note_left_out(world)
    _save_places(world)
    changed, removed = world.facts.containers.changed, world.facts.containers.removed
    if not world.facts.causes:
        # No file was edited, so the cause is the services' definition or the state of containers.
        world.because(*(Cause(f"service {name}: {reason}") for name, reason in changed.items()))
    if changed or removed:
        kept = {
            word: sum(reason.startswith(word) for reason in changed.values())
            for word in (RELOADED, SYNCHRONISED)
        }
        started = len(changed) - sum(kept.values())
        counts = {"started": started, **kept, "removed": len(removed)}
        track.detail(", ".join(f"{count} {word}" for word, count in counts.items() if count))
    else:
        track.skip(f"{len(world.lab.services)} unchanged")


def _save_places(world: World) -> None:
    """Save where services run, so that a service that is added later moves none of them."""
    places = world.state.places
    saved = read_json(places)
    known = saved if isinstance(saved, dict) else {}
    for service in world.lab.services:
        _note_moved(world, service, known.get(service.name, service.machine))
    # A service of a profile that is not active now keeps its place.
    ran = known | {service.name: service.machine for service in world.lab.services}
    if ran != known:
        write_json(places, ran)


def _note_moved(world: World, service: Service, before: str) -> None:
    """Note a service that left the data of its volumes on another machine."""
    volumes = [mount.volume for mount in service.volumes if mount.volume]
    if volumes and before != service.machine and before in world.machine_names():
        world.note(
            f"{service.name} moved from {before} to {service.machine}; the data of "
            f"{', '.join(volumes)} stay on {before}"
        )


def _note_left_out(world: World) -> None:
    """Note the services that this run left alone because a machine does not answer."""
    lost = world.lost_machines()
    settled = world.facts.containers.settled
    left = [service for service in world.lab.services if service.name not in settled]
    if not lost or not left:
        return
    unreached = [service.name for service in left if service.machine in lost]
    others = [service.name for service in left if service.machine not in lost]
    text = f"{', '.join(lost)} did not answer. Left as it was: {', '.join(unreached) or 'nothing'}"
    world.note(f"{text}; and what needs it: {', '.join(others)}" if others else text)


def _check_conditions(world: World, track: Track, *, machine: str) -> None:
    check_conditions(world, machine)


def _observe(world: World, track: Track, *, machine: str) -> None:
    """Read a machine's containers and files, and remove containers that it should not have, with
    their sandboxes. A one-off container stays until its command ends.
    """
    engine = world.link(machine).engine
    present = _read(world, engine)
    world.facts.containers.found[machine] = present
    services = world.services_on(machine)
    wanted = {name: s for s in services for name in replica_names(world.lab, s)}
    for container in present.containers:
        if is_one_off(container):
            remove_ended(engine, container)
        elif container.name not in wanted:
            world.about_to_change(restart=True)
            drain(world, container, track)
            stop_and_remove(engine, container, world.lab)
            world.facts.containers.removed.append(container.name)
    for name, sandbox in list(present.sandboxes.items()):
        if name not in wanted or not has_sandbox(wanted[name]):
            engine.remove(sandbox.id)
            del present.sandboxes[name]
    read_machine(
        world, machine, {service.name: wanted_build(world, service) for service in services}
    )


def _upload(world: World, track: Track, *, machine: str) -> None:
    with track.child("upload", machine=machine) as step:
        builds = {
            service.name: wanted_build(world, service) for service in world.services_on(machine)
        }
        keep_previous(world, machine, world.facts.containers.found[machine], builds)
        upload(world, step, machine)


def _leave(world: World, track: Track, *, machine: str) -> None:
    leave_networks(world, track, machine)


def _renew(world: World, track: Track) -> None:
    renew_networks(world, track)


def _start(world: World, track: Track, *, service: Service) -> None:
    """Make all replicas of one service run its build; none of a service that a person stopped."""
    found = world.facts.containers.found[service.machine].containers
    by_name = {container.name: container for container in found}
    if not _awake(world, service) and (holder := world.intercepted().get(service.name)):
        with track.child("container", machine=service.machine, service=service.name) as step:
            step.skip(f"intercepted by {holder.holder}")
        return
    if service.name in world.stopped():
        _stay_stopped(world, track, service, by_name)
        return
    build = wanted_build(world, service)
    networks = network_ids(world, track, service)
    actions = actions_for(world, service, build, by_name, networks)
    todo = [
        name
        for name, action in actions.items()
        if action.kind != "keep" and not world.rests(service.name, name)
    ]
    with track.child("container", machine=service.machine, service=service.name) as step:
        if not todo:
            step.skip("unchanged")
            return
        if ends(actions.values()) and is_debugged(world, service, map(by_name.get, todo)):
            leave(world, service)
            step.skip("left: a debugger is attached")
            return
        job = Job(world, service, build, step, networks)
        reasons = []
        for name in todo:
            with in_turn(world, service, actions[name], by_name.get(name), step):
                reasons.append(carry_out(job, actions[name], by_name.get(name) or name))
        with world.lock:
            world.facts.containers.changed[service.name] = reasons[0]
        step.detail(reasons[0])


def _awake(world: World, service: Service) -> list[str]:
    """Return the names of the containers of a service that should run."""
    return [n for n in replica_names(world.lab, service) if not world.rests(service.name, n)]


def _stay_stopped(
    world: World, track: Track, service: Service, existing: Mapping[str, ContainerState]
) -> None:
    """End what an engine started by itself, for example after a restart of its machine."""
    with track.child("container", machine=service.machine, service=service.name) as step:
        names = [name for name in replica_names(world.lab, service) if name in existing]
        running = [existing[name] for name in names if existing[name].state in ALIVE]
        for container in running:
            world.about_to_change(restart=True)
            stop_container(world.link(service.machine).engine, container, world.lab)
        if running:
            step.detail("stopped")
        else:
            step.skip("stopped: hashlab start")


def _await_ready(world: World, track: Track, *, service: Service) -> None:
    """Wait until all replicas are ready, and those behind a front serve in it."""
    _await_replicas(world, track, service)
    if service.front_of and _awake(world, service):
        await_front(world, service, track)


def _await_replicas(world: World, track: Track, service: Service) -> None:
    """Wait until all replicas are ready. A service that was not touched and is ready makes no row.

    If a service that was not touched, or was only started again, does not get ready, it is replaced
    once: after its machine lost its power, a container may start on a network that is gone.
    """
    containers = world.facts.containers
    names = _awake(world, service)
    if not names or service.name in containers.debugged:
        containers.settled.add(service.name)
        return
    reason = containers.changed.get(service.name, "")
    states = [] if reason else _states(world, service, names)
    if not reason and all(
        state is not None and is_ready(world.lab, service, state) and not keeps_ending(state)
        for state in states
    ):
        containers.settled.add(service.name)
        return
    containers.unsettled = True
    if is_debugged(world, service, states):
        # A process that a breakpoint halts does not answer its health check.
        leave(world, service)
        containers.settled.add(service.name)
        return
    with track.child("healthy", machine=service.machine, service=service.name) as step:
        started_again = reason.startswith(STARTED_AGAIN) and not completes(world.lab, service)
        if not reason or started_again:
            _replace_unready(world, service, step)
        ready = parallel(names, lambda name: wait_ready(world, service, name, step), step.cancel)
        for state in ready:
            if state.state == "exited":
                record_completion(world, service.machine, state)
        step.detail(next((_describe(state) for state in ready), ""))
    containers.settled.add(service.name)


def _describe(state: ContainerState) -> str:
    if state.state == "exited":
        return "completed"
    return "healthy" if state.checked else "running"


def _states(world: World, service: Service, names: list[str]) -> list[ContainerState | None]:
    """Return the states of containers that were not touched: those that this run has read, or new
    ones if something was changed since that they may depend on.
    """
    if world.facts.containers.changed or world.facts.containers.removed:
        engine = world.link(service.machine).engine
        return [engine.container(name) for name in names]
    found = world.facts.containers.found[service.machine].containers
    by_name = {container.name: container for container in found}
    return [by_name.get(name) for name in names]


def _replace_unready(world: World, service: Service, step: Track) -> None:
    """Replace replicas that do not get ready, with their sandboxes. One after another: if several
    were waited for at the same time, the first failure would cancel the run.
    """
    engine = world.link(service.machine).engine
    networks = network_ids(world, step, service)
    for name in _awake(world, service):
        try:
            wait_ready(world, service, name, step, seconds=KEPT_SECONDS)
        except LabError as error:
            world.note(f"{service.name} was replaced: {error.what}")
            reason = "replaced: it did not get ready"
            build = wanted_build(world, service)
            job = Job(world, service, build, step, networks, renew=True)
            carry_out(job, Action("replace", reason), engine.container(name) or name)
            with world.lock:
                world.facts.containers.changed[service.name] = reason
