"""Phases for hosts that are there already: prepare them, and remove a lab and nothing else."""

from __future__ import annotations

from collections.abc import Sequence

from hashlab.errors import EngineStopped, LabError
from hashlab.phases.connect import reconnect
from hashlab.phases.containers.body import replica_names
from hashlab.phases.containers.sandbox import sandbox_name
from hashlab.phases.ports import close_ports_of
from hashlab.phases.upload.laptop import home
from hashlab.phases.world import World
from hashlab.pipeline import Track, parallel
from hashlab.protocols import LAB_LABEL, Hosts, Link, SwarmState

# Names the Swarm that hashlab made on a host: "making", then its own node id there.
SWARM_FILE = "/etc/hashlab/swarm"
MAKING = "making"
REMOVE_SECONDS = 60.0


def are_hosts(world: World) -> bool:
    """Return whether the machines of the lab exist without hashlab."""
    return world.provider.hosts is not None


def are_made(world: World) -> bool:
    """Return whether hashlab makes the machines of the lab."""
    return world.provider.hosts is None


def hosts_of(world: World) -> Hosts:
    """Return the hosts of the lab."""
    if world.provider.hosts is None:
        raise RuntimeError("hashlab makes these machines")
    return world.provider.hosts


def connect_host(world: World, track: Track, machine: str) -> None:
    """Promise: as ``connect.reconnect``. An engine that is stopped or hangs is left alone, because
    it may be somebody else's.
    """
    try:
        reconnect(world, track, machine)
    except EngineStopped as error:
        raise LabError(
            error.what,
            where=machine,
            next_step=f"hashlab ssh {machine} --command 'sudo systemctl restart docker'",
        ) from error


def plan_hosts(world: World, track: Track, _: str) -> None:
    """Promise: the hosts can run the lab, and reach each other. Changes nothing."""
    plans = hosts_of(world).plan(world.lab)
    for plan in plans:
        for note in plan.notes:
            world.note(f"{plan.machine}: {note}")
    todo = [plan.machine for plan in plans if plan.steps]
    track.detail(f"to prepare: {', '.join(todo)}" if todo else "nothing to do")


def prepare_host(world: World, track: Track, machine: str) -> None:
    """Promise: a host has everything that the lab needs on it. Nothing else of it changes."""
    changed = hosts_of(world).prepare(world.lab, machine, track=track)
    if changed:
        track.detail("; ".join(changed))
    else:
        track.skip("prepared already")


def unprepare_host(world: World, track: Track, machine: str) -> None:
    """Promise: nothing that ``prepare_host`` did is left on a host, but for what others need."""
    stays = hosts_of(world).unprepare(world.lab, machine, track=track)
    for line in stays:
        world.note(f"{machine}: {line}")
    track.detail("as it was before hashlab init-box")


def remove_from_host(world: World, track: Track, machine: str, *, volumes: bool) -> None:
    """Promise: no container, network or file of the lab is left on a host; with ``volumes``, no
    volume either.
    """
    link = world.link(machine)
    close_ports_of(world, track, machine)
    containers = _listed(world, link, "ps", "--all")
    _docker(link, "rm", "--force", "--volumes", names=containers)
    kept = _listed(world, link, "volume", "ls")
    if volumes:
        _docker(link, "volume", "rm", names=kept)
    elif kept:
        world.note(
            f"{machine} keeps {len(kept)} volumes with data of the lab. To remove them too: "
            "hashlab destroy --volumes"
        )
    # The data in volumes was made with the secrets.
    here = home(world.lab)
    gone = (
        [f"{here}/{name}" for name in ("files", "scratch", "previous")]
        if kept and not volumes
        else [here]
    )
    done = link.shell.run(["sudo", "rm", "-rf", "--", *gone], timeout=REMOVE_SECONDS)
    if done.code != 0:
        raise LabError(f"cannot remove {home(world.lab)}", where=machine, output=done.stderr)
    what = [f"{len(containers)} containers"] + ([f"{len(kept)} volumes"] if volumes else [])
    track.detail(", ".join(what))


def remove_networks(world: World, track: Track, _: str) -> None:
    """Promise: the networks of the lab are gone, and the hosts have left the Swarm that the lab
    made. Other Swarms and networks stay.
    """
    first, *others = world.machine_names()
    networks = _listed(world, world.link(first), "network", "ls")
    _docker(world.link(first), "network", "rm", names=networks)
    left = [name for name in (*others, first) if _leave(world, name)]
    track.detail(f"{len(networks)} networks; {', '.join(left) or 'no host'} left the Swarm")


def _leave(world: World, machine: str) -> bool:
    link = world.link(machine)
    state = link.engine.swarm()
    if not state.joined or not _is_own(link, state):
        return False
    link.engine.swarm_leave()
    _write_swarm(link, "")
    return True


def look_at_hosts(world: World, track: Track, machine: str) -> None:
    """Promise: nothing of the lab runs on a host any more."""
    link = world.link(machine)
    left = _listed(world, link, "ps", "--all") + _listed(world, link, "network", "ls")
    if left:
        raise LabError(
            "still there: " + ", ".join(left), where=machine, next_step="hashlab destroy again"
        )
    track.detail("no container and no network of the lab")


def guard_swarm(world: World, machine: str, state: SwarmState) -> None:
    """Raise LabError if a host is in a Swarm that hashlab did not make."""
    if are_hosts(world) and state.joined and not _is_own(world.link(machine), state):
        raise LabError(
            "its Docker Engine is in a Swarm that hashlab did not make",
            where=machine,
            next_step="use another host; or, if nobody needs that Swarm, on the host: docker swarm "
            "leave",
        )


def mark_swarm(world: World, machine: str, node: str = MAKING) -> None:
    """Record on a host that its Swarm is hashlab's: before it is made, and with its node's id."""
    if are_hosts(world):
        _write_swarm(world.link(machine), node)


def how_to_join(world: World) -> str:
    """Return what to do if a machine cannot join the Swarm of the first one."""
    if are_hosts(world):
        return (
            "open TCP 2377 and 7946, UDP 7946 and 4789, and ESP among the hosts; then run it again"
        )
    return "run it again; if it stays: hashlab destroy"


def check_foreign(world: World, track: Track, _: str) -> None:
    """Promise: no container and no volume of somebody else has a name that the lab uses."""
    names = [name for name in world.machine_names() if name in world.facts.machines.links]
    found = parallel(names, lambda name: _foreign(world, name), track.cancel)
    listed = [each for foreign in found for each in foreign]
    if listed:
        raise LabError(
            f"the lab would use what it did not make: {', '.join(listed)}",
            where=world.lab.name,
            next_step="give the lab another name; or, for a volume that it should use, write "
            "external: true in the Compose file",
        )
    track.detail("the lab uses nothing of others")


def _foreign(world: World, machine: str) -> list[str]:
    """Return what a host has under a name of the lab, but without the lab's label."""
    lab, link = world.lab, world.link(machine)
    here = world.services_on(machine)
    replicas = [name for service in here for name in replica_names(lab, service)]
    used = {mount.volume for service in here for mount in service.volumes if mount.volume}
    volumes = [lab.volume(key).name for key in used if not lab.volume(key).external]
    found = []
    for kind, wanted, command in (
        ("container", {*replicas, *map(sandbox_name, replicas)}, ("ps", "--all")),
        ("volume", set(volumes), ("volume", "ls")),
    ):
        name = "{{.Names}}" if kind == "container" else "{{.Name}}"
        shown = f'{name} {{{{.Label "{LAB_LABEL}"}}}}'
        done = link.shell.run(["docker", *command, "--format", shown])
        owners = dict(line.partition(" ")[::2] for line in done.stdout.splitlines())
        found += [
            f"{kind} {each} on {machine}"
            for each, owner in owners.items()
            if each in wanted and owner != lab.id
        ]
    return found


def _is_own(link: Link, state: SwarmState) -> bool:
    mark = link.shell.run(["cat", SWARM_FILE]).stdout.strip()
    return bool(mark) and mark in (MAKING, state.node)


def _write_swarm(link: Link, node: str) -> None:
    argv = ["sudo", "tee", SWARM_FILE] if node else ["sudo", "rm", "-f", SWARM_FILE]
    done = link.shell.run(argv, stdin=f"{node}\n".encode() if node else b"")
    if done.code != 0:
        raise LabError(f"cannot write {SWARM_FILE}", where=link.machine, output=done.stderr)


def _listed(world: World, link: Link, *command: str) -> list[str]:
    """Return the ids of the lab's objects of one kind on a host, as Docker's client lists them."""
    label = f"label={LAB_LABEL}={world.lab.id}"
    done = link.shell.run(["docker", *command, "--quiet", "--filter", label])
    if done.code != 0:
        raise LabError("Docker does not answer", where=link.machine, output=done.stderr)
    return done.stdout.split()


def _docker(link: Link, *command: str, names: Sequence[str]) -> None:
    if not names:
        return
    done = link.shell.run(["docker", *command, *names], timeout=REMOVE_SECONDS)
    if done.code != 0:
        raise LabError(
            f"docker {' '.join(command)} failed",
            where=link.machine,
            output=done.stderr,
            next_step="hashlab destroy again",
        )
