"""Removes networks that a lab no longer has, and makes those again whose settings changed."""

from __future__ import annotations

import time

from hashlab.config.model import Service
from hashlab.errors import LabError
from hashlab.phases.containers.actions import ALIVE, stop_and_remove
from hashlab.phases.containers.networking import endpoints
from hashlab.phases.containers.sandbox import Present
from hashlab.phases.network import make_network
from hashlab.phases.world import World
from hashlab.pipeline import Track, parallel
from hashlab.protocols import Engine

POLL_SECONDS = 0.1
# The Swarm's manager hears of the last container's end a moment later.
LEAVING_SECONDS = 30.0
IN_USE = ("in use", "active endpoints")


def leave_networks(world: World, track: Track, machine: str) -> None:
    """Remove the sandboxes of a machine that are on a retired network, with the containers in them
    and with those of no service. Their services start again on the networks that they have now.
    """
    retired = world.facts.network.retired
    if not retired:
        return
    engine, containers = world.link(machine).engine, world.facts.containers
    present = containers.found[machine]
    existing = [c for c in present.containers if c.name not in containers.removed]
    leaving = [c for c in existing if c.state in ALIVE and retired & set(c.networks)]
    sandboxes = {n: s for n, s in present.sandboxes.items() if retired & set(s.networks)}
    if leaving or sandboxes:
        world.about_to_change(restart=True)
        track.detail(f"leaving {', '.join(sorted(retired))}")
    parallel(leaving, lambda container: stop_and_remove(engine, container, world.lab), track.cancel)
    parallel(list(sandboxes.values()), lambda sandbox: engine.remove(sandbox.id), track.cancel)
    containers.found[machine] = Present(
        [c for c in existing if c not in leaving],
        {n: s for n, s in present.sandboxes.items() if n not in sandboxes},
    )


def renew_networks(world: World, track: Track) -> None:
    """Remove the retired networks, and make those again that the lab still has."""
    wanted = {network.name: network for network in world.lab.networks}
    for name in sorted(world.facts.network.retired):
        engine = world.link(world.machine_names()[0]).engine
        network = wanted.get(name)
        try:
            remove_network(world, track, engine, name)
        except LabError as error:
            if network is not None:
                error.next_step = error.next_step or "hashlab dev"
                raise
            world.note(f"the network {name} is no longer needed, and stays: {error.what}")
        else:
            if network is not None:
                world.facts.network.ids[name] = make_network(world, engine, network)


def network_ids(world: World, track: Track, service: Service) -> dict[str, str]:
    """Return the ids of a service's networks, by name. Waits for those that are made again."""
    ids, names = world.facts.network.ids, list(endpoints(world.lab, service))
    while any(name in world.facts.network.retired and name not in ids for name in names):
        track.cancel.wait(POLL_SECONDS)
    return {name: ids[name] for name in names}


def remove_network(world: World, track: Track, engine: Engine, name: str) -> None:
    """Remove a network once the Swarm knows that its last container has left, and wait until the
    manager's own engine has forgotten it: until then the name is taken. Raises LabError.
    """
    deadline = time.monotonic() + LEAVING_SECONDS * world.provider.time_factor
    removed = False
    while True:
        try:
            if not removed:
                engine.remove_network(name)
                removed = True
            if engine.network(name) is None:
                return
            raise LabError(f"network {name} was removed, and is still in use")
        except LabError as error:
            passing = any(sign in error.what for sign in IN_USE)
            if not passing or time.monotonic() > deadline:
                raise
        track.cancel.wait(POLL_SECONDS)
