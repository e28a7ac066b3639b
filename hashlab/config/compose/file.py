"""Read the whole Compose file: services, networks, volumes, secrets, configs."""

from __future__ import annotations

from hashlab.config.compose import keys
from hashlab.config.compose.networks import NETWORK_KEYS
from hashlab.config.compose.secret_files import config, secret
from hashlab.config.compose.service import read_service, resolved
from hashlab.config.compose.sharing import with_services
from hashlab.config.compose.volumes import volume
from hashlab.config.nodes import Node
from hashlab.config.readers import (
    Context,
    Draft,
    Reader,
    Table,
    entries_of,
    mapping_of,
    matching,
    table,
)
from hashlab.config.report import Report, Wrong


def _name(what: str) -> Reader[str]:
    return matching(
        r"(?!\.+$)[a-zA-Z0-9._-]{1,63}",
        f"'{{value}}' is not a valid name for {what}",
        "Use letters, digits, '_', '.' and '-', at most 63 characters.",
    )


def _services(node: Node, context: Context) -> dict[str, Draft]:
    if not entries_of(node, "a mapping of services"):
        raise Wrong(node.line, "no service is defined", "Write services: {web: {image: …}}.")
    reader = mapping_of(_name("a service"), read_service, "a mapping of services")
    return reader(with_services(node), context)


_volumes = mapping_of(_name("a volume"), volume, "a mapping of volumes", nothing_is=Draft())

_networks = mapping_of(
    _name("a network"), table(NETWORK_KEYS), "a mapping of networks", nothing_is=Draft()
)


def _unused(node: Node, _context: Context) -> str:
    return node.raw


TOP_KEYS = Table(
    noun="the Compose file",
    readers={
        "include": resolved,
        "services": _services,
        "volumes": _volumes,
        "networks": _networks,
        "secrets": mapping_of(_name("a secret"), secret, "a mapping of secrets"),
        "configs": mapping_of(_name("a config"), config, "a mapping of configs"),
        "name": _unused,
        "version": _unused,
    },
    others=keys.TOP,
    required=("services",),
    expected="a mapping with services",
)


def read_compose(node: Node, context: Context) -> Draft:
    """Return the valid parts of the tree that ``loading`` made of all Compose files.

    Problems go to the context's report.
    """
    return table(TOP_KEYS)(node, context)


def note_unused(draft: Draft, lab: Draft, report: Report) -> None:
    """Note keys that are harmless and have no effect. ``lab``: [lab] of hashlab.toml."""
    if draft.has("name") and lab.has("name") and draft.get("name") != lab.get("name"):
        message = f"'name' is not used: hashlab.toml calls the lab '{lab.get('name')}'"
        report.note(draft.line_of("name"), message)
    if draft.has("version"):
        report.note(draft.line_of("version"), "'version' is obsolete and not used")
