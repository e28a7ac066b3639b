"""Read the networks of the Compose file, and a service's places on them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Network, ip_address, ip_network
from typing import Any

from hashlab.config.compose import keys
from hashlab.config.compose.scalars import boolean, integer, texts
from hashlab.config.compose.sharing import shared
from hashlab.config.model import OVERLAY_OPTIONS, AddressPool, Attachment, Dependency, Link, Network
from hashlab.config.nodes import Node
from hashlab.config.readers import (
    At,
    Context,
    Draft,
    Reader,
    Table,
    attempt,
    entries_of,
    list_of,
    matching,
    table,
    text,
)
from hashlab.config.report import Wrong

DEFAULT = "default"
# Networks that each machine's engine has already.
_ENGINES_OWN = ("bridge", "default", "docker_gwbridge", "host", "ingress", "none")
_SPANNING = ("bridge", "overlay", "default")
_MAC = r"(?:[0-9a-fA-F]{2}[:-]){5}[0-9a-fA-F]{2}"

_alias = matching(
    r"[a-zA-Z0-9_][a-zA-Z0-9_.-]*",
    "'{value}' is not a valid name on a network",
    "Use letters, digits, '_', '.' and '-'.",
)
mac_address = matching(_MAC, "'{value}' is not a MAC address", "Write one: 02:42:ac:11:00:02.")
_engine_name = matching(
    r"[a-zA-Z0-9][a-zA-Z0-9_.-]*",
    "'{value}' is not a valid name of a network",
    "Use letters, digits, '_', '.' and '-'.",
)


def _name(node: Node, context: Context) -> str:
    name = _engine_name(node, context)
    if name in _ENGINES_OWN:
        message = f"'{name}' is the name of a network that every machine's engine has"
        raise Wrong(node.line, message, "Choose another name.")
    return name


def _ipv4_address(node: Node, context: Context) -> str:
    written = text(node, context)
    try:
        address = ip_address(written)
    except ValueError:
        message = f"'{written}' is not an IPv4 address"
        raise Wrong(node.line, message, "Write one: 10.5.0.5.") from None
    if address.version != 4:
        raise Wrong(node.line, f"'{written}' is an IPv6 address", keys.NO_IPV6)
    return written


def _subnet(node: Node, context: Context) -> str:
    """Read a subnet. One of IPv6 is noted."""
    written = text(node, context)
    try:
        subnet = ip_network(written, strict=False)
    except ValueError:
        message = f"'{written}' is not a subnet"
        raise Wrong(node.line, message, "Write one: 10.5.0.0/24.") from None
    if not isinstance(subnet, IPv4Network):
        context.report.note(node.line, "an IPv6 subnet has no effect: overlays have IPv4 addresses")
    return written


POOL_KEYS = Table(
    noun="a pool of addresses",
    readers={"subnet": _subnet, "gateway": text, "ip_range": text},
    others=keys.POOL,
    expected="a mapping with subnet",
)


def _pool(node: Node, context: Context) -> At[AddressPool]:
    draft = table(POOL_KEYS)(node, context)
    pool = AddressPool(**draft.pick("subnet", "gateway", "ip_range"))
    if pool.subnet:
        for line, message in _outside(pool, draft):
            context.report.add(line, message, f"Choose one of {pool.subnet}.")
    return At(pool, node.line)


def _outside(pool: AddressPool, draft: Draft) -> Iterator[tuple[int, str]]:
    """Yield line and problem of each part of a pool that is not in its subnet."""
    subnet = ip_network(pool.subnet, strict=False)
    for key, value in (("gateway", pool.gateway), ("ip_range", pool.ip_range)):
        try:
            inside = not value or ip_network(value, strict=False).subnet_of(subnet)  # type: ignore[arg-type]
        except (ValueError, TypeError):
            inside = False
        if not inside:
            yield draft.line_of(key), f"the {key} '{value}' is not in the subnet {pool.subnet}"


def _ipam_driver(node: Node, context: Context) -> str:
    driver = text(node, context)
    if driver != "default":
        message = f"machines have no driver '{driver}' for addresses"
        raise Wrong(node.line, message, "Remove it: the Swarm gives out addresses.")
    return driver


IPAM_KEYS = Table(
    noun="ipam",
    readers={"driver": _ipam_driver, "config": list_of(_pool, "a list of subnets")},
    others=keys.IPAM,
)


def _driver(node: Node, context: Context) -> str:
    driver = text(node, context)
    if driver not in _SPANNING:
        message = f"a network of the driver '{driver}' does not reach from machine to machine"
        raise Wrong(node.line, message, "Remove the driver: the network becomes an overlay.")
    return driver


def _driver_opts(node: Node, context: Context) -> tuple[tuple[str, str], ...]:
    options = texts(node, context)
    for name, _ in options:
        if name not in OVERLAY_OPTIONS:
            message = f"the option {name} has no effect: the network is an overlay of the machines"
            context.report.note(node.key_line, message)
    return options


def _ipv4(node: Node, context: Context) -> bool:
    if not boolean(node, context):
        raise Wrong(node.line, "an overlay of the machines needs IPv4", "Remove enable_ipv4.")
    return True


def _external(node: Node, context: Context) -> str | bool:
    """Read external: true, or the older form with the network's name."""
    if isinstance(node.value, dict):
        return table(EXTERNAL_KEYS)(node, context).get("name") or True
    return boolean(node, context)


def _labels(node: Node, context: Context) -> tuple[tuple[str, str], ...]:
    labels = texts(node, context)
    if any(name.startswith("hashlab.") for name, _ in labels):
        message = "labels that begin with 'hashlab.' are hashlab's own"
        context.report.add(node.key_line, message, "Use another prefix.")
    return labels


EXTERNAL_KEYS = Table(noun="external", readers={"name": _name})
NETWORK_KEYS = Table(
    noun="a network",
    readers={
        "name": _name,
        "driver": _driver,
        "driver_opts": _driver_opts,
        "external": _external,
        "internal": boolean,
        "ipam": table(IPAM_KEYS),
        "labels": _labels,
        "enable_ipv4": _ipv4,
    },
    others=keys.NETWORK,
)
ATTACHMENT_KEYS = Table(
    noun="a service's network",
    readers={
        "aliases": list_of(_alias, "a list of names"),
        "ipv4_address": _ipv4_address,
        "mac_address": mac_address,
        "priority": integer(low=-(2**31), high=2**31 - 1),
    },
    others=keys.ATTACHMENT,
)


def attachments(node: Node, context: Context) -> tuple[At[Attachment], ...]:
    """Read the networks of a service: a list of names, or a mapping of names to options."""
    if isinstance(node.value, list):
        written = [name for item in node.value for name in attempt(_named, item, context)]
        for place, (attachment, line) in enumerate(written):
            if attachment in (earlier.value for earlier in written[:place]):
                message = f"the network '{attachment.network}' is listed twice"
                context.report.add(line, message, "Keep one.")
        return tuple(written)
    found = []
    for name, child in entries_of(node, "a list or a mapping of networks").items():
        options: dict[str, Any] = {}
        if child.value is not None:
            for draft in attempt(table(ATTACHMENT_KEYS), child, context):
                options = draft.pick("aliases", "ipv4_address", "mac_address", "priority")
        found.append(At(Attachment(name, **options), child.key_line))
    return tuple(found)


def _named(node: Node, context: Context) -> At[Attachment]:
    return At(Attachment(text(node, context)), node.line)


def network_mode(node: Node, context: Context) -> str:
    """Read the way in which a service uses other networks than the file's own."""
    mode = text(node, context)
    if mode.startswith("container:"):
        message = f"'{mode}' names a container that hashlab does not run"
        raise Wrong(node.line, message, "Name a service of this file: service:NAME.")
    if mode not in keys.NETWORK_MODES and not re.fullmatch(r"service:\S+", mode):
        hint = f"Write {', '.join(keys.NETWORK_MODES)} or service:NAME; or use networks."
        raise Wrong(node.line, f"'{mode}' is not an allowed value", hint)
    if keys.NETWORK_MODES.get(mode):
        context.report.note(node.key_line, keys.NETWORK_MODES[mode])
    return mode


def links(node: Node, context: Context) -> tuple[At[Link], ...]:
    """Read links: SERVICE or SERVICE:ALIAS."""
    reader: Reader[tuple[At[Link], ...]] = list_of(_link, "a list of links")
    return reader(node, context)


def external_links(node: Node, context: Context) -> tuple[Link, ...]:
    """Read links to containers that the file does not describe: NAME or NAME:ALIAS. A name leads to
    a container of that name on a network of the service.
    """
    message = "leads only to a container_name of this file, or to your own container on one network"
    context.report.note(node.key_line, f"'external_links' {message}")
    found = list_of(_link, "a list of links")(node, context)
    return tuple(replace(at.value, external=True) for at in found)


def _link(item: Node, context: Context) -> At[Link]:
    service, _, alias = text(item, context).partition(":")
    return At(Link(service, alias or service), item.line)


def joined(draft: Draft) -> str:
    """Return the service in whose network a service runs, or ""."""
    kind, _, name = (draft.get("network_mode") or "").partition(":")
    return name if kind == "service" else ""


def implied(draft: Draft) -> tuple[At[Dependency], ...]:
    """Return the dependencies that follow from links and from what is shared with other services,
    as in Compose. A dependency that the file states itself wins.
    """
    found = {at.value.service: (at.line, True) for at in draft.get("links", ())}
    for name, what, line in shared(draft):
        found.setdefault(name, (line, what != "volumes"))
    stated = {at.value.service for at in draft.get("depends_on", ())}
    return tuple(
        At(Dependency(name, restart=restart), line)
        for name, (line, restart) in found.items()
        if name not in stated
    )


def placed_on(draft: Draft) -> tuple[At[Attachment], ...]:
    """Return the networks of a service, the first one first. By default it is on the default one;
    with a network_mode that has a network of its own, it is on none.
    """
    if draft.get("network_mode") and draft.get("network_mode") not in keys.ON_DEFAULT_NETWORK:
        return ()
    written = draft.get("networks") or (At(Attachment(DEFAULT), draft.line),)
    return tuple(sorted(written, key=lambda at: (-at.value.priority, at.value.network)))


def network_of(key: str, draft: Draft, lab: str) -> Network:
    """Return the network of a draft without problems. ``lab``: the project's name."""
    external = draft.get("external", False)
    older = external if isinstance(external, str) else ""
    ipam: Draft = draft.get("ipam") or Draft()
    return Network(
        key=key,
        name=draft.get("name") or older or (key if external else f"{lab}_{key}"),
        external=bool(external),
        ipam_driver=ipam.get("driver", ""),
        pools=tuple(at.value for at in ipam.get("config", ())),
        **draft.pick("driver", "driver_opts", "enable_ipv4", "internal", "labels"),
    )
