"""Complete hashlab.toml: choose the lab's name and its machines if the file does not."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address
from itertools import islice

from hashlab.config.compose.service import (
    conditions,
    most_of_a_machine,
    on_several,
    replicas,
)
from hashlab.config.hashlab_toml import ENGINES_OWN_NETWORKS, MACHINE_NAME, MAX_NAME
from hashlab.config.machines import subnet_of
from hashlab.config.placement import bonds, split_volumes
from hashlab.config.providers import AUTO, HOSTS
from hashlab.config.readers import Draft

NAMES = ("one", "two", "three")
# The last number of the first address that is given. Lower ones stay free for routers and the like.
FIRST_ADDRESS = 5


def lab_name(project: str) -> str:
    """Return the name of the lab for a project name of Compose. Pure.

    A project may be named like a network of the engine, begin with a digit and have '_', which a
    host name of machines may not.
    """
    name = project_name(project).replace("_", "-")
    if not name[:1].isalpha():
        name = f"lab-{name}"
    name = name[:MAX_NAME].strip("-")
    return f"{name}-lab" if name in ENGINES_OWN_NETWORKS else name


def project_name(folder: str) -> str:
    """Return the project name that Compose makes of the name of the files' folder. Pure."""
    return re.sub("[^a-z0-9_-]", "", folder.lower()).lstrip("_-")


def with_machines(toml: Draft, services: Mapping[str, Draft], provider: str = AUTO) -> Draft:
    """Return hashlab.toml with machines that all have an address; as it is for hosts, of which
    nobody chooses number and addresses. Pure.

    Without [machines] there is one machine for each host name in a constraint, and up to three in
    all, but not more than there are services that may be apart.
    """
    if provider == HOSTS:
        return toml
    machines: dict[str, Draft] = toml.get("machines", {})
    if not machines and not toml.flawed("machines"):
        machines = dict.fromkeys(_names(services, split_volumes(toml)), Draft())
    free = _free_addresses(toml, machines)
    return toml.filled(
        machines={
            name: machine
            if machine.has("address")
            else machine.filled(address=next(free, subnet_of(toml)[FIRST_ADDRESS]))
            for name, machine in machines.items()
        }
    )


def _names(services: Mapping[str, Draft], split: frozenset[str]) -> list[str]:
    named = list(dict.fromkeys(_host_names(services)))
    placed = {name: each for name, each in services.items() if not on_several(each)}
    groups = {id(group) for group in bonds(placed, split).values()}
    apart = [
        -(-replicas(s) // (most_of_a_machine(s) or 1)) for s in services.values() if on_several(s)
    ]
    missing = min(len(NAMES), max(len(groups), 1, *apart)) - len(named)
    others = (name for name in NAMES if name not in named)
    return [*named, *islice(others, max(missing, 0))]


def _host_names(services: Mapping[str, Draft]) -> Iterator[str]:
    for service in services.values():
        for condition in conditions(service):
            key, equal, wanted = condition.value
            if key is None and equal and re.fullmatch(MACHINE_NAME, wanted):
                yield wanted


def _free_addresses(toml: Draft, machines: Mapping[str, Draft]) -> Iterator[IPv4Address]:
    subnet = subnet_of(toml)
    taken = {machine.get("address") for machine in machines.values()}
    numbers = (*range(FIRST_ADDRESS, 255), *range(2, FIRST_ADDRESS))
    return (subnet[number] for number in numbers if subnet[number] not in taken)
