"""Phase ``network``: the machines' engines form one Swarm with one attachable overlay network."""

from __future__ import annotations

import threading
import time
from collections.abc import Hashable, Mapping
from contextlib import nullcontext
from functools import partial
from ipaddress import IPv4Address

from hashlab.errors import LabError
from hashlab.phases.programs import FREE_GOSSIP_PORT
from hashlab.phases.world import World
from hashlab.pipeline import Part, Track
from hashlab.protocols import LAB_LABEL, Engine, Link, SwarmState

PORT = 2377
READY_SECONDS = 30.0
POLL_SECONDS = 0.05
RESTART_SECONDS = 60.0


def is_leader(state: SwarmState, address: IPv4Address) -> bool:
    """Return whether an engine already manages a Swarm at its machine's address."""
    return state.active and state.manager and state.address == str(address)


def is_member(state: SwarmState, manager: SwarmState) -> bool:
    """Return whether an engine is already a worker of this manager's Swarm, and not of an earlier
    Swarm at the same address.
    """
    return state.active and not state.manager and manager.node in state.managers


def _known_network(world: World, link: Link) -> str:
    """Return the network's id on a machine that has not been restarted since an earlier run. This
    is quick; an engine runs other programs before it reports its Swarm. Returns "" on a worker on
    which no container of the network runs.
    """
    return link.engine.network_id(world.lab.overlay) if link.kept else ""


def parts(world: World) -> Mapping[Hashable, Part[World]]:
    """Return one part for each machine: the first makes the Swarm and the network, others join."""
    first, *others = world.machine_names()
    # Two machines that leave another Swarm at the same moment wait for each other, and both give
    # up: see programs/free-gossip-port.sh.
    leaving = threading.Lock()
    found: dict[Hashable, Part[World]] = {first: Part(partial(_make_swarm, machine=first), first)}
    for name in others:
        join = partial(_join_swarm, machine=name, leaving=leaving)
        found[name] = Part(join, name, after=frozenset({first}))
    return found


def join_network(world: World, track: Track, _: str) -> None:
    """Promise: every machine is in the first machine's Swarm and the overlay network exists."""
    if world.facts.network.joined:
        track.detail(f"{len(world.lab.machines)} machines, network {world.lab.overlay}")
    else:
        track.skip("joined already")


def _make_swarm(world: World, track: Track, *, machine: str) -> None:
    """Make the first machine the manager of a Swarm, and make the overlay network in it."""
    address = world.facts.machines.endpoints[machine].address
    link = world.link(machine)
    engine = link.engine
    world.facts.network.id = _known_network(world, link)
    if world.facts.network.id:
        return
    state = engine.swarm()
    if not is_leader(state, address):
        if state.joined:
            engine.swarm_leave()
        _free_gossip_port(world, track, machine)
        # The network of Swarm's routing mesh stays although nothing uses it: without it a machine
        # that its last container left cannot attach the next one (Docker 20.10).
        engine.swarm_init(str(address))
        state = engine.swarm()
        _await_ready(world, track, engine, state.node)
        world.facts.network.joined.add(machine)
    world.facts.network.swarm = state
    world.facts.network.id = engine.network_id(world.lab.overlay)
    if not world.facts.network.id:
        labels = {LAB_LABEL: world.lab.id}
        world.facts.network.id = engine.create_overlay(world.lab.overlay, labels)
        world.facts.network.joined.add(machine)


def _join_swarm(world: World, track: Track, *, machine: str, leaving: threading.Lock) -> None:
    """Make another machine join the first machine's Swarm, and leave any other Swarm."""
    link = world.link(machine)
    engine = link.engine
    if _known_network(world, link) == world.facts.network.id:
        return
    leader = world.link(world.machine_names()[0]).engine
    manager, state = world.facts.network.swarm or leader.swarm(), engine.swarm()
    if is_member(state, manager):
        return
    with leaving if state.joined else nullcontext():
        if state.joined:
            engine.swarm_leave()
        _free_gossip_port(world, track, machine)
        _join(world, machine, leader, manager)
    _await_ready(world, track, leader, engine.swarm().node)
    world.facts.network.joined.add(machine)


def _free_gossip_port(world: World, track: Track, machine: str) -> None:
    """Restart an engine that still listens for a Swarm it left, before it joins another."""
    argv = ["sh", "-c", FREE_GOSSIP_PORT, "sh"]
    done = world.link(machine).shell.run(argv, timeout=RESTART_SECONDS * world.provider.time_factor)
    if done.code != 0:
        raise LabError(
            "the engine still listens for a Swarm it left, and could not be restarted",
            where=machine,
            output=done.stderr,
            next_step=f"hashlab ssh {machine} --command 'sudo systemctl status docker'",
        )
    if done.stdout:
        track.output(f"{machine}: engine restarted, it still listened for the Swarm it left")


def _await_ready(world: World, track: Track, leader: Engine, node: str) -> None:
    """Wait until the manager knows a member. A container that is started before that is not
    attached to the network: its engine waits for half a minute, and gives up.
    """
    deadline = time.monotonic() + READY_SECONDS * world.provider.time_factor
    while not leader.swarm_ready(node):
        if time.monotonic() > deadline:
            raise LabError(
                f"member {node} of the Swarm does not get ready",
                where=world.lab.name,
                next_step="run it again; if it stays: hashlab destroy",
            )
        track.cancel.wait(POLL_SECONDS)


def _join(world: World, name: str, leader: Engine, manager: SwarmState) -> None:
    engine = world.link(name).engine
    token = leader.swarm_token()
    try:
        address = str(world.facts.machines.endpoints[name].address)
        engine.swarm_join(address, manager=f"{manager.address}:{PORT}", token=token)
    except LabError as error:
        error.next_step = error.next_step or "run it again; if it stays: hashlab destroy"
        raise
