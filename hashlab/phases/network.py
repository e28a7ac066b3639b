"""Phase ``network``: the machines' engines form one Swarm with the lab's overlay networks."""

from __future__ import annotations

import threading
import time
from collections.abc import Hashable, Mapping
from contextlib import nullcontext
from functools import partial
from ipaddress import IPv4Address

from hashlab.config.model import Network
from hashlab.errors import LabError
from hashlab.phases.containers.networking import NETWORK_LABEL, settings_of
from hashlab.phases.hosts import guard_swarm, how_to_join, mark_swarm
from hashlab.phases.programs import FREE_GOSSIP_PORT
from hashlab.phases.world import World
from hashlab.pipeline import Part, Track
from hashlab.protocols import LAB_LABEL, Engine, Link, NetworkState, SwarmState

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


def _known_networks(world: World, link: Link) -> Mapping[str, NetworkState]:
    """Return the lab's networks on a machine that has not been restarted since an earlier run. This
    is quick; an engine runs other programs before it reports its Swarm. A worker knows only the
    networks of its containers.
    """
    return link.engine.networks_with({LAB_LABEL: world.lab.id}) if link.kept else {}


def parts(world: World) -> Mapping[Hashable, Part[World]]:
    """Return one part for each machine: the first makes Swarm and networks, the others join."""
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
    """Promise: every machine is in the first machine's Swarm, and the lab's networks exist, but for
    those that phase ``containers`` makes again.
    """
    if world.facts.network.joined:
        names = [network.name for network in world.lab.networks]
        word = "network" if len(names) == 1 else "networks"
        track.detail(f"{len(world.lab.machines)} machines, {word} {', '.join(names) or 'none'}")
    else:
        track.skip("joined already")


def _make_swarm(world: World, track: Track, *, machine: str) -> None:
    """Make the first machine the manager of a Swarm, and make the lab's networks in it."""
    link = world.link(machine)
    engine = link.engine
    existing = _known_networks(world, link)
    own = {network.name for network in world.lab.networks if not network.external}
    if not own or not own <= set(existing):
        world.facts.network.swarm = _become_leader(world, track, machine)
        existing = engine.networks_with({LAB_LABEL: world.lab.id})
    for network in world.lab.networks:
        _find_or_make(world, engine, network, existing.get(network.name), machine)
    world.facts.network.retired |= set(existing) - own


def _become_leader(world: World, track: Track, machine: str) -> SwarmState:
    address = world.facts.machines.endpoints[machine].address
    engine = world.link(machine).engine
    state = engine.swarm()
    guard_swarm(world, machine, state)
    if is_leader(state, address):
        return state
    mark_swarm(world, machine)
    if state.joined:
        engine.swarm_leave()
    _free_gossip_port(world, track, machine)
    # The network of Swarm's routing mesh stays although nothing uses it: without it a machine
    # that its last container left cannot attach the next one (Docker 20.10).
    engine.swarm_init(str(address))
    state = engine.swarm()
    mark_swarm(world, machine, state.node)
    _await_ready(world, track, engine, state.node)
    world.facts.network.joined.add(machine)
    return state


def _find_or_make(
    world: World, engine: Engine, network: Network, existing: NetworkState | None, machine: str
) -> None:
    """Fill in the id of one network of the lab, or retire one that has other settings."""
    facts = world.facts.network
    if network.external:
        facts.ids[network.name] = _external(engine, network, machine)
    elif existing is None:
        facts.ids[network.name] = make_network(world, engine, network)
        facts.joined.add(machine)
    elif existing.labels.get(NETWORK_LABEL) == settings_of(network):
        facts.ids[network.name] = existing.id
    else:
        facts.retired.add(network.name)


def make_network(world: World, engine: Engine, network: Network) -> str:
    """Make an overlay on the manager, with labels that tell whose it is, and with which settings.
    Return its id. Raises LabError.
    """
    labels = {LAB_LABEL: world.lab.id, NETWORK_LABEL: settings_of(network)}
    try:
        return engine.create_overlay(network, labels)
    except LabError as error:
        if "already exists" in error.what:
            error.next_step = (
                f"the lab did not make it: write external: true for '{network.key}' in the Compose "
                "file to use it, or another name"
            )
        raise


def _external(engine: Engine, network: Network, machine: str) -> str:
    """Return the id of a network that somebody else made. Raises LabError if the machines do not
    share it.
    """
    state = engine.network(network.name)
    make = f"docker network create --driver overlay --attachable {network.name}"
    if state is None:
        raise LabError(
            f"the external network '{network.name}' does not exist",
            where=machine,
            next_step=f"hashlab ssh {machine} --command 'sudo {make}'",
        )
    if state.driver != "overlay" or not state.attachable:
        raise LabError(
            f"the external network '{network.name}' is not an attachable overlay",
            where=machine,
            next_step=f"remove it, then: {make}",
        )
    return state.id


def _join_swarm(world: World, track: Track, *, machine: str, leaving: threading.Lock) -> None:
    """Make another machine join the first machine's Swarm, and leave any other Swarm."""
    link = world.link(machine)
    engine = link.engine
    known = {network.id for network in _known_networks(world, link).values()}
    if known & set(world.facts.network.ids.values()):
        return
    leader = world.link(world.machine_names()[0]).engine
    manager, state = world.facts.network.swarm or leader.swarm(), engine.swarm()
    guard_swarm(world, machine, state)
    if is_member(state, manager):
        return
    mark_swarm(world, machine)
    with leaving if state.joined else nullcontext():
        if state.joined:
            engine.swarm_leave()
        _free_gossip_port(world, track, machine)
        _join(world, machine, leader, manager)
    node = engine.swarm().node
    mark_swarm(world, machine, node)
    _await_ready(world, track, leader, node)
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
        error.next_step = error.next_step or how_to_join(world)
        raise
