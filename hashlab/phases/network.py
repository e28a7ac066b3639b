"""Phase ``network``: the machines' engines form one Swarm with one attachable overlay network."""

from __future__ import annotations

from collections.abc import Sequence
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
    strangers = _strangers(world, others, state, track)
    parallel(strangers, lambda name: _join(world, name, state), track.cancel)
    changed += strangers
    world.facts.network = engine.network_id(overlay(world.lab))
    if not world.facts.network:
        labels = {LAB_LABEL: world.lab.id}
        world.facts.network = engine.create_overlay(overlay(world.lab), labels)
        changed.append("overlay")
    if changed:
        track.detail(f"{len(world.lab.machines)} machines, network {overlay(world.lab)}")
    else:
        track.skip("joined already")


def _strangers(world: World, names: Sequence[str], manager: SwarmState, track: Track) -> list[str]:
    """Those machines that are not in the manager's Swarm, and now in no other either.

    They leave the other one in turn: of two that leave at the same moment each waits for the other
    to hear of it, gives up, and keeps its port (Docker 20.10). Then it can join a Swarm, but not
    its networks.
    """
    states = parallel(names, lambda name: world.link(name).engine.swarm(), track.cancel)
    found = {
        name: state
        for name, state in zip(names, states, strict=True)
        if not is_member(state, manager)
    }
    for name, state in found.items():
        if state.joined:
            world.link(name).engine.swarm_leave()
    return list(found)


def _join(world: World, name: str, manager: SwarmState) -> None:
    engine = world.link(name).engine
    token = world.link(world.machine_names()[0]).engine.swarm_token()
    try:
        engine.swarm_join(
            str(world.facts.reach[name].address), manager=f"{manager.address}:{PORT}", token=token
        )
    except LabError as error:
        error.next_step = error.next_step or "run it again; if it stays: hashlab destroy"
        raise
