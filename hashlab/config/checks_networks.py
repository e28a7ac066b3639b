"""Check the networks of the Compose file, and the services' places on them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network, ip_address, ip_network

from hashlab.config.compose.networks import DEFAULT, joined, network_of, placed_on
from hashlab.config.compose.service import on_several, replicas
from hashlab.config.compose.sharing import shared
from hashlab.config.model import AddressPool, Attachment
from hashlab.config.readers import At, Draft
from hashlab.config.report import Report, suggestion

# The subnets of the two bridges that each machine's engine has.
_BRIDGES = (IPv4Network("172.17.0.0/16"), IPv4Network("172.18.0.0/16"))
# Keys that say something about a network which a service does not have by itself.
_OF_A_NETWORK = (
    "ports", "expose", "hostname", "domainname", "dns", "dns_opt", "dns_search", "extra_hosts",
    "links", "mac_address",
)  # fmt: skip


def check_networks(
    services: Mapping[str, Draft], compose: Draft, machines: IPv4Network, report: Report
) -> None:
    """Report contradictions of networks, and services that cannot be on them as written.
    ``machines``: the subnet of the lab's machines.
    """
    declared: dict[str, Draft] = compose.get("networks", {})
    _check_names(declared, report)
    _check_subnets(declared, machines, report)
    addresses: dict[tuple[str, str], str] = {}
    for name, service in services.items():
        _check_mode(name, service, services, report)
        _check_shared(name, service, services, report)
        _note_links(service, services, report)
        _check_mac_address(name, service, report)
        for at in service.get("networks", ()):
            _check_declared(at, declared, compose, report)
            _check_alone(name, service, at, report)
            if at.value.ipv4_address:
                _check_address(name, at, declared, addresses, report)
        if not service.get("network_mode") and not publishes(service, declared):
            _note_ports(service, "each network of the service is internal", report)


def _check_names(declared: Mapping[str, Draft], report: Report) -> None:
    """Report two networks of one name, and settings of networks that somebody else makes."""
    named: dict[str, str] = {}
    for key, network in declared.items():
        name = network_of(key, network, "").name
        if named.setdefault(name, key) != key:
            message = f"the networks '{named[name]}' and '{key}' have the same name '{name}'"
            report.add(network.line_of("name"), message, "Keep one of the two.")
        for other in ("driver", "driver_opts", "internal", "ipam", "labels"):
            if network.get("external") and network.get(other):
                message = f"the network '{key}' is external, so it cannot have '{other}'"
                report.add(network.line_of(other), message, f"Remove '{other}' or 'external'.")


def _pools(network: Draft) -> list[At[AddressPool]]:
    taken = network_of("", network, "").overlay_pools
    ipam: Draft = network.get("ipam") or Draft()
    return [at for at in ipam.get("config", ()) if at.value in taken]


def _check_subnets(declared: Mapping[str, Draft], machines: IPv4Network, report: Report) -> None:
    """Report subnets that overlap another one, or one that a machine uses itself."""
    used = [(machines, "that of the lab's machines")]
    used += [(bridge, "that of a bridge on each machine") for bridge in _BRIDGES]
    for key, network in declared.items():
        for pool, line in _pools(network):
            subnet = IPv4Network(pool.subnet, strict=False)
            owner = next((owner for other, owner in used if subnet.overlaps(other)), "")
            if owner:
                message = f"the subnet {pool.subnet} of network '{key}' overlaps {owner}"
                report.add(line, message, "Choose another subnet, such as 10.99.0.0/24.")
            used.append((subnet, f"that of network '{key}'"))


def _check_mode(name: str, service: Draft, services: Mapping[str, Draft], report: Report) -> None:
    """Report a network_mode that contradicts other keys of a service."""
    mode, line = service.get("network_mode"), service.line_of("network_mode")
    if not mode:
        return
    if service.get("networks"):
        message = f"service '{name}' has network_mode and networks, which exclude each other"
        report.add(line, message, "Remove one of the two.")
    owner = joined(service)
    if mode in ("host", "none"):
        _note_ports(service, f"the service has network_mode: {mode}", report)
    if not owner:
        return
    for key in _OF_A_NETWORK:
        if service.get(key):
            message = f"service '{name}' runs in the network of '{owner}', so it has no '{key}'"
            report.add(service.line_of(key), message, f"Write it for '{owner}', or remove it.")
    if owner in services and joined(services[owner]):
        message = f"'{owner}' has no network of its own, but that of '{joined(services[owner])}'"
        report.add(line, message, f"Write network_mode: service:{joined(services[owner])}.")


def _check_shared(name: str, service: Draft, services: Mapping[str, Draft], report: Report) -> None:
    """Report services that share something and do not run on the same machines."""
    for owner, _, line in shared(service):
        if owner in services and on_several(services[owner]) is not on_several(service):
            message = f"'{name}' and '{owner}' do not run on the same machines"
            report.add(line, message, "Write deploy: {mode: global} for both, or for none.")


def _note_links(service: Draft, services: Mapping[str, Draft], report: Report) -> None:
    """Note links to services that share no network with the service: the names lead nowhere."""
    own = {at.value.network for at in placed_on(service)}
    for at in service.get("links", ()):
        other = services.get(at.value.service)
        if other is not None and own.isdisjoint(at.value.network for at in placed_on(other)):
            message = f"the link to '{at.value.service}' is an order only: they share no network"
            report.note(at.line, message)


def _note_ports(service: Draft, why: str, report: Report) -> None:
    for at in service.get("ports", ()):
        report.note(at.line, f"publishing the port has no effect: {why}")


def publishes(service: Draft, declared: Mapping[str, Draft]) -> bool:
    """Return whether the engine can publish ports of a service: a network of it has a way out."""
    own = [declared.get(at.value.network, Draft()) for at in placed_on(service)]
    return any(not network.get("internal") for network in own)


def _check_declared(
    at: At[Attachment], declared: Mapping[str, Draft], compose: Draft, report: Report
) -> None:
    key = at.value.network
    if key in declared or key == DEFAULT or (compose.flawed("networks") and not declared):
        return
    hint = suggestion(key, list(declared), otherwise="Add it under networks: at the top level.")
    report.add(at.line, f"unknown network '{key}'", hint)


def _check_mac_address(name: str, service: Draft, report: Report) -> None:
    address, line = service.get("mac_address"), service.line_of("mac_address")
    if address and service.get("network_mode") in ("host", "none"):
        message = f"service '{name}' has network_mode: {service.get('network_mode')}, so it has no"
        report.add(line, f"{message} 'mac_address'", "Remove one of the two.")
    elif address and (replicas(service) > 1 or on_several(service)):
        message = f"the containers of '{name}' cannot all have the address {address}"
        report.add(line, message, "Remove the address, or write replicas: 1.")


def _check_alone(name: str, service: Draft, at: At[Attachment], report: Report) -> None:
    """Report a fixed address of a service that has several containers."""
    fixed = at.value.ipv4_address or at.value.mac_address
    if fixed and (replicas(service) > 1 or on_several(service)):
        message = f"the containers of '{name}' cannot all have the address {fixed}"
        report.add(at.line, message, "Remove the address, or write replicas: 1.")


def _check_address(
    name: str,
    at: At[Attachment],
    declared: Mapping[str, Draft],
    addresses: dict[tuple[str, str], str],
    report: Report,
) -> None:
    """Report an address that the network cannot give to this service."""
    place = at.value
    for problem, hint in _wrong_address(place, declared.get(place.network, Draft())):
        report.add(at.line, problem, hint)
    other = addresses.setdefault((place.network, place.ipv4_address), name)
    if other != name:
        message = f"'{name}' and '{other}' have the same address {place.ipv4_address}"
        report.add(at.line, message, "Give each an address of its own.")


def _wrong_address(place: Attachment, network: Draft) -> Iterator[tuple[str, str]]:
    if network.get("external"):
        return
    pools = [at.value for at in _pools(network)]
    address = ip_address(place.ipv4_address)
    if not pools:
        hint = "Write ipam: {config: [{subnet: …}]} for the network, or remove the address."
        yield f"the network '{place.network}' has no subnet for {place.ipv4_address}", hint
    elif not any(address in ip_network(pool.subnet, strict=False) for pool in pools):
        subnets = ", ".join(pool.subnet for pool in pools)
        message = f"{place.ipv4_address} is not in the subnet of network '{place.network}'"
        yield message, f"Choose an address of {subnets}."
    elif any(place.ipv4_address == _gateway(pool) for pool in pools):
        yield f"{place.ipv4_address} is the gateway of network '{place.network}'", "Choose another."


def _gateway(pool: AddressPool) -> str:
    """Return the gateway of a subnet, by default its first address."""
    return pool.gateway or str(next(ip_network(pool.subnet, strict=False).hosts()))
