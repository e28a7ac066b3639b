"""Read what a service shares with the container of another one: namespaces and volumes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from hashlab.config.nodes import Node
from hashlab.config.readers import At, Context, Draft, list_of, matching
from hashlab.config.report import Wrong

# Keys whose value may be service:NAME, and what is shared then.
_NAMESPACES = {"network_mode": "network", "ipc": "IPC", "pid": "processes"}
_service = matching(
    r"[a-zA-Z0-9._-]+(:(ro|rw))?",
    "'{value}' is not a service with a mode",
    "Write NAME, NAME:ro or NAME:rw.",
)


class Shared(NamedTuple):
    """A service that another one needs on its machine. ``what``: "network", "volumes", …"""

    service: str
    what: str
    line: int


def _volumes_of(node: Node, context: Context) -> At[str]:
    if isinstance(node.value, str) and node.value.startswith("container:"):
        message = f"'{node.value}' names a container that hashlab does not run"
        raise Wrong(node.line, message, "Name a service of this file.")
    return At(_service(node, context), node.line)


def volumes_from(node: Node, context: Context) -> tuple[At[str], ...]:
    """Read the services whose volumes a service mounts, each NAME, NAME:ro or NAME:rw."""
    return list_of(_volumes_of, "a list of services")(node, context)


def with_services(node: Node) -> Node:
    """Return the mapping of services with a service in place of each container that is the
    ``container_name`` of one: container:vpn becomes service:tunnel. Pure.
    """
    services = _entries(node)
    named = {name: _entries(each).get("container_name") for name, each in services.items()}
    names = {own.value: name for name, own in named.items() if own and isinstance(own.value, str)}
    if not names:
        return node
    return node.holding({name: _renamed(each, names) for name, each in services.items()})


def _entries(node: Node) -> dict[str, Node]:
    return dict(node.value) if isinstance(node.value, dict) else {}


def _renamed(service: Node, names: Mapping[str, str]) -> Node:
    entries = _entries(service)
    if not entries:
        return service
    for key in _NAMESPACES.keys() & entries.keys():
        entries[key] = _replaced(entries[key], names, "service:")
    mounted = entries.get("volumes_from")
    if mounted is not None and isinstance(mounted.value, list):
        sources = [_replaced(each, names, "") for each in mounted.value]
        entries["volumes_from"] = mounted.holding(sources)
    return service.holding(entries)


def _replaced(node: Node, names: Mapping[str, str], prefix: str) -> Node:
    written = node.value if isinstance(node.value, str) else ""
    kind, _, rest = written.partition(":")
    container, colon, mode = rest.partition(":")
    if kind != "container" or container not in names:
        return node
    return node.holding(f"{prefix}{names[container]}{colon}{mode}")


def shared(draft: Draft) -> Iterator[Shared]:
    """Yield the services with whose containers a service shares something."""
    for key, what in _NAMESPACES.items():
        kind, _, name = (draft.get(key) or "").partition(":")
        if kind == "service":
            yield Shared(name, what, draft.line_of(key))
    for source, line in draft.get("volumes_from", ()):
        yield Shared(source.partition(":")[0], "volumes", line)
