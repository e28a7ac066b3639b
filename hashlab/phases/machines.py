"""Phases ``prepare``, ``boot`` and ``connect``: machines that are there, up and reachable."""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

from hashlab.config.model import Machine
from hashlab.errors import LabError, LaptopError
from hashlab.phases.boxes.registry import recipe_manifest, registered_boxes, require_box
from hashlab.phases.keys import ensure_key, write_ssh_files
from hashlab.phases.ports import close_ports_of
from hashlab.phases.staleness import stale_notes
from hashlab.phases.world import Reach, World
from hashlab.pipeline import Track, parallel
from hashlab.protocols import LAB_LABEL, BoxManifest, Endpoint, ObservedMachine, PlannedMachine
from hashlab.statefiles import read_json, write_json, write_text

BOOT_SECONDS = 120.0
CONNECT_SECONDS = 120.0
POLL_SECONDS = 0.2
CANDIDATES = [IPv4Network(f"192.168.{third}.0/24") for third in range(61, 128)]


@dataclass(frozen=True)
class Layout:
    """Where the machines of this run are: addresses and laptop ports, by machine."""

    planned: Mapping[str, PlannedMachine]


def prepare(world: World, track: Track, _: str) -> None:
    """Promise: everything `vagrant up` needs is there: key, Vagrantfile, disks of new machines."""
    box = require_box(world, track)
    _discard_half_restored(world)
    for name in world.provider.machines.discard_half_built(world.lab):
        world.note(f"machine {name} was half built by an earlier run and is made anew")
    observed = {machine.name: machine for machine in world.provider.machines.all(world.lab)}
    world.facts.observed = observed
    layout = lay_out(world, observed)
    public_key = ensure_key(world)
    new = [machine for machine in world.lab.machines if machine.name not in observed]
    world.state.disks_ready.unlink(missing_ok=True)
    for machine in new:
        forget_machine(world, machine.name)
    if new:
        planned = [layout.planned[machine.name] for machine in new]
        world.provider.machines.prepare(world.lab, planned, box, subnet_of(layout), track=track)
    if observed:
        world.provider.machines.adopt(world.lab, world.state.vagrant, public_key)
    write_text(world.state.vagrantfile, vagrantfile(world, layout, box, public_key))
    _note_stale(world, observed)
    if not new:
        track.skip(f"{len(observed)} machines exist")


def _discard_half_restored(world: World) -> None:
    """Machines of which some may be of another instant than the others are no lab."""
    if not world.state.restoring.exists():
        return
    name = world.state.restoring.read_text(encoding="utf-8").strip()
    snapshots = world.provider.snapshots
    if snapshots is not None and not snapshots.outlive_machines:
        raise LabError(
            f"a restore of {name} was cut off, and without the machines {name} is gone, too",
            where=world.lab.name,
            next_step=f"hashlab restore {name}; or, to give all up: hashlab destroy",
        )
    world.provider.machines.discard(world.lab)
    world.state.restoring.unlink()
    world.note(
        f"a restore of {name} was cut off, so the machines are made anew. "
        f"For its data: hashlab restore {name}"
    )


def forget_machine(world: World, name: str) -> None:
    """Remove what Vagrant remembers of a machine that is gone: by it, it would make the next one
    from the same box. What ties it to Vagrant's own list of machines stays.
    """
    for path in (world.state.vagrant / "machines" / name).glob("*/*"):
        if path.name != "index_uuid":
            path.unlink()


def _note_stale(world: World, observed: Mapping[str, ObservedMachine]) -> None:
    registered = {box.recipe for box in registered_boxes(world)}
    machines = {name: machine.recipe for name, machine in observed.items()}
    for note in stale_notes(recipe_manifest(world).recipe, registered, machines):
        world.note(note)


def make_disks(world: World, track: Track, _: str) -> None:
    """Promise: new machines' disks hold what the box holds. Vagrant is already starting; it waits
    for the file this writes before it creates a machine.
    """
    observed = world.facts.observed or {}
    new = [m for m in world.lab.machines if m.name not in observed]
    if new and world.facts.box:
        world.provider.machines.fill_disks(world.lab, new, world.facts.box, track=track)
    else:
        track.skip("no new machines")
    write_text(world.state.disks_ready, "")


def lay_out(world: World, observed: dict[str, ObservedMachine]) -> Layout:
    """Choose addresses and ports: what exists stays, the rest is as configured where free."""
    subnet = _subnet(world)
    if subnet != world.lab.subnet:
        world.note(f"subnet {world.lab.subnet} is in use; this lab took {subnet}")
    ports = lay_out_ports(world, observed)
    return Layout(
        {
            machine.name: PlannedMachine(
                machine, _shifted(machine.address, world.lab.subnet, subnet), ports[machine.name]
            )
            for machine in world.lab.machines
        }
    )


def subnet_of(layout: Layout) -> IPv4Network:
    """The /24 the layout lies in."""
    first = next(iter(layout.planned.values()))
    return IPv4Network(f"{first.address}/24", strict=False)


def _subnet(world: World) -> IPv4Network:
    own = world.provider.machines.own_subnet(world.lab)
    if own:
        return IPv4Network(own)
    taken = [IPv4Network(subnet) for subnet in world.provider.machines.used_subnets(world.lab)]
    taken += world.routes()
    return choose_subnet(world.lab.subnet, taken)


def choose_subnet(wanted: IPv4Network, taken: Sequence[IPv4Network]) -> IPv4Network:
    """``wanted`` where it is free, else the next free /24. Raises LaptopError when none is."""
    candidates = [wanted, *CANDIDATES] if wanted.prefixlen == 24 else [wanted]
    for candidate in candidates:
        if not any(candidate.overlaps(other) for other in taken if other.prefixlen > 0):
            return candidate
    raise LaptopError(
        f"subnet {wanted} is in use and no other is free",
        next_step="set lab.subnet in hashlab.toml to a free one",
    )


def _shifted(address: IPv4Address, old: IPv4Network, new: IPv4Network) -> IPv4Address:
    return new.network_address + (int(address) - int(old.network_address))


def lay_out_ports(
    world: World, observed: Mapping[str, ObservedMachine]
) -> dict[str, dict[int, int]]:
    """Choose the laptop port of every forwarded one: by machine, guest → laptop."""
    ports: dict[str, dict[int, int]] = {}
    given: set[int] = set()
    for machine in world.lab.machines:
        there = observed.get(machine.name)
        ports[machine.name] = {}
        for port in machine.forwarded_ports:
            host = there.forwarded.get(port.guest) if there else None
            if host is None:
                host = free(world, port.host, given)
            if host != port.host:
                world.note(f"port {port.host} ({port.id}) is taken; using {host}")
            given.add(host)
            ports[machine.name][port.guest] = host
    return ports


def free(world: World, wanted: int, given: set[int]) -> int:
    """``wanted`` where that port is free and not given away in this run, else another."""
    if wanted not in given and world.port_is_free(wanted):
        return wanted
    while (port := world.free_port()) in given:
        pass
    return port


def vagrantfile(world: World, layout: Layout, box: BoxManifest, public_key: str) -> str:
    """The rendered Vagrantfile of this run."""

    def values(machine: Machine) -> dict[str, object]:
        planned = layout.planned[machine.name]
        return {
            "name": machine.name,
            "address": str(planned.address),
            "forwarded_ports": [
                {"id": port.id, "guest": port.guest, "host": planned.ports[port.guest]}
                for port in machine.forwarded_ports
            ],
            "settings": world.provider.machines.settings(world.lab, planned, box, public_key),
        }

    return world.render(
        {
            "lab": world.lab.name,
            "provider": world.provider.name,
            "box": {"name": box.name, "version": box.version},
            "user": "core",
            "boot_seconds": round(BOOT_SECONDS * world.provider.patience),
            "private_key": str(world.state.key),
            "wait_for_disk": wait_for(world.state.disks_ready),
            "machines": [values(machine) for machine in world.lab.machines],
        }
    )


def wait_for(path: Path) -> str:
    """A shell command that ends well when the file is there, within a minute."""
    quoted = shlex.quote(str(path))
    look = f"n=0; until [ -e {quoted} ]; do n=$((n+1)); [ $n -lt 600 ] || exit 1; sleep 0.1; done"
    return shlex.join(["sh", "-c", look])


def boot(world: World, track: Track, _: str) -> None:
    """Promise: Vagrant says that every machine is up."""
    observed = world.facts.observed or {}
    running = [m.name for m in observed.values() if m.state == "running"]
    missing = [name for name in world.machine_names() if name not in running]
    if not missing:
        track.skip(f"{len(running)} machines run")
        return
    for name in missing:
        # It would look open for some seconds, though what it leads to is gone.
        close_ports_of(world, track, name)
    box = world.facts.box or require_box(world, track)
    for calls in world.provider.machines.boot_plan(missing, box):
        if len(calls) == 1:
            world.vagrant.up(calls[0], track=track)
        else:
            parallel(calls, lambda names: _up(world, track, names), track.cancel)
    track.detail(f"{', '.join(missing)} up")


def _up(world: World, track: Track, names: Sequence[str]) -> None:
    """One of several calls at once: a row of its own."""
    with track.child("vagrant up", machine=", ".join(names)) as step:
        world.vagrant.up(names, track=step)


def connect(world: World, track: Track, machine: str) -> None:
    """Promise: an SSH connection to the machine is open, its host key pinned. Does not wait for
    Vagrant to end: a machine is used from the moment it answers.
    """
    deadline = time.monotonic() + CONNECT_SECONDS * world.provider.patience
    while True:
        try:
            _connect_once(world, machine)
            break
        except LabError as error:
            if time.monotonic() > deadline:
                raise
            track.detail(error.what)
        # Looking costs the engine that boots the machines: not more often than people notice.
        track.cancel.wait(POLL_SECONDS)
    reach = world.facts.reach[machine]
    track.detail(f"{reach.address}, SSH on port {reach.endpoint.port}")


def _connect_once(world: World, machine: str) -> None:
    """Look from cheap to dear, so that looking again and again costs little."""
    found = world.provider.machines.one(world.lab, machine)
    if found is None or found.state != "running" or found.endpoint is None or not found.address:
        raise LabError("the machine is not up yet", where=machine)
    if not world.connector.answers(found.endpoint):
        raise LabError("sshd does not answer yet", where=machine)
    host_key = world.provider.machines.host_key(world.lab, machine)
    if not host_key:
        raise LabError("the machine has no host key yet", where=machine)
    link = world.connector.connect(machine, found.endpoint, host_key)
    with world.lock:
        world.facts.reach[machine] = Reach(
            found.endpoint, host_key, found.address, dict(found.forwarded), found.recipe
        )
        remember(world)
    world.add_link(link)


def remember(world: World) -> None:
    """Keep endpoints and host keys for the next run, and for `ssh -F`: those of this run, and what
    is cached of machines that it has not reached yet.
    """
    reach: dict[str, Reach] = {}
    for name in world.machine_names():
        known = world.facts.reach.get(name) or _cached(world, name)
        if known:
            reach[name] = known
    write_json(world.state.machines, {name: _to_json(one) for name, one in reach.items()})
    write_ssh_files(world, reach)


def reconnect(world: World, track: Track, machine: str) -> None:
    """Promise: as ``connect``, but for a lab that should run: from the cache, asking the provider
    only when the cache is wrong; Vagrant is never called.
    """
    reach = _cached(world, machine)
    if reach:
        try:
            link = world.connector.connect(machine, reach.endpoint, reach.host_key)
        except LabError as error:
            track.detail(f"cache is old: {error.what}")
        else:
            with world.lock:
                world.facts.reach[machine] = reach
            world.add_link(link)
            track.detail(f"{reach.address}, SSH on port {reach.endpoint.port}")
            return
    _reconnect_by_provider(world, track, machine)


def _reconnect_by_provider(world: World, track: Track, machine: str) -> None:
    found = world.provider.machines.one(world.lab, machine)
    if found is None or found.state != "running":
        state = found.state if found else "not there"
        raise LabError(f"the machine is {state}", where=machine, next_step="hashlab dev")
    public_key = ensure_key(world)
    world.provider.machines.adopt(world.lab, world.state.vagrant, public_key)
    connect(world, track, machine)


def silent(world: World) -> list[str]:
    """Machines of a lab that should run which do not answer now, or their engine; waits for none.

    Raises HashlabError when the provider cannot be asked.
    """
    return [name for name in world.machine_names() if not _answers(world, name)]


def _answers(world: World, machine: str) -> bool:
    reach = _cached(world, machine)
    if reach is None or not world.connector.answers(reach.endpoint):
        found = world.provider.machines.one(world.lab, machine)
        running = found is not None and found.state == "running"
        endpoint = found.endpoint if found is not None and running else None
        return endpoint is not None and world.connector.answers(endpoint)
    try:
        link = world.connector.connect(machine, reach.endpoint, reach.host_key)
    except LabError:
        return True  # another machine answers there: whoever connects asks the provider
    world.facts.links[machine] = link
    try:
        link.engine.containers({LAB_LABEL: world.lab.id})
    except LabError:
        return False
    return True


def _to_json(reach: Reach) -> dict[str, Any]:
    return {
        "host": reach.endpoint.host,
        "port": reach.endpoint.port,
        "user": reach.endpoint.user,
        "host_key": reach.host_key,
        "address": str(reach.address),
        "forwarded": {str(guest): host for guest, host in reach.forwarded.items()},
        "recipe": reach.recipe,
    }


def _from_json(value: Mapping[str, Any]) -> Reach:
    return Reach(
        Endpoint(value["host"], int(value["port"]), value["user"]),
        value["host_key"],
        IPv4Address(value["address"]),
        {int(guest): int(host) for guest, host in value["forwarded"].items()},
        value["recipe"],
    )


def _cached(world: World, machine: str) -> Reach | None:
    """What an earlier run found out about a machine, if all of it is still on disk."""
    cache = read_json(world.state.machines)
    if not isinstance(cache, dict) or machine not in cache or not world.state.key.exists():
        return None
    try:
        return _from_json(cache[machine]) if world.state.ssh_config.exists() else None
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
