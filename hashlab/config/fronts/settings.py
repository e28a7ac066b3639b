"""Check the fronts of hashlab.toml, and decide where each runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hashlab.config.compose.service import on_several
from hashlab.config.fronts.reading import Front
from hashlab.config.machines import forwarded_ports
from hashlab.config.readers import Draft
from hashlab.config.report import Report, suggestion

NAME = "{}-front"


def fronts_of(toml: Draft) -> dict[str, Front]:
    """Return the settings of the fronts, by service."""
    services: Mapping[str, Draft] = toml.get("services", {})
    found = {name: draft.get("front") for name, draft in services.items()}
    return {name: front for name, front in found.items() if front is not None}


def check_fronts(toml: Draft, services: Mapping[str, Draft], report: Report) -> None:
    """Report fronts that cannot be made. ``services``: all of the Compose file; ``report``: of
    hashlab.toml.
    """
    for name, draft in toml.get("services", {}).items():
        if name not in services:
            hint = suggestion(name, list(services), otherwise="Remove it.")
            report.add(draft.line, f"unknown service '{name}'", hint)
    machines = list(toml.get("machines", {}))
    for name, front in fronts_of(toml).items():
        if front.machine and front.machine not in machines:
            hint = suggestion(front.machine, machines, otherwise=f"One of: {', '.join(machines)}.")
            report.add(front.line, f"unknown machine '{front.machine}'", hint)
        if name in services:
            for message, hint in _flaws(name, services):
                report.add(front.line, message, hint)


def _flaws(name: str, services: Mapping[str, Draft]) -> Iterator[tuple[str, str]]:
    """Yield why a service cannot have a front, each with a hint."""
    service, own = services[name], NAME.format(name)
    either = "Remove one of both."
    if own in services:
        yield f"the front of '{name}' is called '{own}', as another service is", "Rename that one."
    if service.get("network_mode"):
        yield f"'{name}' has a network_mode, so it cannot have a front", either
    if any(each.value.ipv4_address for each in service.get("networks", ())):
        yield f"'{name}' has an address of its own, so it cannot have a front", either
    other = next((p.protocol for p, _ in service.get("ports", ()) if p.protocol != "tcp"), "")
    if other:
        yield f"'{name}' publishes a port of {other}, and a front knows tcp only", either
    elif not service.flawed("ports") and not listens(service):
        hint = 'Write the port on which it listens in the Compose file: expose: ["8080"].'
        yield f"the front of '{name}' knows no port of it", hint


def listens(service: Draft) -> tuple[int, ...]:
    """Return the ports on which a front listens: those of ``ports`` and ``expose``."""
    published = [port.target for port, _ in service.get("ports", ()) if port.protocol == "tcp"]
    exposed = [each.partition("/") for each in service.get("expose", ())]
    others = [int(number) for number, _, kind in exposed if kind in ("", "tcp")]
    return tuple(dict.fromkeys([*published, *others]))


def front_machines(
    toml: Draft,
    services: Mapping[str, Draft],
    places: Mapping[str, str],
    several: Mapping[str, Mapping[str, int]],
) -> dict[str, str]:
    """Return the machine of each front, by service. ``services``: those that run; ``places`` and
    ``several``: where the replicas run.

    It is the one that hashlab.toml names, else the one that forwards a published port, else, of a
    service that publishes none, the first one without a replica, else that of the first replica.
    """
    found: dict[str, str] = {}
    for name, front in fronts_of(toml).items():
        if name not in services:
            continue
        there = list(several.get(name, ())) if on_several(services[name]) else [places[name]]
        published = {p.published for p, _ in services[name].get("ports", ())} - {None}
        forwarding = [m for m, at in forwarded_ports(toml) if at.value.guest in published]
        free = [machine for machine in toml.get("machines", {}) if machine not in there]
        chosen = [front.machine, *forwarding, *(() if published else free), *there]
        found[name] = next(filter(None, chosen))
    return found
