"""Decide which machine each service runs on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hashlab.config.compose.service import constraints
from hashlab.config.readers import Draft
from hashlab.config.report import Report, suggestion


def check_placement(services: Mapping[str, Draft], machines: Sequence[str], report: Report) -> None:
    """Report constraints that name an unknown machine, or more than one."""
    for name, service in services.items():
        wanted = constraints(service)
        for machine, line in wanted:
            if machine not in machines:
                known = f"The machines of hashlab.toml are: {', '.join(machines)}."
                hint = suggestion(machine, list(machines), otherwise=known)
                report.add(line, f"unknown machine '{machine}'", hint)
        if len({machine for machine, _ in wanted}) > 1:
            message = f"service '{name}' cannot be on {' and '.join(at.value for at in wanted)}"
            report.add(wanted[-1].line, message, "Keep one constraint.")


def place(services: Mapping[str, Draft], machines: Sequence[str]) -> dict[str, str]:
    """Return the machine of each service, in the order of ``services``.

    Services with a constraint are placed first. Each other service, in the order of the file, goes
    to the machine with the fewest services, the first of them in a tie. The same files always give
    the same placement.
    """
    places: dict[str, str] = {}
    counts = dict.fromkeys(machines, 0)
    for name, service in services.items():
        wanted = constraints(service)
        if wanted:
            places[name] = wanted[0].value
            counts[wanted[0].value] = counts.get(wanted[0].value, 0) + 1
    for name in services:
        if name not in places and machines:
            places[name] = min(machines, key=lambda machine: counts[machine])
            counts[places[name]] += 1
    return {name: places[name] for name in services if name in places}
