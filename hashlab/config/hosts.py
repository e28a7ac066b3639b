"""Adapt a lab to hosts that are there already (provider ``hosts``)."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

from hashlab.config.model import Lab, Network, Service
from hashlab.config.readers import Draft
from hashlab.config.report import Report

ANY_ADDRESS = IPv4Address(0)
LOOPBACK = "127.0.0.1"


def check_hosts(toml: Draft, report: Report) -> None:
    """Report machines of hashlab.toml that are not hosts, and hosts that are there twice."""
    machines: dict[str, Draft] = toml.get("machines", {})
    if not machines and not toml.flawed("machines"):
        line = toml.get("lab", Draft()).line_of("provider")
        hint = 'Write for example [machines.web] with endpoint = "deploy@web.example.org".'
        report.add(line, 'provider "hosts" needs the hosts that are there', hint)
    seen: dict[str, str] = {}
    for name, machine in machines.items():
        if not machine.has("endpoint"):
            hint = 'Write endpoint = "deploy@web.example.org", or a name of your ~/.ssh/config.'
            report.add(machine.line, f"machine '{name}' has no endpoint", hint)
        endpoint = machine.get("endpoint")
        if endpoint and (other := seen.setdefault(endpoint, name)) != name:
            message = f"{endpoint} is already the endpoint of machine '{other}'"
            report.add(machine.line_of("endpoint"), message, "Name each host once.")


def may_encrypt(toml: Draft) -> bool:
    """Return whether traffic between hosts is encrypted: unless hashlab.toml forbids it."""
    lab: Draft = toml.get("lab", Draft())
    return lab.get("encrypt") is not False


def on_hosts(lab: Lab, *, encrypt: bool) -> Lab:
    """Return the lab as it runs on hosts: a port without an address is published on the host's
    127.0.0.1, so that no service can be reached from elsewhere unless the Compose file says so, and
    networks are encrypted. Pure.
    """
    return replace(
        lab,
        services=tuple(map(_with_local_ports, lab.services)),
        networks=tuple(_encrypted(network, encrypt=encrypt) for network in lab.networks),
    )


def _with_local_ports(service: Service) -> Service:
    ports = (replace(port, host_ip=port.host_ip or LOOPBACK) for port in service.ports)
    return replace(service, ports=tuple(ports))


def _encrypted(network: Network, *, encrypt: bool) -> Network:
    return network if network.external else replace(network, encrypted=encrypt)
