"""Phase ``secrets``: generates the lab's secrets once, and recovers lost ones from machines."""

from __future__ import annotations

import secrets

from hashlab.errors import LabError
from hashlab.phases.programs import READ_SECRET
from hashlab.phases.upload.laptop import home
from hashlab.phases.world import World
from hashlab.pipeline import Track
from hashlab.protocols import Link
from hashlab.state.files import read_text, write_text

LENGTH = 24


def make_secrets(world: World, track: Track, _: str) -> None:
    """Promise: every generated secret is a file. A secret that a machine already holds is kept,
    because the data on the machine was made with it.
    """
    if world.provider.hosts is not None:
        _take_from_hosts(world)
    missing = [name for name in world.lab.generated_secrets if not _saved(world, name)]
    if not missing:
        track.skip(f"{len(world.lab.generated_secrets)} exist")
        return
    found = 0
    for name in missing:
        value = _held_by_a_machine(world, name, track)
        found += bool(value)
        path = world.state.secrets / name
        write_text(path, value or secrets.token_urlsafe(LENGTH), lasting=True)
    track.detail(f"{len(missing) - found} made, {found} found on machines")


def recover_secrets(world: World, track: Track, _: str) -> None:
    """Promise: as ``make_secrets``, but a restored machine's secret replaces the laptop's: the
    machine's data was made with it.
    """
    changed = 0
    for name in world.lab.generated_secrets:
        held = _held_by_a_machine(world, name, track)
        if held and _saved(world, name) != held:
            write_text(world.state.secrets / name, held, lasting=True)
            changed += 1
    make_secrets(world, track, _)
    if changed:
        track.detail(f"{changed} are those of the snapshot")


def _take_from_hosts(world: World) -> None:
    """Take over the secrets that the hosts hold. Another laptop may have made them, and the data
    there.
    """
    for name in world.lab.generated_secrets:
        for link in list(world.facts.machines.links.values()):
            held = _read(world, link, name)
            if held and held != _saved(world, name):
                write_text(world.state.secrets / name, held, lasting=True)
            if held:
                break


def _saved(world: World, name: str) -> str:
    """Return the laptop's copy of a secret; "" if it is missing or (after a power cut) empty."""
    return read_text(world.state.secrets / name) or ""


def _held_by_a_machine(world: World, name: str, track: Track) -> str:
    """Return the secret from a machine that existed before this run; "" if no machine holds it."""
    prepared = world.facts.prepared
    holders = world.machine_names() if prepared is None else list(prepared.observed)
    lost = world.lost_machines() if prepared is None else []
    if lost:
        raise LabError(
            f"secret {name} is not on the laptop, and {', '.join(lost)}, which may hold it, did "
            "not answer",
            where=str(world.state.secrets),
            next_step="hashlab dev starts the machine and reads the secret back from it",
        )
    for link in world.await_links(holders, track.cancel):
        if value := _read(world, link, name):
            return value
    return ""


def _read(world: World, link: Link, name: str) -> str:
    """Return the secret that a machine holds, or ""."""
    done = link.shell.run(["sudo", "sh", "-c", READ_SECRET, "sh", home(world.lab), name])
    return done.stdout if done.code == 0 and _is_text(done.stdout) else ""


def _is_text(output: str) -> bool:
    """Return whether the output was valid UTF-8, so that a file can hold it."""
    return not any("\udc80" <= character <= "\udcff" for character in output)
