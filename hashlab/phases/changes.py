"""Finds out what has happened to machines and containers since they were last observed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from hashlab.documents import unix_time
from hashlab.documents.events import EventKind, LabEvent
from hashlab.documents.status import MachineState
from hashlab.phases.containers.body import BUILD_LABEL, SERVICE_LABEL
from hashlab.phases.happened import append_events, read_events, recording
from hashlab.phases.world import World
from hashlab.protocols import ContainerState
from hashlab.state.files import read_json, save_cache

# A machine that was seen like this, and then otherwise, has gone away.
RUNS = "running"


@dataclass(frozen=True)
class Seen:
    """A container as it was observed last. ``healthy_since``: Unix time."""

    id: str
    started: str
    finished: str
    restarts: int
    health: str
    healthy_since: float | None = None


@dataclass
class Observed:
    """All that was observed last. ``containers``: by "MACHINE/NAME"; ``machines``: their states."""

    machines: dict[str, str] = field(default_factory=dict)
    containers: dict[str, Seen] = field(default_factory=dict)


def note_changes(
    world: World,
    machines: Mapping[str, str],
    containers: Mapping[str, Sequence[ContainerState]],
    *,
    now: Callable[[], float] = time.time,
) -> dict[tuple[str, str], float | None]:
    """Record what has happened since the last time; return since when each container is healthy, by
    machine and name. ``machines``: their states; ``containers``: those of the lab, by machine.

    A container is healthy since it was first seen so, if it was at each look since then.
    """
    moment = now()
    with recording(world.state):
        before = _load(world)
        after = Observed({**before.machines, **machines}, dict(before.containers))
        events = _of_machines(before.machines, machines, moment)
        for machine, found in containers.items():
            for gone in [key for key in after.containers if key.startswith(f"{machine}/")]:
                del after.containers[gone]
            events += _of_containers(world, machine, found, before=before, after=after, now=moment)
        _record(world, before, after, events)
    return {
        (machine, container.name): after.containers[f"{machine}/{container.name}"].healthy_since
        for machine, found in containers.items()
        for container in found
    }


def note_machine(world: World, name: str, state: MachineState) -> None:
    """Record that a machine went away or came back, if that is new. Raises LaptopError."""
    with recording(world.state):
        before = _load(world)
        after = Observed({**before.machines, name: state}, before.containers)
        _record(world, before, after, _of_machines(before.machines, {name: state}, time.time()))


def note_ended(world: World, names: Iterable[tuple[str, str]]) -> None:
    """Save that hashlab itself has ended containers, so that no later look reports an end.
    ``names``: machine and name of each. Raises HashlabError.
    """
    ended = {
        f"{machine}/{name}": _seen(container, None)
        for machine, name in names
        if (container := world.link(machine).engine.container(name)) is not None
    }
    with recording(world.state):
        before = _load(world)
        _record(world, before, Observed(before.machines, {**before.containers, **ended}), [])


def _record(world: World, before: Observed, after: Observed, events: list[LabEvent]) -> None:
    append_events(world.state, sorted(events, key=lambda event: event.time))
    if after != before:
        save_cache(world.state.seen, asdict(after))


def _of_containers(
    world: World,
    machine: str,
    found: Sequence[ContainerState],
    *,
    before: Observed,
    after: Observed,
    now: float,
) -> list[LabEvent]:
    """Return what a machine's containers did, and add how they are to ``after``."""
    events = []
    for container in found:
        key = f"{machine}/{container.name}"
        old = before.containers.get(key)
        if old is not None and old.id != container.id:
            old = None
        service = container.labels.get(SERVICE_LABEL, "")
        by_run = _seen_by_run(world, machine, service) if old is None else None
        after.containers[key] = _seen(container, _healthy_since(container, old, by_run, now))
        if not world.rests(service, container.name):
            events += _of_container(machine, container, old, now)
    return events


def _of_machines(before: Mapping[str, str], after: Mapping[str, str], now: float) -> list[LabEvent]:
    events = []
    for name, state in after.items():
        old = before.get(name)
        if old == RUNS and state not in (RUNS, "not created"):
            events.append(LabEvent(now, "away", machine=name, text=state))
        elif old not in (None, RUNS, "not created") and state == RUNS:
            events.append(LabEvent(now, "back", machine=name))
    return events


def _of_container(
    machine: str, container: ContainerState, old: Seen | None, now: float
) -> list[LabEvent]:
    """Return what a container did by itself since it was seen, or since it was made. Pure."""

    def event(kind: EventKind, at: float, text: str) -> LabEvent:
        number = container.name.rpartition("-")[2]
        return LabEvent(
            time=at,
            event=kind,
            machine=machine,
            service=container.labels.get(SERVICE_LABEL) or None,
            replica=int(number) if number.isdecimal() else None,
            build=container.labels.get(BUILD_LABEL) or None,
            text=text,
        )

    events = []
    runs = container.state == "running"
    finished = ended_at(container)
    if finished and container.finished_at != (old.finished if old else ""):
        code = "and runs again" if runs else f"exit code {container.exit_code}"
        events.append(event("ended", finished, code))
    if container.restarts > (old.restarts if old else 0):
        times = f"{container.restarts} time{'' if container.restarts == 1 else 's'}"
        events.append(event("restarted", unix_time(container.started_at) or now, times))
    if old is not None and runs and old.started == container.started_at:
        if container.health == "unhealthy" != old.health:
            events.append(event("unhealthy", now, ""))
        elif container.health == "healthy" and old.health == "unhealthy":
            events.append(event("healthy", now, ""))
    return events


def ended_at(container: ContainerState) -> float | None:
    """Return when a container last ended, as Unix time. Docker's year 1 stands for "never"."""
    at = unix_time(container.finished_at)
    return at if at is not None and at > 0 else None


def _healthy_since(
    container: ContainerState, old: Seen | None, by_run: float | None, now: float
) -> float | None:
    """Return since when a container is healthy. ``by_run``: when a run last waited for it. Pure."""
    if container.health != "healthy" or container.state != "running":
        return None
    same = old is not None and old.started == container.started_at and old.health == "healthy"
    if same and old is not None and old.healthy_since is not None:
        return old.healthy_since
    started = unix_time(container.started_at)
    if old is None and by_run is not None and started is not None and by_run >= started:
        return by_run
    return now


def _seen_by_run(world: World, machine: str, service: str) -> float | None:
    """Return when a run last saw a service become healthy."""
    for _, event in reversed(read_events(world.state)):
        if (event.event, event.machine, event.service) == ("healthy", machine, service):
            return event.time
    return None


def _seen(container: ContainerState, healthy_since: float | None) -> Seen:
    return Seen(
        container.id,
        container.started_at,
        container.finished_at,
        container.restarts,
        container.health,
        healthy_since,
    )


def _load(world: World) -> Observed:
    saved: Any = read_json(world.state.seen)
    try:
        containers = {str(key): Seen(**value) for key, value in saved["containers"].items()}
        machines = {str(name): str(state) for name, state in saved["machines"].items()}
    except (AttributeError, KeyError, TypeError):
        return Observed()
    return Observed(machines, containers)
