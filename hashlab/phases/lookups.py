"""Asks Docker's DNS on each machine for the name of each service, and compares with what runs."""

from __future__ import annotations

from collections.abc import Mapping

from hashlab.documents.lookups import Lookup, Lookups
from hashlab.phases.containers.body import SERVICE_LABEL
from hashlab.phases.containers.sandbox import Present
from hashlab.phases.names import ask, choose_askers, places_of
from hashlab.phases.world import World
from hashlab.pipeline import Track, parallel
from hashlab.protocols import ContainerState


def lookups(world: World, track: Track) -> Lookups:
    """Return what each name leads to, after ``status_document`` has observed the containers.
    Raises LabError if a machine cannot be asked.
    """
    present = world.facts.containers.found
    places = places_of(world, present)
    networks = {network.name: network.key for network in world.lab.networks}
    askers = [
        (machine, asker)
        for machine, found in present.items()
        if machine in world.facts.machines.links
        for asker in choose_askers(found.containers, networks)
    ]

    def asked(machine: str, asker: ContainerState) -> list[Lookup]:
        names = {name for network, name in places if network in asker.networks}
        answer = ask(world.link(machine), asker.pid, sorted(names)) if names else {}
        made = []
        for name in sorted(names):
            found = answer.get(name, frozenset())
            # A name may be in several networks of the container that asks; one of them answers.
            of_name = [each for each in asker.networks if (each, name) in places]
            network = next((each for each in of_name if places[each, name] == found), of_name[0])
            made.append(
                Lookup(
                    service=name,
                    network=networks[network],
                    machine=machine,
                    addresses=tuple(sorted(found)),
                    running=tuple(sorted(places[network, name])),
                    containers=_containers(present, network, name),
                    ok=found == places[network, name],
                )
            )
        return made

    found = parallel(askers, lambda each: asked(*each), track.cancel)
    names = tuple(dict.fromkeys(each for some in found for each in some))
    ordered = tuple(sorted(names, key=lambda each: (each.service, each.network, each.machine)))
    return Lookups(world.lab.name, all(each.ok for each in ordered), ordered)


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
