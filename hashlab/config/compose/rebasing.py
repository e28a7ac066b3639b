"""Rewrite the relative paths of a Compose file in another folder for the project's folder."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping

from hashlab.config.compose.merging import below
from hashlab.config.nodes import Node

_ABSOLUTE = re.compile(r"[/~]|[A-Za-z]:[\\/]")
# What a build takes from elsewhere: an address, another service, a repository.
_NOT_A_PATH = re.compile(r".*://|service:|github\.com/|git@")

Rewrite = Callable[[Node, str], Node]


def rebased(node: Node, prefix: str, path: str = "") -> Node:
    """Return ``node`` with ``prefix``, a relative path, in front of its relative paths.

    So values stay relative, and mean the same as in their own file.
    """
    rewrite = _PATHS.get(path)
    if rewrite is not None:
        return rewrite(node, prefix)
    value = node.value
    if isinstance(value, dict):
        entries = {key: rebased(child, prefix, below(path, key)) for key, child in value.items()}
        return node.holding(entries)
    if isinstance(value, list):
        return node.holding([rebased(child, prefix, f"{path}.[]") for child in value])
    return node


def _plain(node: Node, prefix: str) -> Node:
    written = node.value
    if not isinstance(written, str) or not written or _ABSOLUTE.match(written):
        return node
    joined = posixpath.normpath(posixpath.join(prefix, written))
    return node.holding(joined if joined.startswith("..") else f"./{joined}")


def _context(node: Node, prefix: str) -> Node:
    remote = isinstance(node.value, str) and _NOT_A_PATH.match(node.value)
    return node if remote else _plain(node, prefix)


def _build(node: Node, prefix: str) -> Node:
    if not isinstance(node.value, dict):
        return _context(node, prefix)
    rewrites = {"context": _context, "additional_contexts": _contexts}
    changed = {
        key: rewrite(node.value[key], prefix)
        for key, rewrite in rewrites.items()
        if key in node.value
    }
    return node.holding({**node.value, **changed})


def _contexts(node: Node, prefix: str) -> Node:
    if isinstance(node.value, dict):
        return node.holding({key: _context(each, prefix) for key, each in node.value.items()})
    return _each(_after_equals)(node, prefix)


def _after_equals(node: Node, prefix: str) -> Node:
    if not isinstance(node.value, str):
        return node
    name, equals, value = node.value.partition("=")
    return node.holding(f"{name}{equals}{_context(node.holding(value), prefix).value}")


def _each(rewrite: Rewrite) -> Rewrite:
    """Return a function for one value or a list of them."""

    def rewrite_each(node: Node, prefix: str) -> Node:
        if isinstance(node.value, list):
            return node.holding([rewrite(item, prefix) for item in node.value])
        return rewrite(node, prefix)

    return rewrite_each


def _entry(key: str, *, when: tuple[str, str] | None = None) -> Rewrite:
    """Return a function for the path under ``key`` of a mapping, or for the path itself.

    ``when``: a key and the value that it must have.
    """

    def rewrite(node: Node, prefix: str) -> Node:
        value = node.value
        if not isinstance(value, dict):
            return _plain(node, prefix)
        if key not in value or (when and (when[0] not in value or value[when[0]].value != when[1])):
            return node
        return node.holding({**value, key: _plain(value[key], prefix)})

    return rewrite


def _volume(node: Node, prefix: str) -> Node:
    if not isinstance(node.value, str):
        return _entry("source", when=("type", "bind"))(node, prefix)
    source, colon, rest = node.value.partition(":")
    if not (colon and source.startswith(".")):
        return node
    return node.holding(f"{_plain(node.holding(source), prefix).value}:{rest}")


def _extends(node: Node, prefix: str) -> Node:
    return _entry("file")(node, prefix) if isinstance(node.value, dict) else node


_PATHS: Mapping[str, Rewrite] = {
    "services.*.build": _build,
    "services.*.env_file": _each(_entry("path")),
    "services.*.label_file": _each(_plain),
    "services.*.develop.watch": _each(_entry("path")),
    "services.*.volumes": _each(_volume),
    "services.*.extends": _extends,
    "secrets.*.file": _plain,
    "configs.*.file": _plain,
    "volumes.*.driver_opts": _entry("device", when=("o", "bind")),
}


def with_defaults(tree: Node, environ: Mapping[str, str]) -> Node:
    """Write out what depends on the folder and the variables of an included file.

    These are the context of a build that names none, and variables without a value.
    """
    entries = dict(tree.value if isinstance(tree.value, dict) else {})
    services = entries.get("services")
    if services is None or not isinstance(services.value, dict):
        return tree
    completed = {name: _completed(node, environ) for name, node in services.value.items()}
    return tree.holding({**entries, "services": services.holding(completed)})


def _completed(service: Node, environ: Mapping[str, str]) -> Node:
    if not isinstance(service.value, dict):
        return service
    entries = dict(service.value)
    build, variables = entries.get("build"), entries.get("environment")
    if build is not None and isinstance(build.value, dict) and "context" not in build.value:
        context = Node(".", build.line)
        entries["build"] = build.holding({**build.value, "context": context})
    if variables is not None and isinstance(variables.value, list):
        items = [
            item.holding(f"{item.value}={environ[item.value]}")
            if isinstance(item.value, str) and item.value in environ
            else item
            for item in variables.value
        ]
        entries["environment"] = variables.holding(items)
    return service.holding(entries)
