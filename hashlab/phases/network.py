"""Phase ``network``: the machines' engines form one Swarm with one attachable overlay network."""

from __future__ import annotations

from ipaddress import IPv4Address

from hashlab.config.model import Lab
from hashlab.errors import LabError
from hashlab.phases.world import World
from hashlab.pipeline import Track, parallel
from hashlab.protocols import LAB_LABEL, SwarmState

PORT = 2377


def overlay(lab: Lab) -> str:
    """Name of the network every service of the lab is on."""
    return lab.name


def is_leader(state: SwarmState, address: IPv4Address) -> bool:
    """Decide whether an engine already manages a Swarm at its machine's address."""
    return state.active and state.manager and state.address == str(address)


def is_member(state: SwarmState, manager: SwarmState) -> bool:
    """Decide whether an engine is already a worker of this manager's Swarm, and not of an earlier
    one at the same address.
    """
    return state.active and not state.manager and manager.node in state.managers


def join_network(world: World, track: Track, _: str) -> None:
    """Promise: every machine is in the first machine's Swarm and the overlay network exists."""
    first, *others = world.machine_names()
    address = world.facts.reach[first].address
    engine = world.link(first).engine
    changed: list[str] = []
    state = engine.swarm()
    if not is_leader(state, address):
        if state.joined:
            engine.swarm_leave()
        # The network of Swarm's routing mesh stays although nothing uses it: without it a machine
        # that its last container left cannot attach the next one (Docker 20.10).
        engine.swarm_init(str(address))
        state = engine.swarm()
        changed.append(first)
    parallel(others, lambda name: _join(world, name, state, changed), track.cancel)
    world.facts.network = engine.network_id(overlay(world.lab))
    if not world.facts.network:
        labels = {LAB_LABEL: world.lab.id}
        world.facts.network = engine.create_overlay(overlay(world.lab), labels)
        changed.append("overlay")
    if changed:
        track.detail(f"{len(world.lab.machines)} machines, network {overlay(world.lab)}")
    else:
        track.skip("joined already")


def _join(world: World, name: str, manager: SwarmState, changed: list[str]) -> None:
    engine = world.link(name).engine
    state = engine.swarm()
    if is_member(state, manager):
        return
    if state.joined:
        engine.swarm_leave()
    token = world.link(world.machine_names()[0]).engine.swarm_token()
    try:
        engine.swarm_join(
            str(world.facts.reach[name].address), manager=f"{manager.address}:{PORT}", token=token
        )
    except LabError as error:
        error.next_step = error.next_step or "run it again; if it stays: hashlab destroy"
        raise
    changed.append(name)
