"""Phase ``observe``: the log store runs beside the machines, and gets their lines."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence

from hashlab.daemon import client
from hashlab.phases.world import World
from hashlab.pipeline import Track
from hashlab.protocols.observing import PASSWORD, USER
from hashlab.state.files import is_folder, read_json, remove, remove_tree, write_json


def save_observed(world: World, names: Sequence[str]) -> None:
    """Turn observations on until the lab is destroyed, besides those that are on."""
    saved = read_json(world.state.observed)
    known = {name for name in saved if isinstance(name, str)} if isinstance(saved, list) else set()
    if not known.issuperset(names):
        write_json(world.state.observed, sorted(known.union(names)), lasting=True)


def has_store(world: World) -> bool:
    """Return whether logs of the lab were stored, perhaps before it was destroyed."""
    return world.observed and is_folder(world.state.observe)


def concerns(world: World) -> bool:
    """Return whether there is a log store to start or to end."""
    return world.observed or world.observer.observation() is not None


def observe(world: World, track: Track, _: str) -> None:
    """Promise: a process that outlives this run stores what the machines log, with the settings
    that the files have now; none does if the files do not ask for it any more.
    """
    found = world.observer.observation()
    if not world.observed:
        world.observer.stop()
        track.detail("ended; the stored lines stay until hashlab destroy")
        return
    if found is not None and found.settings == settings_of(world) and found.address:
        track.skip("runs already")
        return
    world.observer.stop()
    started = world.observer.start()
    track.detail(started.address.page if started.address else "")


def store_url(world: World) -> dict[str, str]:
    """Return the address of the log store's page, by the id under which `status` shows it."""
    found = world.observer.observation()
    return {"logs": found.address.page} if found and found.address else {}


def store_notes(world: World, running: Collection[str]) -> list[str]:
    """Return what is wrong with the log store, and with what it gets from machines that run."""
    found = world.observer.observation()
    if found is None:
        missing = world.observed and running
        return ["the log store does not run. Next: hashlab refresh"] if missing else []
    if found.address is None:
        return [f"the log store does not answer: {found.why}"]
    return [
        f"new logs of machine {machine} are not stored: {why}"
        for machine, why in found.machines.items()
        if why and machine in running
    ]


def sign_in(world: World) -> str:
    """Return how to sign in at the log store's page."""
    return f"user {USER}, password in {world.state.observe / PASSWORD}"


def settings_of(world: World) -> str:
    """Return what the process was started with, or must be started with."""
    return json.dumps(
        {
            "machines": world.machine_names(),
            "days": world.lab.observe.days,
            "disk": world.lab.observe.disk,
            "code": client.fingerprint(),
        }
    )


def forget_observed(world: World, *, keep: bool) -> None:
    """End the log store. Remove what it has stored, unless ``keep``; the next lab then goes on."""
    world.observer.stop()
    if not keep:
        remove(world.state.observed)
        remove_tree(world.state.observe)
