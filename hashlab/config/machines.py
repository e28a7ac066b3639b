"""Check and make the machines of hashlab.toml: addresses, forwarded ports, provider."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network

from hashlab.config.boxes import check_virtualbox, virtualbox_of
from hashlab.config.hashlab_toml import DEFAULT_SUBNET
from hashlab.config.hosts import ANY_ADDRESS, check_hosts
from hashlab.config.model import BoxSettings, ForwardedPort, Machine, Observe
from hashlab.config.providers import AUTO, HOSTS
from hashlab.config.readers import At, Draft
from hashlab.config.report import Report

_VIRTUALBOX = IPv4Network("192.168.56.0/21")


def subnet_of(draft: Draft) -> IPv4Network:
    """Return the subnet of the lab, or the default subnet."""
    subnet: IPv4Network = draft.get("lab", Draft()).get("subnet") or IPv4Network(DEFAULT_SUBNET)
    return subnet


def provider_of(draft: Draft, override: str | None) -> str:
    """Return the provider of the command line, else that of the file; "auto" is possible."""
    return override or str(draft.get("lab", Draft()).get("provider", AUTO))


def check_machines(draft: Draft, provider: str, report: Report) -> None:
    """Report machines whose addresses or forwarded ports are not available."""
    lab = draft.get("lab", Draft())
    subnet = subnet_of(draft)
    if provider == "virtualbox" and not subnet.subnet_of(_VIRTUALBOX):
        message = f"VirtualBox allows host-only addresses in {_VIRTUALBOX} only"
        report.add(lab.line_of("subnet"), message, f'Write subnet = "{DEFAULT_SUBNET}".')
    if provider == "virtualbox":
        check_virtualbox(draft.get("box", Draft()), lab, report)
    if provider == HOSTS:
        check_hosts(draft, report)
    elif not lab.has("subnet") or lab.get("subnet"):
        _check_addresses(draft, subnet, report)
    _check_forwarded_ports(draft, report)


def _check_addresses(draft: Draft, subnet: IPv4Network, report: Report) -> None:
    seen: dict[IPv4Address, str] = {}
    for name, machine in draft.get("machines", {}).items():
        address = machine.get("address")
        if address is None:
            continue
        line, example = machine.line_of("address"), f'Write for example "{subnet[5]}".'
        reasons = {
            subnet.network_address: "is the address of the subnet itself",
            subnet.broadcast_address: "is the broadcast address of the subnet",
            subnet[1]: "is the laptop's own address in the subnet",
        }
        if address not in subnet:
            report.add(line, f"{address} is not inside the subnet {subnet}", example)
        elif address in reasons:
            report.add(line, f"{address} {reasons[address]}", example)
        other = seen.setdefault(address, name)
        if other != name:
            hint = "Give each machine its own address."
            report.add(line, f"{address} is already the address of machine '{other}'", hint)


def _check_forwarded_ports(draft: Draft, report: Report) -> None:
    ids: dict[str, str] = {}
    hosts: dict[int, str] = {}
    for name, port in forwarded_ports(draft):
        label = port.value.id or "a forwarded port"
        owner = f"'{label}' of machine '{name}'"
        other = ids.setdefault(port.value.id, owner) if port.value.id else owner
        if other is not owner:
            message = f"the id '{port.value.id}' already belongs to {other}"
            report.add(port.line, message, "Give each forwarded port its own id.")
        other = hosts.setdefault(port.value.host, owner) if port.value.host else owner
        if other is not owner:
            message = f"port {port.value.host} of the laptop is already forwarded to {other}"
            report.add(port.line, message, "Give each forwarded port its own host.")


def forwarded_ports(draft: Draft) -> Iterator[tuple[str, At[ForwardedPort]]]:
    """Yield (machine, forwarded port) in the order of the file. Invalid values are "" and 0."""
    for name, machine in draft.get("machines", {}).items():
        for port in machine.get("forwarded_ports", ()):
            yield name, port


def machines_of(draft: Draft) -> tuple[Machine, ...]:
    """Return the machines of a draft without problems."""
    return tuple(
        Machine(
            name=name,
            forwarded_ports=tuple(port.value for port in machine.get("forwarded_ports", ())),
            **{"address": ANY_ADDRESS, **machine.pick("address", "memory", "cpus", "endpoint")},
        )
        for name, machine in draft.get("machines", {}).items()
    )


def box_of(draft: Draft) -> BoxSettings:
    """Return the box settings of a draft without problems."""
    box = draft.get("box", Draft())
    return BoxSettings(**box.pick("base", "packages"), virtualbox=virtualbox_of(box))


def observe_of(draft: Draft) -> Observe:
    """Return the observations of a draft without problems."""
    given = draft.get("observe", Draft())
    kept = {"days": given.get("retention")} if given.has("retention") else {}
    return Observe(**given.pick("logs", "metrics", "disk"), **kept)
