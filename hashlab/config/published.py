"""Forward the ports that services publish to the laptop, as under Compose."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from ipaddress import ip_address
from itertools import chain, count
from typing import Literal, NamedTuple

from hashlab.config.machines import forwarded_ports
from hashlab.config.model import ForwardedPort, Port
from hashlab.config.readers import At, Draft
from hashlab.config.report import Report

EVERYWHERE = ("", "0.0.0.0", "::")  # noqa: S104 - compared with, not listened on
# An SSH connection carries the ports; each takes an argument of its command line.
MOST = 100
Scheme = Literal["http", "https", "tcp"]
# Ports whose protocol is known. All others are shown as addresses for a browser.
_NOT_HTTP = (22, 25, 53, 1433, 1521, 1883, 2181, 3306, 5432, 5672, 6379, 9042, 9092, 11211, 27017)
_SCHEMES: Mapping[int, Scheme] = {
    **dict.fromkeys((443, 8443), "https"),
    **dict.fromkeys(_NOT_HTTP, "tcp"),
}


class _Published(NamedTuple):
    service: str
    machine: str
    port: Port
    line: int


def is_local(port: Port) -> bool:
    """True if a port is published on the machine's own 127.0.0.1 alone."""
    return port.host_ip not in EVERYWHERE and ip_address(port.host_ip).is_loopback


def with_published(
    toml: Draft, services: Mapping[str, Draft], places: Mapping[str, str], report: Report
) -> Draft:
    """Return hashlab.toml with a forwarded port for each port that a service publishes.

    An entry of the file for the same port of the machine stays. The laptop's port is the one that
    Compose would publish, on the first machine of a service on several; if it is taken by another
    entry, the next higher one. Ports that cannot be forwarded are noted.
    """
    published = list(_published(services, places))
    local = {(each.machine, each.port.published) for each in published if is_local(each.port)}
    ports = {
        (machine, at.value.guest): at._replace(
            value=replace(at.value, tunnel=(machine, at.value.guest) in local)
        )
        for machine, at in forwarded_ports(toml)
    }
    for each in _forwardable(published, report):
        guest = each.port.published or 0
        if (each.machine, guest) not in ports:
            port = _forwarded(each, guest, [at.value for at in ports.values()])
            ports[each.machine, guest] = At(port, each.line)
            wanted = each.port.laptop or guest
            if port.host != wanted:
                message = f"port {wanted} of the laptop is taken; that of '{each.service}' is"
                report.note(each.line, f"{message} {port.host}")
    machines: Mapping[str, Draft] = toml.get("machines", {})
    return toml.filled(
        machines={
            name: draft.filled(
                forwarded_ports=tuple(at for (machine, _), at in ports.items() if machine == name)
            )
            for name, draft in machines.items()
        }
    )


def _published(services: Mapping[str, Draft], places: Mapping[str, str]) -> Iterator[_Published]:
    for name, service in services.items():
        for port, line in service.get("ports", ()):
            yield _Published(name, places[name], port, line)


def _forwardable(published: list[_Published], report: Report) -> Iterator[_Published]:
    services: dict[str, list[_Published]] = {}
    for each in published:
        if each.port.protocol != "tcp":
            message = "only ports of TCP are on the laptop's 127.0.0.1; others have the machine's"
            report.note(each.line, f"{message} own address")
        elif each.port.published is None:
            message = "a port that the engine chooses is not on the laptop's 127.0.0.1; to have it"
            report.note(each.line, f'{message} there, write two numbers, as in "8080:80"')
        elif each.port.host_ip in EVERYWHERE or is_local(each.port):
            services.setdefault(each.service, []).append(each)
    for name, ports in services.items():
        if len(ports) > MOST:
            message = f"the {len(ports)} ports of '{name}' are not on the laptop's 127.0.0.1"
            report.note(ports[0].line, f"{message}: at most {MOST} of a service are")
        else:
            several = len({each.port.published for each in ports}) > 1
            yield from (each._replace(service=_id(each, several=several)) for each in ports)


def _id(each: _Published, *, several: bool) -> str:
    name = re.sub("[^a-z0-9-]", "-", each.service.lower())
    return f"{name}-{each.port.laptop or each.port.published}" if several else name


def _forwarded(each: _Published, guest: int, others: list[ForwardedPort]) -> ForwardedPort:
    ids, hosts = {port.id for port in others}, {port.host for port in others}
    names = chain([each.service], (f"{each.service}-{number}" for number in count(guest)))
    wanted = each.port.laptop or guest
    numbers = chain(range(wanted, 65536), range(1024, wanted))
    return ForwardedPort(
        id=next(name for name in names if name not in ids),
        guest=guest,
        host=next(number for number in numbers if number not in hosts),
        scheme=_SCHEMES.get(each.port.target, "http"),
        tunnel=True,
    )
