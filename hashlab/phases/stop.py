"""Phases ``stop`` and ``stop and remove``: end the containers of services without new ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby

from hashlab.config.model import Lab
from hashlab.errors import LabError
from hashlab.phases.changes import note_ended
from hashlab.phases.containers.actions import ALIVE, stop_and_remove, stop_container
from hashlab.phases.containers.body import SERVICE_LABEL
from hashlab.phases.containers.fronts import drain
from hashlab.phases.containers.hooks import before_stop
from hashlab.phases.containers.phase import observe_containers
from hashlab.phases.containers.renewal import remove_network
from hashlab.phases.containers.sandbox import Present
from hashlab.phases.world import World
from hashlab.pipeline import Track, parallel
from hashlab.protocols import LAB_LABEL, ContainerState, Engine
from hashlab.state.files import remove, write_json

Place = tuple[str, ContainerState]


def save_stopped(world: World, services: Iterable[str]) -> None:
    """Save the services that no run starts until a person does."""
    names = frozenset(services)
    world.facts.stopped = names
    if names:
        write_json(world.state.stopped, sorted(names), lasting=True)
    else:
        remove(world.state.stopped)


def stop_services(world: World, track: Track, _: str, *, services: Sequence[str]) -> None:
    """Promise: no container of these services runs. A service ends before those that it needs."""
    running = [
        place
        for place in _existing(observe_containers(world))
        if place[1].state in ALIVE and place[1].labels.get(SERVICE_LABEL) in services
    ]
    if not running:
        track.skip("none runs")
        return
    world.about_to_change(restart=True)

    def stop(engine: Engine, container: ContainerState, lab: Lab) -> None:
        drain(world, container, track)
        stop_container(engine, container, lab)

    _end(world, track, running, stop)
    note_ended(world, [(machine, container.name) for machine, container in running])
    track.detail(", ".join(container.name for _, container in running))


def restart_services(world: World, track: Track, _: str, *, services: Sequence[str]) -> None:
    """Promise: phase ``containers`` restarts the running containers of these services, which have
    several replicas, in turn.
    """
    world.facts.containers.restarting |= set(services)
    track.detail(", ".join(services))


def remove_containers(world: World, track: Track, _: str) -> None:
    """Promise: the machines have no container and no network of the lab; volumes stay."""
    found = observe_containers(world)
    existing = _existing(found)
    sandboxes = [(m, s) for m, present in found.items() for s in present.sandboxes.values()]
    leader = world.link(world.machine_names()[0]).engine
    networks = leader.networks_with({LAB_LABEL: world.lab.id})
    if not existing and not sandboxes and not networks:
        track.skip("none there")
        return
    world.about_to_change(restart=True)
    _end(world, track, existing, stop_and_remove)
    parallel(sandboxes, lambda each: world.link(each[0]).engine.remove(each[1].id), track.cancel)
    for network in networks:
        remove_network(world, track, leader, network)
    track.detail(f"{len(existing)} containers, {len(networks)} networks")


def run_pre_stop(world: World, track: Track, machine: str) -> None:
    """Run the ``pre_stop`` hooks of all containers of a machine that is about to end them itself.
    Raises LabError for the first that failed, after all have run.
    """
    if not any(service.pre_stop for service in world.services_on(machine)):
        return
    engine = world.link(machine).engine
    failed: list[LabError] = []
    for container in engine.containers({LAB_LABEL: world.lab.id}):
        track.cancel.check()
        try:
            before_stop(engine, container, world.lab)
        except LabError as error:
            failed.append(error)
    if failed:
        raise failed[0]


def _existing(found: Mapping[str, Present]) -> list[Place]:
    return [(machine, c) for machine, present in found.items() for c in present.containers]


def _end(
    world: World,
    track: Track,
    containers: Sequence[Place],
    act: Callable[[Engine, ContainerState, Lab], None],
) -> None:
    """End containers, those that no other needs first; those of one rank at the same time."""
    ranks = _ranks(world.lab)

    def rank(place: Place) -> int:
        return -ranks.get(place[1].labels.get(SERVICE_LABEL, ""), 0)

    def end(place: Place) -> None:
        machine, container = place
        act(world.link(machine).engine, container, world.lab)

    for _, same in groupby(sorted(containers, key=rank), rank):
        parallel(list(same), end, track.cancel)


def _ranks(lab: Lab) -> dict[str, int]:
    """Return how many services must start one after another until each service has. Pure."""
    needs = {s.name: [d.service for d in s.depends_on] for s in lab.services}
    ranks = dict.fromkeys(needs, 1)
    # The files were checked for circles, so the longest way has each service once.
    for _ in needs:
        for name, others in needs.items():
            ranks[name] = 1 + max((ranks.get(other, 0) for other in others), default=0)
    return ranks
