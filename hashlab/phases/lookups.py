"""Asks Docker's DNS on each machine for the name of each service, and compares with what runs."""

from __future__ import annotations

from collections.abc import Mapping

from hashlab.documents.lookups import Lookup, Lookups
from hashlab.phases.containers.body import SERVICE_LABEL
from hashlab.phases.containers.sandbox import Present
from hashlab.phases.names import Answer, Places, answers, places_of
from hashlab.phases.world import World
from hashlab.pipeline import Track


def lookups(world: World, track: Track) -> Lookups:
    """Return what each name leads to, after ``status_document`` has observed the containers.
    Raises LabError if a machine cannot be asked.
    """
    present = world.facts.containers.found
    places = places_of(world, present)
    networks = {network.name: network.key for network in world.lab.networks}
    found = [
        _lookup(answer, places, present, networks)
        for answer in answers(world, present, places, track)
    ]
    names = dict.fromkeys(found)
    ordered = tuple(sorted(names, key=lambda each: (each.service, each.network, each.machine)))
    return Lookups(world.lab.name, all(each.ok for each in ordered), ordered)


def _lookup(
    answer: Answer, places: Places, present: Mapping[str, Present], networks: Mapping[str, str]
) -> Lookup:
    # A name may be in several networks of the container that asks; one of them answers.
    of_name = [each for each in answer.asker.networks if (each, answer.name) in places]
    right = (each for each in of_name if places[each, answer.name] == answer.found)
    network = next(right, of_name[0])
    running = places[network, answer.name]
    return Lookup(
        service=answer.name,
        network=networks[network],
        machine=answer.machine,
        addresses=tuple(sorted(answer.found)),
        running=tuple(sorted(running)),
        containers=_containers(present, network, answer.name),
        ok=answer.found == running,
    )


def _containers(present: Mapping[str, Present], network: str, service: str) -> tuple[str, ...]:
    """Return the names of a service's running containers on a network, each with its machine."""
    return tuple(
        f"{container.name} on {machine}"
        for machine, found in present.items()
        for container in found.containers
        if container.labels.get(SERVICE_LABEL) == service
        and container.state == "running"
        and network in container.networks
    )
