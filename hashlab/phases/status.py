"""Makes the document of `hashlab status`, from what provider and machines say now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from hashlab.config.model import Service
from hashlab.documents import unix_time
from hashlab.documents.status import (
    BoxStatus,
    MachineStatus,
    ServiceState,
    ServiceStatus,
    SshAddress,
    Status,
)
from hashlab.errors import LabError, LaptopError
from hashlab.phases.boxes.registry import recipe_manifest, registered_boxes
from hashlab.phases.changes import note_changes
from hashlab.phases.connect import reconnect
from hashlab.phases.containers.body import replica_names
from hashlab.phases.containers.networking import names
from hashlab.phases.containers.phase import wanted_builds
from hashlab.phases.containers.readiness import keeps_ending
from hashlab.phases.exits import last_exits
from hashlab.phases.images import image_inputs
from hashlab.phases.leave import left_notes
from hashlab.phases.names import astray
from hashlab.phases.observe import firing_alerts, store_notes, store_urls
from hashlab.phases.opening import listening
from hashlab.phases.proof import Running, read_back
from hashlab.phases.recipe import stale_notes, unprepared_notes
from hashlab.phases.selfcontained.assemble import fill_known
from hashlab.phases.upload.machine import Intercept
from hashlab.phases.world import World
from hashlab.pipeline import Track, parallel
from hashlab.protocols import ContainerState, ObservedMachine

# States in which a process may listen.
SERVING = ("running", "starting", "unhealthy", "intercepted")


def status_document(world: World, track: Track) -> Status:
    """Return the status of the lab. Changes nothing. Raises HashlabError."""
    observed = {machine.name: machine for machine in world.provider.machines.observe_all(world.lab)}
    running = [name for name, machine in observed.items() if machine.state == "running"]
    errors = dict(parallel(running, lambda name: _try_connect(world, track, name), track.cancel))
    box, recipe = _box(world)
    for image in world.lab.images:
        world.facts.images.inputs[image.name] = image_inputs(world, image)
    fill_known(world)
    recipes = {name: machine.recipe for name, machine in observed.items()}
    machines = tuple(
        _machine(world, name, observed.get(name), recipe, errors.get(name, ""))
        for name in world.machine_names()
    )
    services = _services(world, track, observed)
    services = _with_past(world, track, services, machines)
    serving = {each.name for each in services if each.state in SERVING}
    return Status(
        lab=world.lab.name,
        provider=world.provider.name,
        box=box,
        machines=machines,
        services=services,
        urls={
            **store_urls(world),
            **(listening(world, serving) if world.facts.machines.endpoints else {}),
        },
        notes=(
            *world.lab.notes,
            *store_notes(world, running),
            *world.facts.notes,
            *left_notes(world),
            *_stale_notes(world, recipe, box, recipes),
        ),
        alerts=firing_alerts(world),
    )


def _box(world: World) -> tuple[BoxStatus | None, str]:
    """Return the state of the lab's box, None if its machines have none, and the recipe that the
    machines should have.
    """
    if world.provider.hosts is not None:
        return None, world.provider.hosts.recipe
    manifest = recipe_manifest(world)
    registered = {box.recipe for box in registered_boxes(world)}
    box = BoxStatus(
        name=manifest.name,
        version=manifest.version,
        recipe=manifest.recipe,
        registered=bool(registered),
        stale=bool(registered) and manifest.recipe not in registered,
    )
    return box, manifest.recipe


def _stale_notes(
    world: World, recipe: str, box: BoxStatus | None, machines: Mapping[str, str]
) -> list[str]:
    if box is None:
        known = {name: each for name, each in machines.items() if each}
        return unprepared_notes(recipe, known)
    return stale_notes(recipe, {each.recipe for each in registered_boxes(world)}, machines)


def _with_past(
    world: World,
    track: Track,
    services: Sequence[ServiceStatus],
    machines: Sequence[MachineStatus],
) -> tuple[ServiceStatus, ...]:
    """Add since when each replica is healthy, and how it ended last; record what has happened."""
    names = {
        (service.machine, service.name, number): name
        for service in world.lab.services
        for number, name in enumerate(replica_names(world.lab, service), start=1)
    }
    own = {(machine, name) for (machine, _, _), name in names.items()}
    found = {
        machine: [each for each in present.containers if (machine, each.name) in own]
        for machine, present in world.facts.containers.found.items()
    }
    states = {machine.name: machine.state for machine in machines}
    healthy: Mapping[tuple[str, str], float | None] = {}
    try:
        healthy = note_changes(world, states, found)
    except LaptopError as error:
        world.note(f"what has happened could not be recorded: {error.where}: {error.what}")
    exits = last_exits(world, found, track)

    def with_past(row: ServiceStatus) -> ServiceStatus:
        place = row.machine, names[row.machine, row.name, row.replica]
        # A process of the laptop took its place: it has not ended by itself.
        last = None if row.state == "intercepted" else exits.get(place)
        return replace(row, healthy_since=healthy.get(place), last_exit=last)

    return tuple(map(with_past, services))


def _try_connect(world: World, track: Track, name: str) -> tuple[str, str]:
    try:
        reconnect(world, track, name)
    except LabError as error:
        advice = f"; {error.next_step}" if error.next_step else ""
        world.note(f"machine {name}: {error.what}{advice}")
        return name, error.what
    return name, ""


def _machine(
    world: World, name: str, machine: ObservedMachine | None, recipe: str, error: str
) -> MachineStatus:
    planned = world.machine(name).address
    address = "" if planned.is_unspecified else str(planned)
    if machine is None:
        return MachineStatus(name, address, "not created", ssh=None, recipe=None, stale=False)
    endpoint = machine.endpoint
    return MachineStatus(
        name,
        str(machine.address or address),
        "unreachable" if error else machine.state,
        ssh=SshAddress(endpoint.host, endpoint.port, endpoint.user) if endpoint else None,
        recipe=machine.recipe or None,
        stale=bool(machine.recipe) and machine.recipe != recipe
        if world.provider.hosts
        else machine.recipe != recipe,
    )


def _services(
    world: World, track: Track, observed: Mapping[str, ObservedMachine]
) -> tuple[ServiceStatus, ...]:
    wanted = wanted_builds(world)
    found = {
        (running.machine, running.container.name): running
        for running in read_back(world, wanted, track.cancel)
    }
    lost = {name.name: str(name) for name in astray(world, world.facts.containers.found, track)}
    rows = []
    for service in world.lab.services:
        build = wanted[service.name].id
        for number, name in enumerate(replica_names(world.lab, service), start=1):
            running = found.get((service.machine, name))
            holder = world.intercepted().get(service.name)
            if running:
                row = _found(service, number, build, running)
                if holder is not None and holder.holds(name) and row.state == "ended":
                    row = _intercepted(row, holder)
                elif service.name in world.stopped() and row.state == "ended":
                    row = replace(row, state="stopped", stopped_by="command", exit_code=None)
            elif service.name in world.stopped() and service.machine in world.facts.machines.links:
                row = _not_found(world, service, number, build, {})
                row = replace(row, state="stopped", stopped_by="command")
            else:
                row = _not_found(world, service, number, build, observed)
            rows.append(replace(row, problem=row.problem or lost.get(names(service)[0])))
    return tuple(rows)


def _found(service: Service, number: int, build: str, running: Running) -> ServiceStatus:
    container = running.container
    state = service_state(container)
    is_over = state in ("ended", "restarting") and container.state != "running"
    since = unix_time(container.finished_at if is_over else container.started_at)
    return ServiceStatus(
        name=service.name,
        machine=service.machine,
        replica=number,
        state=state,
        # Docker's year 1 stands for "never".
        since=since if since and since > 0 else None,
        restarts=container.restarts,
        exit_code=container.exit_code if state == "ended" else None,
        stopped_by="pause" if state == "stopped" else None,
        health=container.health or None,
        build=build,
        running_build=running.build or None,
        stale=running.stale or None,
        problem=running.down or None,
        holder=None,
    )


def _intercepted(row: ServiceStatus, intercept: Intercept) -> ServiceStatus:
    return replace(
        row,
        state="intercepted",
        holder=intercept.holder,
        since=float(intercept.since),
        exit_code=None,
        stale=None,
        problem=None,
    )


def service_state(container: ContainerState) -> ServiceState:
    """Return the state of a container that its engine has. Pure.

    The engine does not record who ended a container, so one that was stopped by hand has "ended".
    """
    if container.state == "paused":
        return "stopped"
    if container.state == "restarting" or keeps_ending(container):
        return "restarting"
    if container.state == "created":
        return "starting"
    if container.state != "running":
        return "ended"
    by_health: dict[str, ServiceState] = {"starting": "starting", "unhealthy": "unhealthy"}
    return by_health.get(container.health, "running")


def _not_found(
    world: World,
    service: Service,
    number: int,
    build: str,
    observed: Mapping[str, ObservedMachine],
) -> ServiceStatus:
    """Describe a replica that was not seen: its machine is stopped or does not answer, or it does
    not exist. Of a lab that was never created, nothing is a problem.
    """
    machine = observed.get(service.machine)
    state: ServiceState = "not created"
    problem: str | None = "it does not exist" if observed else None
    if machine is not None and machine.state != "running":
        state, problem = "stopped", f"its machine is {machine.state}"
    elif machine is not None and service.machine not in world.facts.machines.links:
        state, problem = "unknown", "its machine does not answer"
    return ServiceStatus(
        name=service.name,
        machine=service.machine,
        replica=number,
        state=state,
        since=None,
        restarts=None,
        exit_code=None,
        stopped_by="machine" if state == "stopped" else None,
        health=None,
        build=build,
        running_build=None,
        stale=None,
        problem=problem,
        holder=None,
    )
