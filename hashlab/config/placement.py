"""Decide which machine each service runs on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from hashlab.config.compose.service import (
    conditions,
    is_global,
    most_of_a_machine,
    on_several,
    replicas,
)
from hashlab.config.compose.sharing import shared
from hashlab.config.model import CopyName, VolumeMount
from hashlab.config.readers import At, Draft
from hashlab.config.report import Report, suggestion

Labels = Mapping[str, Mapping[str, str]]


def labels_of(toml: Draft) -> Labels:
    """Return the labels of each machine of hashlab.toml, in its order."""
    machines: dict[str, Draft] = toml.get("machines", {})
    return {name: dict(machine.get("labels", ())) for name, machine in machines.items()}


def split_volumes(toml: Draft) -> frozenset[str]:
    """Return the volumes that hashlab.toml lets each machine have one of."""
    volumes: dict[str, Draft] = toml.get("volumes", {})
    return frozenset(name for name, volume in volumes.items() if volume.get("split"))


def candidates(service: Draft, machines: Labels) -> list[str]:
    """Return the machines that satisfy the constraints of a service. A constraint on a label that
    no machine has, or on a machine that does not exist, does not count.
    """
    left = list(machines)
    for condition in conditions(service):
        key, equal, wanted = condition.value
        if not _is_known(condition, machines):
            continue
        if key is None:
            left = [name for name in left if (name == wanted) is equal]
        else:
            left = [name for name in left if (machines[name].get(key) == wanted) is equal]
    return left


class Tie(NamedTuple):
    """Two services that must be on one machine. ``shared``: what they share there; ``hint``: what
    else to write if they cannot.
    """

    first: str
    second: str
    shared: str
    hint: str = ""


def ties(services: Mapping[str, Draft], split: frozenset[str]) -> Iterator[Tie]:
    """Yield pairs of services that must be on one machine, because they share something there."""
    users: dict[str, str] = {}
    for name, service in services.items():
        if on_several(service):
            continue
        for owner, what, _ in shared(service):
            if owner in services:
                yield Tie(owner, name, f"the {what} of '{owner}'")
        for mount, _ in service.get("volumes", ()):
            if isinstance(mount, VolumeMount) and mount.volume and mount.volume not in split:
                first = users.setdefault(mount.volume, name)
                if first != name:
                    hint = (
                        ", or let each machine have a volume of its own: "
                        f"[volumes.{mount.volume}] split = true in hashlab.toml"
                    )
                    yield Tie(first, name, f"the volume '{mount.volume}'", hint)


def bonds(services: Mapping[str, Draft], split: frozenset[str]) -> dict[str, list[str]]:
    """Return, for each service, the services that must be on its machine, itself included."""
    groups = {name: [name] for name in services}
    for first, name, *_ in ties(services, split):
        if groups[first] is not groups[name]:
            together = groups[first] + groups[name]
            groups.update(dict.fromkeys(together, together))
    return groups


def check_placement(
    services: Mapping[str, Draft],
    machines: Labels,
    split: frozenset[str],
    report: Report,
    *,
    own: bool,
) -> None:
    """Report constraints that no machine satisfies, alone or for services of one machine.

    ``own``: hashlab.toml names the machines, so an unknown one is a mistake. Otherwise it is one
    of the machines in production.
    """
    for name, service in services.items():
        for condition in conditions(service):
            _check_condition(condition, machines, report, own=own)
        if not candidates(service, machines):
            wanted = conditions(service)[-1].line
            message = f"no machine satisfies all constraints of service '{name}'"
            report.add(wanted, message, "Remove one of the constraints.")
        _check_room(name, service, machines, report)
    groups = bonds(services, split)
    for first, name, what, hint in ties(services, split):
        if _common(groups[name], services, machines) or not all(
            candidates(services[each], machines) for each in groups[name]
        ):
            continue
        line = next(iter(conditions(services[name]) or conditions(services[first])))[1]
        message = f"services '{first}' and '{name}' share {what}, but not a machine"
        report.add(line, message, f"Give both the same constraint{hint}.")


def _is_known(condition: At[tuple[str | None, bool, str]], machines: Labels) -> bool:
    key, _, wanted = condition.value
    return wanted in machines if key is None else any(key in each for each in machines.values())


def _check_condition(
    condition: At[tuple[str | None, bool, str]], machines: Labels, report: Report, *, own: bool
) -> None:
    key, _, wanted = condition.value
    if _is_known(condition, machines):
        return
    if key is None and own:
        known = f"The machines of hashlab.toml are: {', '.join(machines)}."
        hint = suggestion(wanted, list(machines), otherwise=known)
        report.add(condition.line, f"unknown machine '{wanted}'", hint)
    elif key is None:
        message = f"the constraint on '{wanted}' has no effect: the lab has no such machine"
        report.note(condition.line, message)
    else:
        message = (
            f"the constraint on the label '{key}' has no effect: no machine of hashlab.toml has "
            f"labels = {{ {key} = ... }}"
        )
        report.note(condition.line, message)


def _common(group: Sequence[str], services: Mapping[str, Draft], machines: Labels) -> list[str]:
    """Return the machines that suit all services of a group, in the order of ``machines``."""
    suiting = [set(candidates(services[name], machines)) for name in group]
    return [machine for machine in machines if all(machine in each for each in suiting)]


def place(
    services: Mapping[str, Draft],
    machines: Labels,
    split: frozenset[str] = frozenset(),
    known: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, str]:
    """Return the machine of each service but those on several, in the order of ``services``.

    ``known``: where services of the lab ran last. They stay there, with the data of their volumes,
    while that machine suits them. Services that must be on one machine go there together. Those
    with a constraint are placed first, where there are the fewest services. The others share the
    machines evenly, each as near as possible to the machine that its name and the machine's agree
    on, so the order of the file does not matter.
    """
    groups = bonds({n: each for n, each in services.items() if not on_several(each)}, split)
    suiting = {name: _common(group, services, machines) for name, group in groups.items()}
    groups = {name: group for name, group in groups.items() if suiting[name]}
    places: dict[str, str] = {}
    counts = dict.fromkeys(machines, 0)

    def put(name: str, machine: str) -> None:
        places.update(dict.fromkeys(groups[name], machine))
        counts[machine] += len(groups[name])

    for name in groups:
        if name not in places and known.get(name) in suiting[name]:
            put(name, known[name])
    for name in groups:
        if name not in places and len(suiting[name]) < len(machines):
            put(name, min(suiting[name], key=lambda machine: counts[machine]))
    free = {min(groups[name]) for name in groups if name not in places}
    pairs = [(name, machine) for name in free for machine in machines]
    for name, machine in sorted(pairs, key=_affinity):
        if name not in places and _has_room(counts, machine, len(groups)):
            put(name, machine)
    for name in sorted(free - places.keys()):  # after large groups, which took more than their part
        put(name, min(machines, key=lambda machine: counts[machine]))
    return {name: places[name] for name in services if name in places}


def everywhere(
    services: Mapping[str, Draft],
    machines: Labels,
    places: Mapping[str, str],
    known: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, dict[str, int]]:
    """Return the number of replicas on each machine of the services on several, in the order of
    ``machines``. ``places``: the machines of all other services; ``known``: as in ``place``.

    Replicas stay on the machines on which the service ran last; further ones are where the fewest
    services are.
    """
    load = dict.fromkeys(machines, 0)
    for machine in places.values():
        load[machine] += 1
    found: dict[str, dict[str, int]] = {}
    for name, service in services.items():
        if not on_several(service):
            continue
        suiting = candidates(service, machines)
        if is_global(service):
            found[name] = dict.fromkeys(suiting, 1)
            continue
        counts = dict.fromkeys(suiting, 0)

        def rank(
            machine: str, name: str = name, counts: Mapping[str, int] = counts
        ) -> tuple[int, bool, int]:
            return counts[machine], str(CopyName(name, machine)) not in known, load[machine]

        most = most_of_a_machine(service) or replicas(service)
        for _ in range(min(replicas(service), most * len(suiting))):
            counts[min(suiting, key=rank)] += 1
        found[name] = {machine: count for machine, count in counts.items() if count}
        for machine in found[name]:
            load[machine] += 1
    return found


def _check_room(name: str, service: Draft, machines: Labels, report: Report) -> None:
    """Report more replicas than the machines that suit may have."""
    most, count = most_of_a_machine(service), replicas(service)
    suiting = candidates(service, machines)
    if most and suiting and count > most * len(suiting):
        message = (
            f"{count} replicas of '{name}', at most {most} on a machine, need "
            f"{-(-count // most)} machines; {len(suiting)} suit"
        )
        line = service.get("deploy").get("placement").line_of("max_replicas_per_node")
        report.add(line, message, "Add a machine to hashlab.toml, or raise max_replicas_per_node.")


def _affinity(pair: tuple[str, str]) -> bytes:
    return hashlib.sha256(" ".join(pair).encode()).digest()


def _has_room(counts: Mapping[str, int], machine: str, total: int) -> bool:
    """Return whether a machine gets another service if all get the same number of ``total``, and
    some one more.
    """
    number, rest = divmod(total, len(counts))
    more = sum(max(count - number, 0) for count in counts.values())
    return counts[machine] < number or (counts[machine] == number and more < rest)
