"""Phase ``observe``: the stores run beside the machines, and get what these log and use."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import astuple

from hashlab.daemon import client
from hashlab.documents.alerts import Alert
from hashlab.phases.alerts import read_alerts
from hashlab.phases.scraping import scrape_targets, wrong_labels
from hashlab.phases.stores import PROGRAMS
from hashlab.phases.world import World
from hashlab.pipeline import Track
from hashlab.protocols import Observation
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
    return "logs" in world.observed and is_folder(world.state.observe / "store")


def concerns(world: World) -> bool:
    """Return whether there is a store to start or to end."""
    return bool(world.observed) or world.observer.observation() is not None


def observe(world: World, track: Track, _: str) -> None:
    """Promise: a process that outlives this run stores what the machines log and use, with the
    settings that the files have now; none does if the files do not ask for it any more.
    """
    found = world.observer.observation()
    if not world.observed:
        world.observer.stop()
        track.detail("ended; what is stored stays until hashlab destroy")
        return
    if found is not None and found.settings == settings_of(world) and found.answers:
        track.skip("runs already")
        return
    world.observer.stop()
    track.detail(", ".join(_pages(world.observer.start()).values()))


def store_urls(world: World) -> dict[str, str]:
    """Return the addresses of the stores' pages, by the id under which `status` shows them."""
    found = world.observer.observation()
    return _pages(found) if found else {}


def _pages(found: Observation) -> dict[str, str]:
    return {name: state.address.page(name) for name, state in found.stores.items() if state.address}


def store_notes(world: World, running: Collection[str]) -> list[str]:
    """Return what is wrong with the stores, and with what they get from machines that run."""
    labels = wrong_labels(world.lab) if "metrics" in world.observed else []
    found = world.observer.observation()
    if found is None:
        names = " and the ".join(PROGRAMS[name].stores for name in sorted(world.observed))
        verb = "does" if len(world.observed) == 1 else "do"
        missing = names and running
        return (
            [f"the {names} {verb} not run. Next: hashlab refresh", *labels] if missing else labels
        )
    silent = [
        f"the {PROGRAMS[name].stores} does not answer: {state.why}"
        for name in sorted(found.stores or world.observed)
        if (state := found.store(name)).address is None
    ]
    lost = [
        f"new logs of machine {machine} are not stored: {why}"
        for machine, why in found.machines.items()
        if why and machine in running and found.store("logs").address
    ]
    return [*silent, *lost, *labels]


def firing_alerts(world: World) -> tuple[Alert, ...]:
    """Return the alerts that fire now, by the process that evaluates their rules; none if it does
    not run.
    """
    if world.observer.observation() is None:
        return ()
    return read_alerts(world.state.observe)


def sign_in(world: World) -> str:
    """Return how to sign in at the stores' pages."""
    return f"user {USER}, password in {world.state.observe / PASSWORD}"


def settings_of(world: World) -> str:
    """Return what the process was started with, or must be started with."""
    settings: dict[str, object] = {
        "stores": sorted(world.observed),
        "machines": world.machine_names(),
        "days": world.lab.observe.days,
        "disk": world.lab.observe.disk,
        "code": client.fingerprint(),
    }
    if "metrics" in world.observed:
        # It collects from each replica, and knows which should run.
        settings["replicas"] = [
            [service.machine, service.name, service.replicas, service.restart]
            for service in world.lab.services
        ]
        settings["targets"] = [astuple(target) for target in scrape_targets(world.lab)]
    return json.dumps(settings)


def forget_observed(world: World, *, keep: bool) -> None:
    """End the stores. Remove what they have, unless ``keep``; the next lab then goes on."""
    world.observer.stop()
    if not keep:
        remove(world.state.observed)
        remove_tree(world.state.observe)
