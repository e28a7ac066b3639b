"""Phase ``network``: the machines' engines form one Swarm with one attachable overlay network."""

from __future__ import annotations

from ipaddress import IPv4Address

from hashlab.config.model import Lab
from hashlab.errors import LabError
from hashlab.phases.world import World
from hashlab.pipeline import Track, parallel
from hashlab.protocols import SwarmState

PORT = 2377
LAB_LABEL = "hashlab.lab"
JOIN_SECONDS = 30.0


def overlay(lab: Lab) -> str:
    """Name of the network every service of the lab is on."""
    return lab.name


def fits(state: SwarmState, *, manager: IPv4Address, is_manager: bool) -> bool:
    """Decide whether an engine is already where it belongs."""
    if not state.active or state.manager != is_manager:
        return False
    return f"{manager}:{PORT}" in state.managers


def join_network(world: World, track: Track, _: str) -> None:
    """Promise: every machine is in the first machine's Swarm and the overlay network exists."""
    first, *others = world.machine_names()
    manager = world.facts.reach[first].address
    engine = world.link(first).engine
    changed: list[str] = []
    if not fits(engine.swarm(), manager=manager, is_manager=True):
        engine.swarm_leave() if engine.swarm().active else None
        engine.swarm_init(str(manager))
        changed.append(first)
    parallel(others, lambda name: _join(world, name, manager, changed), track.cancel)
    world.facts.network = engine.network_id(overlay(world.lab))
    if not world.facts.network:
        labels = {LAB_LABEL: world.lab.id}
        world.facts.network = engine.create_overlay(overlay(world.lab), labels)
        changed.append("overlay")
    if changed:
        track.detail(f"{len(world.lab.machines)} machines, network {overlay(world.lab)}")
    else:
        track.skip("joined already")


def _join(world: World, name: str, manager: IPv4Address, changed: list[str]) -> None:
    engine = world.link(name).engine
    state = engine.swarm()
    if fits(state, manager=manager, is_manager=False):
        return
    if state.active:
        engine.swarm_leave()
    token = world.link(world.machine_names()[0]).engine.swarm_token()
    address = str(world.facts.reach[name].address)
    try:
        engine.swarm_join(address, manager=f"{manager}:{PORT}", token=token)
    except LabError as error:
        error.next_step = error.next_step or "run it again; if it stays: inv destroy, inv dev"
        raise
    changed.append(name)
