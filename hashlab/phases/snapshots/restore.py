"""Phases that bring a lab back to a snapshot."""

from __future__ import annotations

from ipaddress import IPv4Network

from hashlab.errors import UsageError
from hashlab.phases.addresses import free_subnet, plan_ports
from hashlab.phases.keys import ensure_key
from hashlab.phases.ports import close_ports
from hashlab.phases.snapshots.manifests import check_name, find, snapshots_of
from hashlab.phases.world import World
from hashlab.pipeline import Track
from hashlab.protocols import ObservedMachine, PlannedMachine, SnapshotManifest
from hashlab.state.files import is_file, remove, write_text


def check_snapshot(world: World, track: Track, _: str, *, name: str) -> None:
    """Promise: the snapshot is this lab's, and its parts exist."""
    check_name(name)
    manifest = find(world, name)
    track.detail(f"taken {manifest.taken}")


def check_new_lab(world: World, track: Track, _: str, *, name: str) -> None:
    """Promise: as ``check_snapshot``, and no machine would be lost."""
    check_snapshot(world, track, _, name=name)
    existing = [machine.name for machine in world.provider.machines.observe_all(world.lab)]
    if existing:
        raise UsageError(
            f"the lab exists already: {', '.join(existing)}",
            where=world.lab.name,
            next_step=f"hashlab restore {name} replaces it by the snapshot",
        )


def restore_machines(world: World, track: Track, _: str, *, name: str) -> None:
    """Promise: the machines are those of the snapshot, up or booting, except for the work left to
    ``put_back``. Vagrant was not called.
    """
    manifest = find(world, name)
    observed = {machine.name: machine for machine in world.provider.machines.observe_all(world.lab)}
    subnet = _subnet(world, manifest)
    planned = _plan(world, manifest, observed, subnet)
    public_key = ensure_key(world)
    world.facts.restored.put_back = snapshots_of(world).restore(
        world.lab,
        manifest,
        planned,
        subnet,
        public_key,
        # An interrupted restore may have exchanged part of the data.
        may_stay=not is_file(world.state.restoring),
        about_to_change=lambda machines_go: _about_to_change(world, track, name, machines_go),
        track=track,
    )
    if not world.facts.restored.put_back:
        world.booting.adopt(world.lab, public_key)
        remove(world.state.restoring)


def _about_to_change(world: World, track: Track, name: str, machines_go: bool) -> None:
    """Record that a restore has begun; forget everything cached of machines that go."""
    if machines_go:
        # Tunnels would look open for some seconds although their machines are gone.
        close_ports(world, track)
    write_text(world.state.restoring, f"{name}\n", lasting=True)
    world.about_to_change()
    if machines_go:
        remove(world.state.machines)
        for machine in world.machine_names():
            world.booting.forget(machine)


def put_back(world: World, track: Track, _: str) -> None:
    """Promise: the data of containers on machines that stayed is the snapshot's, and none of these
    containers runs.
    """
    if not world.facts.restored.put_back:
        track.skip("came with the machines")
        return
    world.facts.restored.put_back()
    remove(world.state.restoring)


def _subnet(world: World, manifest: SnapshotManifest) -> IPv4Network:
    """Return the snapshot's own subnet if it is still free, else another."""
    own = world.booting.own_subnet(world.lab)
    return free_subnet(world, manifest.subnet, own)


def _plan(
    world: World,
    manifest: SnapshotManifest,
    observed: dict[str, ObservedMachine],
    subnet: IPv4Network,
) -> list[PlannedMachine]:
    kept = {machine.name: machine for machine in manifest.machines}
    ports = plan_ports(world, observed, {name: each.ssh_port for name, each in kept.items()})
    planned = []
    for machine in world.lab.machines:
        offset = int(kept[machine.name].address) - int(manifest.subnet.network_address)
        address = subnet.network_address + offset
        planned.append(PlannedMachine(machine, address, ports[machine.name]))
    return planned
