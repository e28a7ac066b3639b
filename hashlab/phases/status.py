"""What ``status`` tells: machines, services, builds and addresses, asked of the machines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hashlab.config.model import Service
from hashlab.errors import LabError
from hashlab.phases.boxes.registry import recipe_manifest, registered_boxes
from hashlab.phases.connect import reconnect
from hashlab.phases.containers.phase import replica_names, wanted_builds
from hashlab.phases.images import image_inputs
from hashlab.phases.names import astray
from hashlab.phases.proof import Running, read_back
from hashlab.phases.recipe import stale_notes
from hashlab.phases.world import World
from hashlab.pipeline import Track, parallel
from hashlab.protocols import ObservedMachine


def status_document(world: World, track: Track) -> dict[str, Any]:
    """The document ``status --json`` prints (shape: docs/reference/json.md). Changes nothing."""
    observed = {machine.name: machine for machine in world.provider.machines.all(world.lab)}
    running = [name for name, machine in observed.items() if machine.state == "running"]
    errors = dict(parallel(running, lambda name: _try_connect(world, track, name), track.cancel))
    manifest = recipe_manifest(world)
    registered = {box.recipe for box in registered_boxes(world)}
    for image in world.lab.images:
        world.facts.image_inputs[image.name] = image_inputs(world, image)
    return {
        "lab": world.lab.name,
        "provider": world.provider.name,
        "box": {
            "name": manifest.name,
            "version": manifest.version,
            "recipe": manifest.recipe,
            "registered": bool(registered),
            "stale": bool(registered) and manifest.recipe not in registered,
        },
        "machines": [
            _machine(world, name, observed.get(name), manifest.recipe, errors.get(name, ""))
            for name in world.machine_names()
        ],
        "services": _services(world, track, observed),
        "urls": world.urls() if world.facts.endpoints else {},
        "notes": [
            *world.lab.notes,
            *world.facts.notes,
            *stale_notes(manifest.recipe, registered, {n: m.recipe for n, m in observed.items()}),
        ],
    }


def all_runs(document: Mapping[str, Any]) -> bool:
    """Return whether all that should run runs, as far as the document says. Of a lab that was never
    created, or whose machines are all stopped, nothing should run.
    """
    states = {machine["state"] for machine in document["machines"]}
    if not states & {"running", "unreachable"}:
        return True
    return states == {"running"} and not any(one["problem"] for one in document["services"])


def _try_connect(world: World, track: Track, name: str) -> tuple[str, str]:
    try:
        reconnect(world, track, name)
    except LabError as error:
        advice = f"; {error.next_step}" if error.next_step else ""
        world.note(f"machine {name}: {error.what}{advice}")
        return name, error.what
    return name, ""


def _machine(
    world: World, name: str, machine: ObservedMachine | None, recipe: str, error: str
) -> dict[str, Any]:
    endpoint = machine.endpoint if machine else None
    address = machine.address if machine and machine.address else world.machine(name).address
    state = machine.state if machine else "not created"
    return {
        "name": name,
        "address": str(address),
        "state": "unreachable" if error else state,
        "ssh": {"host": endpoint.host, "port": endpoint.port, "user": endpoint.user}
        if endpoint
        else None,
        "recipe": (machine.recipe or None) if machine else None,
        "stale": machine is not None and machine.recipe != recipe,
    }


def _services(
    world: World, track: Track, observed: Mapping[str, ObservedMachine]
) -> list[dict[str, Any]]:
    wanted = wanted_builds(world)
    found = {
        (running.machine, running.container.name): running
        for running in read_back(world, wanted, track.cancel)
    }
    names = {one.name: str(one) for one in astray(world, world.facts.containers, track)}
    rows = []
    for service in world.lab.services:
        for name in replica_names(world.lab, service):
            running = found.get((service.machine, name))
            row = _found(running) if running else _not_found(world, service, observed)
            row["problem"] = row["problem"] or names.get(service.name)
            build = wanted[service.name].id
            place = {"name": service.name, "machine": service.machine, "build": build}
            rows.append({**place, **row})
    return rows


def _found(running: Running) -> dict[str, Any]:
    return {
        "state": running.container.state,
        "health": running.container.health or None,
        "running_build": running.build or None,
        "stale": running.stale or None,
        "problem": running.down or None,
    }


def _not_found(
    world: World, service: Service, observed: Mapping[str, ObservedMachine]
) -> dict[str, Any]:
    """Describe a container that was not seen. Of one on a machine that does not answer, or is
    stopped, nothing is known.
    """
    machine = observed.get(service.machine)
    unknown = machine is not None and service.machine not in world.facts.links
    problem = "its machine does not answer" if unknown else "it is not there"
    if machine is not None and machine.state != "running":
        problem = f"its machine is {machine.state}"
    return {
        "state": "unknown" if unknown else "not created",
        "health": None,
        "running_build": None,
        "stale": None,
        "problem": problem if observed else None,
    }
