"""Phase ``connect``: connects to machines over SSH, and caches their endpoints."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from ipaddress import IPv4Address
from typing import Any

from hashlab.errors import EngineHangs, EngineStopped, LabError
from hashlab.phases.facts import MachineEndpoint
from hashlab.phases.keys import ensure_key, write_ssh_files
from hashlab.phases.suspend import check_not_suspended
from hashlab.phases.world import World
from hashlab.pipeline import Track
from hashlab.protocols import LAB_LABEL, Endpoint
from hashlab.state.files import is_file, read_json, write_json

CONNECT_SECONDS = 120.0
POLL_SECONDS = 0.2
# Characters of hosts, users and keys; any other could begin another line of OpenSSH's files.
WORD = re.compile(r"[A-Za-z0-9._:+/=@-]+")


def connect(world: World, track: Track, machine: str) -> None:
    """Promise: an SSH connection to the machine is open, its host key pinned, its engine answers,
    started if it was stopped, restarted if it hung. Does not wait for Vagrant to end: a machine is
    used from the moment it answers.
    """
    _connect(world, track, machine, starting=True)


def _connect(world: World, track: Track, machine: str, *, starting: bool) -> None:
    # A host that is there already is not about to boot.
    seconds = CONNECT_SECONDS if world.provider.booting else 0.0
    deadline = time.monotonic() + seconds * world.provider.time_factor
    while True:
        try:
            _connect_once(world, machine)
            break
        except EngineStopped as error:
            if not starting or time.monotonic() > deadline:
                raise
            _start_engine(world, track, machine, hangs=isinstance(error, EngineHangs))
        except LabError as error:
            if time.monotonic() > deadline:
                raise
            track.detail(error.what)
        # Each look costs the engine that boots the machines; a person does not notice this pause.
        track.cancel.wait(POLL_SECONDS)
    endpoint = world.facts.machines.endpoints[machine]
    track.detail(f"{endpoint.address}, SSH on port {endpoint.ssh.port}")


def _start_engine(world: World, track: Track, machine: str, *, hangs: bool) -> None:
    state, act = ("hangs", "restarting") if hangs else ("is stopped", "starting")
    track.detail(f"its engine {state}; {act} it")
    observed = world.provider.machines.observe(world.lab, machine)
    host_key = world.provider.machines.host_key(world.lab, machine)
    if observed is not None and observed.endpoint is not None:
        world.connector.start_engine(machine, observed.endpoint, host_key, hangs=hangs)
        what = "did not answer, and was restarted" if hangs else "was stopped, and was started"
        world.note(f"the Docker Engine of machine {machine} {what}")


def _connect_once(world: World, machine: str) -> None:
    """Try to connect."""
    located = _located(world, machine)
    link = world.connector.connect(machine, located.ssh, located.host_key)
    _add_endpoint(world, machine, located)
    world.add_link(link)


def renew_endpoint(world: World, machine: str) -> None:
    """Ask the provider where a running machine answers now, and cache that for OpenSSH too.

    Raises LabError if it does not answer yet.
    """
    _add_endpoint(world, machine, _located(world, machine))


def is_located(world: World, machine: str) -> bool:
    """Return whether an endpoint of the machine is cached, in OpenSSH's file too."""
    return _cached(world, machine) is not None


def _located(world: World, machine: str) -> MachineEndpoint:
    """Return where a machine answers. The cheap checks come first, because this is repeated
    often.
    """
    found = world.provider.machines.observe(world.lab, machine)
    if found is None or found.state != "running" or found.endpoint is None or not found.address:
        raise LabError("the machine is not up yet", where=machine)
    if not world.connector.answers(found.endpoint):
        raise LabError("sshd does not answer yet", where=machine)
    host_key = world.provider.machines.host_key(world.lab, machine)
    if not host_key:
        raise LabError("the machine has no host key yet", where=machine)
    return MachineEndpoint(
        found.endpoint, host_key, found.address, dict(found.forwarded), found.recipe
    )


def _add_endpoint(world: World, machine: str, endpoint: MachineEndpoint) -> None:
    with world.lock:
        world.facts.machines.endpoints[machine] = endpoint
        remember(world)


def remember(world: World) -> None:
    """Cache endpoints and host keys for the next run and for `ssh -F`: those of this run, and the
    cached ones of machines that it has not reached yet, or that are to leave.
    """
    endpoints: dict[str, MachineEndpoint] = {}
    for name in (*world.machine_names(), *left_machines(world)):
        known = world.facts.machines.endpoints.get(name) or _cached(world, name)
        if known:
            endpoints[name] = known
    write_json(world.state.machines, {name: _to_json(one) for name, one in endpoints.items()})
    write_ssh_files(world, endpoints)


def left_machines(world: World) -> list[str]:
    """Return the machines of earlier runs that hashlab.toml no longer has."""
    cache = read_json(world.state.machines)
    return sorted(cache.keys() - set(world.machine_names())) if isinstance(cache, dict) else []


def forget_machine(world: World, machine: str) -> None:
    """Forget the endpoint of a machine that is gone."""
    cache = read_json(world.state.machines)
    if isinstance(cache, dict) and machine in cache:
        write_json(world.state.machines, {n: one for n, one in cache.items() if n != machine})


def renew_ssh_files(world: World) -> None:
    """Write OpenSSH's files from the cached endpoints where they differ. Files that came with the
    lab's folder could name a program to run.
    """
    cached = ((name, _cached(world, name)) for name in world.machine_names())
    write_ssh_files(world, {name: endpoint for name, endpoint in cached if endpoint})
    world.facts.machines.ssh_files = True


def reconnect(world: World, track: Track, machine: str) -> None:
    """Promise: as ``connect``, for a lab that should run. Uses the cache, and asks the provider
    only if the cache is wrong. Vagrant is never called.
    """
    check_not_suspended(world, machine)
    endpoint = _cached(world, machine)
    if endpoint:
        try:
            link = world.connector.connect(machine, endpoint.ssh, endpoint.host_key)
        except EngineStopped:
            raise
        except LabError as error:
            track.detail(f"cache is old: {error.what}")
        else:
            with world.lock:
                world.facts.machines.endpoints[machine] = endpoint
                if not world.facts.machines.ssh_files:
                    renew_ssh_files(world)
            world.add_link(link)
            track.detail(f"{endpoint.address}, SSH on port {endpoint.ssh.port}")
            return
    _reconnect_by_provider(world, track, machine)


def _reconnect_by_provider(world: World, track: Track, machine: str) -> None:
    found = world.provider.machines.observe(world.lab, machine)
    if found is None or found.state != "running":
        state = found.state if found else "not there"
        raise LabError(f"the machine is {state}", where=machine, next_step="hashlab dev")
    if world.provider.booting is not None:
        world.provider.booting.adopt(world.lab, ensure_key(world))
    _connect(world, track, machine, starting=False)


def connect_restored(world: World, track: Track, machine: str) -> None:
    """Promise: as ``connect``; as ``reconnect`` if the restore kept the machines."""
    (reconnect if world.facts.restored.put_back else connect)(world, track, machine)


def silent(world: World) -> list[str]:
    """Return the machines that do not answer now, or whose engine does not. Waits for none.

    Raises HashlabError if the provider cannot be asked.
    """
    return [name for name in world.machine_names() if not _answers(world, name)]


def _answers(world: World, machine: str) -> bool:
    cached = _cached(world, machine)
    if cached is None or not world.connector.answers(cached.ssh):
        observed = world.provider.machines.observe(world.lab, machine)
        if observed is None or observed.state != "running" or observed.endpoint is None:
            return False
        return world.connector.answers(observed.endpoint)
    try:
        link = world.connector.connect(machine, cached.ssh, cached.host_key)
    except EngineStopped:
        return False
    except LabError:
        return True  # another machine answers there: ``reconnect`` then asks the provider
    world.facts.machines.links[machine] = link
    try:
        link.engine.containers({LAB_LABEL: world.lab.id})
    except LabError:
        return False
    return True


def _to_json(endpoint: MachineEndpoint) -> dict[str, Any]:
    return {
        "host": endpoint.ssh.host,
        "port": endpoint.ssh.port,
        "user": endpoint.ssh.user,
        "host_key": endpoint.host_key,
        "address": str(endpoint.address),
        "forwarded": {str(guest): host for guest, host in endpoint.forwarded.items()},
        "recipe": endpoint.recipe,
    }


def _from_json(value: Mapping[str, Any]) -> MachineEndpoint:
    for text in (value["host"], value["user"], *value["host_key"].split(" ")):
        if not WORD.fullmatch(text):
            raise ValueError(f"not valid in an endpoint: {text!r}")
    return MachineEndpoint(
        Endpoint(value["host"], int(value["port"]), value["user"]),
        value["host_key"],
        IPv4Address(value["address"]),
        {int(guest): int(host) for guest, host in value["forwarded"].items()},
        value["recipe"],
    )


def _cached(world: World, machine: str) -> MachineEndpoint | None:
    """Return what an earlier run cached of a machine, if all of it is still on disk."""
    cache = read_json(world.state.machines)
    if not isinstance(cache, dict) or machine not in cache:
        return None
    # Only machines that hashlab made accept the lab's own key.
    if world.provider.booting is not None and not is_file(world.state.key):
        return None
    try:
        return _from_json(cache[machine]) if is_file(world.state.ssh_config) else None
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
