"""Says which machine each service runs on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hashlab.config.compose.service import constraints
from hashlab.config.readers import Draft
from hashlab.config.report import Report, suggestion


def check_placement(services: Mapping[str, Draft], machines: Sequence[str], report: Report) -> None:
    """Report constraints that name no machine, or two of them."""
    for name, service in services.items():
        wanted = constraints(service)
        for machine, line in wanted:
            if machine not in machines:
                known = f"The machines of hashlab.toml are: {', '.join(machines)}."
                hint = suggestion(machine, list(machines), otherwise=known)
                report.add(line, f"there is no machine '{machine}'", hint)
        if len({machine for machine, _ in wanted}) > 1:
            message = f"service '{name}' cannot be on {' and '.join(at.value for at in wanted)}"
            report.add(wanted[-1].line, message, "Keep one constraint.")


def place(services: Mapping[str, Draft], machines: Sequence[str]) -> dict[str, str]:
    """Return the machine of each service, in the order of ``services``.

    Services with a constraint come first. Each other one, in the order of the file, goes to the
    machine with the fewest services, the first of those that tie: the same files give the same
    places.
    """
    found: dict[str, str] = {}
    counts = dict.fromkeys(machines, 0)
    for name, service in services.items():
        wanted = constraints(service)
        if wanted:
            found[name] = wanted[0].value
            counts[wanted[0].value] = counts.get(wanted[0].value, 0) + 1
    for name in services:
        if name not in found and machines:
            found[name] = min(machines, key=lambda machine: counts[machine])
            counts[found[name]] += 1
    return {name: found[name] for name in services if name in found}
