"""Turns a service's networks into the engine's words, and compares a container with them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple
from typing import Any

from hashlab.config.model import Lab, Network, Service
from hashlab.documents import unix_time
from hashlab.hashing import digest, short
from hashlab.protocols import ContainerState

NETWORK_LABEL = "hashlab.network"


def names(service: Service) -> list[str]:
    """Return the names under which other services find this one on each of its networks. The first
    leads to nothing else. Replicas behind a front share the name that Docker Swarm would give them.
    """
    own = [service.name]
    if service.front:
        own = [*([service.name] if service.copy_of else []), f"tasks.{service.family}"]
    return list(dict.fromkeys(filter(None, [*own, service.container_name, *service.aliases])))


def endpoints(lab: Lab, service: Service, container: str = "") -> dict[str, dict[str, Any]]:
    """Return the Engine API's EndpointSettings of a service, by the name of each network. The first
    one is the network that the container is created on. ``container``: one more name.
    """
    own = [*names(service), *([container] if container else [])]
    links = [f"{link.service}:{link.alias}" for link in service.links if link.alias != link.service]
    found: dict[str, dict[str, Any]] = {}
    for place in service.networks:
        address = {"IPv4Address": place.ipv4_address} if place.ipv4_address else {}
        mac = place.mac_address or ("" if found else service.mac_address)
        optional = {"Links": links, "IPAMConfig": address, "MacAddress": mac}
        found[lab.network(place.network).name] = {
            "Aliases": list(dict.fromkeys([*own, *place.aliases])),
            **{key: value for key, value in optional.items() if value},
        }
    return found


def network_mode(lab: Lab, service: Service) -> str:
    """Return the engine's network mode of a container with a network of its own."""
    first = next(iter(endpoints(lab, service)), "")
    return first or service.network_mode


def namespace(mode: str, owners: Mapping[str, str]) -> str:
    """Return the engine's word for the mode of a namespace: service:NAME is container:ID."""
    kind, _, name = mode.partition(":")
    return f"container:{owners.get(name, name)}" if kind == "service" else mode


def first_endpoint(lab: Lab, service: Service, container: str = "") -> dict[str, Any]:
    """Return the create request's NetworkingConfig. An engine before 25 takes one network there."""
    first = list(endpoints(lab, service, container).items())[:1]
    return {"EndpointsConfig": dict(first)}


def settings_of(network: Network) -> str:
    """Return a hash of all settings of an overlay that cannot change while it exists."""
    pools = [list(astuple(pool)) for pool in network.overlay_pools]
    labels = [list(pair) for pair in network.labels]
    return short(digest([network.internal, network.options, pools, labels]))


def recipe_of(lab: Lab, service: Service) -> list[Any]:
    """Return everything about a service's networks that its container depends on."""
    networks = [lab.network(place.network) for place in service.networks]
    return [[settings_of(network) for network in networks], endpoints(lab, service)]


def is_attached(container: ContainerState, networks: Mapping[str, str]) -> bool:
    """True if a container is on all of these networks (ids by name). It has no id yet of a network
    that it was attached to while it did not run.
    """
    return all(
        name in container.networks and container.networks[name].id in ("", network)
        for name, network in networks.items()
    )


def misplaced(lab: Lab, service: Service, container: ContainerState) -> str:
    """Return how a running container's networks and names differ from its service's; "" if not."""
    for name, endpoint in endpoints(lab, service).items():
        place = container.networks.get(name)
        if place is None:
            return f"it is not on the network {name}"
        missing = sorted(set(endpoint["Aliases"]) - place.aliases)
        if missing:
            return f"it is not called {missing[0]} on the network {name}"
    return ""


def parted(
    service: Service, container: ContainerState, owners: Mapping[str, ContainerState | None]
) -> str:
    """Return why a container no longer shares what it should with the containers of other services
    (``owners``); "" if it does. A container that starts gets new namespaces, and leaves behind
    those that shared the old.
    """
    for name, what in service.owners.items():
        owner = owners.get(name)
        if owner is None or owner.id not in container.shares:
            return f"{name}, whose {what} it shares, was replaced"
        own, other = unix_time(container.started_at), unix_time(owner.started_at)
        known = container.pid and own is not None and other is not None
        if known and what != "volumes" and own < other:  # type: ignore[operator]
            return f"{name}, whose {what} it shares, was started again"
    return ""
