"""Read the published ports of a service, in short and long form, and its exposed ports."""

from __future__ import annotations

import re
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

from hashlab.config.compose import keys
from hashlab.config.compose.scalars import integer
from hashlab.config.model import Port
from hashlab.config.nodes import Node
from hashlab.config.readers import (
    At,
    Context,
    Table,
    list_of,
    mismatch,
    one_of,
    table,
    text,
)
from hashlab.config.report import Wrong

_RANGE = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?")
_HINT = 'Write "8080:80": the port of the machine, then the port of the container.'
_EXPECTED = 'a port such as "8080:80"'


def _published(node: Node, context: Context) -> int | None:
    if isinstance(node.value, str) and "-" in node.value:
        hint = "Write one entry per port, or a range in the short form."
        raise Wrong(node.line, f"the range '{node.value}' leaves the port to the engine", hint)
    return integer(low=0, high=65535)(node, context) or None


def _mode(node: Node, context: Context) -> str:
    mode = one_of("host", "ingress")(node, context)
    if mode == "ingress":
        message = "'mode: ingress' has no effect: a port is published on its service's own machine"
        context.report.note(node.key_line, message)
    return mode


def _host_ip(value: str, line: int) -> str:
    try:
        address = ip_address(value.strip("[]"))
    except ValueError:
        hint = "Write an address of the machine before the two ports, or leave it out."
        raise Wrong(line, f"'{value}' is not a valid IP address", hint) from None
    return str(address)


def _address(node: Node, context: Context) -> str:
    return _host_ip(text(node, context), node.line)


PORT_KEYS = Table(
    noun="a port",
    readers={
        "target": integer(low=1, high=65535),
        "published": _published,
        "protocol": one_of("tcp", "udp", "sctp"),
        "host_ip": _address,
        "mode": _mode,
    },
    others=keys.PORT,
    required=("target",),
    expected=_EXPECTED,
)


# The ports that every machine needs.
MACHINES_OWN = {
    (22, "tcp"): "SSH",
    (2377, "tcp"): "Docker Swarm",
    (7946, "tcp"): "Docker Swarm",
    (7946, "udp"): "Docker Swarm",
    (4789, "udp"): "Docker Swarm",
}


def ports(node: Node, context: Context) -> tuple[At[Port], ...]:
    """Read the list of published ports. A range gives one Port for each number."""
    groups = list_of(_ports_of_item, "a list of ports")(node, context)
    given = [port for group in groups for port in group if _has_address(port, context)]
    return tuple(_beside_own(port, context) for port in given)


def _beside_own(port: At[Port], context: Context) -> At[Port]:
    """Return a port that the machine itself needs under another number of the machine; it stays
    what it is on the laptop. That is noted.
    """
    number = port.value.published
    owner = MACHINES_OWN.get((number or 0, port.value.protocol))
    if not owner or port.value.protocol != "tcp" or number is None:
        return port
    other = number + 10_000
    message = f"port {number} of a machine belongs to {owner}: the machine publishes {other} for it"
    context.report.note(port.line, message)
    return At(replace(port.value, published=other, laptop=number), port.line)


def _has_address(port: At[Port], context: Context) -> bool:
    """Return whether machines have the address of a port; an IPv6 one is noted."""
    if ":" not in port.value.host_ip:
        return True
    message = "a port of an IPv6 address has no effect: machines have IPv4 addresses only"
    context.report.note(port.line, message)
    return False


def _ports_of_item(node: Node, context: Context) -> tuple[At[Port], ...]:
    if isinstance(node.value, dict):
        return _long(node, context)
    if isinstance(node.value, bool) or not isinstance(node.value, (int, str)):
        raise mismatch(node, _EXPECTED, _HINT)
    return tuple(At(port, node.line) for port in _short(str(node.value), node.line))


def _long(node: Node, context: Context) -> tuple[At[Port], ...]:
    values: dict[str, Any] = table(PORT_KEYS)(node, context).pick(
        "target", "published", "protocol", "host_ip", "mode"
    )
    return (At(Port(**values), node.line),) if "target" in values else ()


def _short(written: str, line: int) -> list[Port]:
    spec, slash, protocol = written.partition("/")
    if slash and protocol not in ("tcp", "udp", "sctp"):
        raise Wrong(line, f"'{protocol}' is not a valid protocol", "Write tcp, udp or sctp.")
    *front, container = spec.rsplit(":", 2)
    published = front.pop() if front else ""
    host_ip = _host_ip(front[0], line) if front and front[0] else ""
    targets = _range(container, written, line, low=1)
    hosts = _range(published, written, line, low=0) if published else None
    if hosts and len(hosts) != len(targets):
        hint = "Write two ranges of the same length."
        raise Wrong(line, f"the two sides of '{written}' differ in length", hint)
    pairs = zip(targets, hosts or (None for _ in targets), strict=False)
    return [_port(target, host or None, protocol, host_ip) for target, host in pairs]


def _port(target: int, published: int | None, protocol: str, host_ip: str) -> Port:
    checked: Any = protocol or "tcp"
    return Port(target=target, published=published, protocol=checked, host_ip=host_ip)


def _range(part: str, written: str, line: int, *, low: int) -> range:
    match = _RANGE.fullmatch(part)
    if match is None:
        raise Wrong(line, f"'{written}' is not a valid port", _HINT)
    first, last = int(match[1]), int(match[2] or match[1])
    if not low <= first <= last <= 65535:
        raise Wrong(line, f"'{part}' is not a valid port", "Write numbers from 1 to 65535.")
    return range(first, last + 1)


def expose(node: Node, context: Context) -> tuple[str, ...]:
    """Read the ports that a service exposes to other services, as "80" or "80/udp"."""
    return list_of(_exposed, "a list of ports")(node, context)


def _exposed(node: Node, context: Context) -> str:
    written = str(node.value)
    if isinstance(node.value, bool) or not isinstance(node.value, (int, str)):
        raise mismatch(node, "a port")
    if not re.fullmatch(r"\d{1,5}(-\d{1,5})?(/(tcp|udp|sctp))?", written):
        raise Wrong(node.line, f"'{written}' is not a valid port", 'Write "80" or "80/udp".')
    _range(written.partition("/")[0], written, node.line, low=1)
    return written
