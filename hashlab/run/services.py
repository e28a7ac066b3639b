"""Finds the services that a person names on the command line."""

from __future__ import annotations

from collections.abc import Sequence

from hashlab.config.model import Lab, Service
from hashlab.config.report import suggestion
from hashlab.errors import UsageError


def services_of(lab: Lab, names: Sequence[str]) -> list[Service]:
    """Return the services of these names, all for no name. A service on several machines is one on
    each. Raises UsageError.
    """
    if not names:
        return list(lab.services)
    return [service for name in names for service in _named(lab, name)]


def _named(lab: Lab, name: str) -> list[Service]:
    found = [service for service in lab.services if name in (service.name, service.family)]
    if not found and (profiles := dict(lab.inactive).get(name)):
        raise UsageError(
            f"service {name} is active only with the profile {', '.join(profiles)}",
            next_step=f"add --profile {profiles[0]}",
        )
    if not found:
        known = [service.name for service in lab.services]
        raise UsageError(
            f"lab {lab.name} has no service {name!r}",
            next_step=suggestion(name, known, otherwise=f"one of: {', '.join(known)}"),
        )
    return found
