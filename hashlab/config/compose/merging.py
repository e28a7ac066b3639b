"""Merge two trees of Compose files: the second overrides, adds to or replaces the first."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping
from typing import TypeAlias

from hashlab.config.nodes import RESET, Broken, Node, file_of, kind, shown
from hashlab.config.report import Report, Reported, Wrong

Rule: TypeAlias = Callable[[Node, Node, str], Node]
Key: TypeAlias = Callable[[Node], str | None]

# Mappings whose keys are names. In the tables below "*" stands for any of these names.
_NAMED = frozenset(
    (
        "services", "networks", "volumes", "secrets", "configs", "models",
        "services.*.networks", "services.*.ulimits",
    )
)  # fmt: skip


def below(path: str, key: str) -> str:
    """Return the path of an entry in the notation of the tables: "services.*.build"."""
    return f"{path}.{'*' if path in _NAMED else key}" if path else key


def merge(first: Node, second: Node, path: str = "") -> Node:
    """Return both trees as one. Neither is changed; tags of the second are kept for later merges.

    Raises Wrong if the two are of different kinds.
    """
    if second.tag:
        return second
    rule = _RULES.get(path)
    if rule is not None:
        return rule(first, second, path)
    if second.value is None:
        return first
    if isinstance(first.value, dict):
        return _mappings(first, second, path)
    if isinstance(first.value, list):
        return _lists(first, second, path)
    return second


def _mappings(first: Node, second: Node, path: str) -> Node:
    if not (isinstance(first.value, dict) and isinstance(second.value, dict)):
        raise _different(first, second)
    entries = dict(first.value)
    for key, node in second.value.items():
        known = entries.get(key)
        entries[key] = node if known is None else merge(known, node, below(path, key))
    return first.holding(entries)


def _lists(first: Node, second: Node, path: str) -> Node:
    if not (isinstance(first.value, list) and isinstance(second.value, list)):
        raise _different(first, second)
    return first.holding([*first.value, *second.value])


def _different(first: Node, second: Node) -> Wrong:
    if isinstance(first.value, Broken) or isinstance(second.value, Broken):
        return Reported()
    place = shown(first.line, second.line)
    message = f"this is {kind(second)}, but {place} has {kind(first)} for the same key"
    return Wrong(second.line, message, "Write both in the same form, or !override before this one.")


def _replaced(_first: Node, second: Node, _path: str) -> Node:
    return second


def _in_form(convert: Callable[[Node], Node], rule: Rule) -> Rule:
    """Return a rule for values that have several forms: convert both to one, then apply a rule."""

    def converted(first: Node, second: Node, path: str) -> Node:
        if first.value is None or second.value is None:
            return first if second.value is None else second
        return rule(convert(first), convert(second), path)

    return converted


def _as_pairs(node: Node) -> Node:
    """Convert a list of NAME=value to a mapping."""
    if not isinstance(node.value, list):
        return node
    entries: dict[str, Node] = {}
    for item in node.value:
        if not isinstance(item.value, str):
            raise Wrong(item.line, f"expected NAME=value, found {kind(item)}", "Put quotes around.")
        name, equals, value = item.value.partition("=")
        pair = Node(value if equals else None, item.line, raw=value)
        entries[name] = pair
    return node.holding(entries)


def _as_mapping(default: Mapping[str, str | bool]) -> Callable[[Node], Node]:
    """Return a conversion of a list of names to a mapping, in which each has the default."""

    def convert(node: Node) -> Node:
        if not isinstance(node.value, list):
            return node
        entries: dict[str, Node] = {}
        for item in node.value:
            defaults = {key: Node(value, item.line) for key, value in default.items()}
            entries[str(item.value)] = Node(defaults or None, item.line)
        return node.holding(entries)

    return convert


def _as_list(node: Node) -> Node:
    return node if isinstance(node.value, list) else node.holding([node])


def _as_build(node: Node) -> Node:
    return node.holding({"context": node}) if isinstance(node.value, str) else node


def _as_hosts(node: Node) -> Node:
    """Convert a mapping of host names to a list of NAME=address."""
    if not isinstance(node.value, dict):
        return node
    hosts: list[Node] = []
    for name, child in node.value.items():
        for address in child.value if isinstance(child.value, list) else [child]:
            hosts.append(address.holding(f"{name}={address.value}"))
    return node.holding(hosts)


def _hosts(first: Node, second: Node, path: str) -> Node:
    both = _lists(first, second, path)
    hosts = both.value if isinstance(both.value, list) else []
    return both.holding(list({str(host.value): host for host in hosts}.values()))


def _logging(first: Node, second: Node, path: str) -> Node:
    """Merge the options of one driver; another driver replaces all."""
    if not (isinstance(first.value, dict) and isinstance(second.value, dict)):
        raise _different(first, second)
    drivers = {each["driver"].value for each in (first.value, second.value) if "driver" in each}
    return _mappings(first, second, path) if len(drivers) < 2 else second


_pairs = _in_form(_as_pairs, _mappings)
_sequence = _in_form(_as_list, _lists)
_names = _in_form(_as_mapping({}), _mappings)
_RULES: Mapping[str, Rule] = {
    **dict.fromkeys(
        (
            "networks.*.labels", "services.*.annotations", "services.*.build.additional_contexts",
            "services.*.build.args", "services.*.build.labels", "services.*.deploy.labels",
            "services.*.environment", "services.*.labels", "services.*.sysctls",
            "volumes.*.labels",
        ),
        _pairs,
    ),
    **dict.fromkeys(
        (
            "services.*.dns", "services.*.dns_opt", "services.*.dns_search", "services.*.env_file",
            "services.*.label_file", "services.*.tmpfs",
        ),
        _sequence,
    ),
    **dict.fromkeys(
        (
            "services.*.command", "services.*.entrypoint", "services.*.healthcheck.test",
            "services.*.ulimits.*",
        ),
        _replaced,
    ),
    **dict.fromkeys(("services.*.networks", "services.*.models"), _names),
    **dict.fromkeys(
        ("services.*.build.extra_hosts", "services.*.extra_hosts"), _in_form(_as_hosts, _hosts)
    ),
    "services.*.build": _in_form(_as_build, _mappings),
    "services.*.depends_on": _in_form(
        _as_mapping({"condition": "service_started", "required": True}), _mappings
    ),
    "services.*.logging": _logging,
}  # fmt: skip


def finished(node: Node, report: Report, path: str = "") -> Node:
    """Return a tree for the readers: without tags, and each list without repetitions.

    A later item of a list replaces an earlier one with the same key, such as a mount at the same
    path. That is noted if both are in one file.
    """
    if isinstance(node.value, dict):
        entries = {
            key: finished(child, report, below(path, key))
            for key, child in node.value.items()
            if child.tag != RESET
        }
        return node.holding(entries)
    if isinstance(node.value, list):
        items = [finished(item, report, f"{path}.[]") for item in node.value if item.tag != RESET]
        key_of = _UNIQUE.get(path)
        return node.holding(items if key_of is None else _unique(items, key_of, path, report))
    return node


def _unique(items: list[Node], key_of: Key, path: str, report: Report) -> list[Node]:
    chosen: dict[object, Node] = {}
    for item in items:
        key = key_of(item)
        earlier = chosen.get(key)
        if earlier is not None and path in _MOUNTS and file_of(earlier.line) == file_of(item.line):
            what = f"what {shown(earlier.line, item.line)} mounts at {key} is replaced by this"
            report.note(item.line, f"as in Compose, {what}")
        chosen[id(item) if key is None else key] = item
    return list(chosen.values())


def _whole(node: Node) -> str | None:
    return str(node.value) if isinstance(node.value, (str, int)) else None


def _before(separator: str) -> Key:
    return lambda node: node.value.partition(separator)[0] if isinstance(node.value, str) else None


def _field(node: Node, key: str) -> str:
    """Return an entry of a mapping as text; "" if it has none."""
    value = node.value.get(key) if isinstance(node.value, dict) else None
    return "" if value is None or value.value is None else str(value.value)


def _path_of_file(node: Node) -> str | None:
    return node.value if isinstance(node.value, str) else _field(node, "path") or None


def _target(node: Node) -> str | None:
    """Return the path in the container of a volume or device."""
    if isinstance(node.value, str):
        parts = node.value.split(":")
        target = parts[1] if len(parts) > 1 else parts[0]
    else:
        target = _field(node, "target")
    return posixpath.normpath(target) if target else None


def _target_of_file(folder: str) -> Key:
    """Return the path in the container of a secret or config, whose default is below a folder."""

    def target(node: Node) -> str | None:
        if isinstance(node.value, str):
            return folder + node.value
        written = _field(node, "target") or _field(node, "source")
        return posixpath.join(folder, written) if written else None

    return target


_PORT = re.compile(
    r"(?:(?:(?P<ip>.*):)?(?P<published>[0-9-]*):)?(?P<target>[0-9-]+)(?:/(?P<protocol>.*))?"
)


def _port(node: Node) -> str | None:
    names = ("host_ip", "published", "target", "protocol")
    if isinstance(node.value, dict):
        ip, published, target, protocol = (_field(node, name) for name in names)
    else:
        match = _PORT.fullmatch(str(node.value))
        if match is None:
            return None
        ip, published, target, protocol = match.group("ip", "published", "target", "protocol")
    return f"{ip or '0.0.0.0'}:{published or ''}:{target}/{protocol or 'tcp'}"  # noqa: S104


# The lists without repetitions, and what makes two of their items the same.
_UNIQUE: Mapping[str, Key] = {
    **dict.fromkeys(
        (
            "services.*.build.tags", "services.*.cap_add", "services.*.cap_drop",
            "services.*.dns", "services.*.dns_opt", "services.*.dns_search", "services.*.expose",
            "services.*.links", "services.*.networks.*.aliases", "services.*.profiles",
        ),
        _whole,
    ),
    "networks.*.ipam.config": lambda node: _field(node, "subnet") or None,
    "services.*.configs": _target_of_file("/"),
    "services.*.devices": _target,
    "services.*.env_file": _path_of_file,
    "services.*.ports": _port,
    "services.*.secrets": _target_of_file("/run/secrets/"),
    "services.*.tmpfs": _before(":"),
    "services.*.volumes": _target,
}  # fmt: skip
_MOUNTS = ("services.*.configs", "services.*.secrets", "services.*.tmpfs", "services.*.volumes")
