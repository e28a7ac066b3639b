"""The document of `hashlab doctor`: every check of the laptop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Check:
    """One check. ``next_step``: what to do if it is not ok, or to improve it; ``needed``: the lab
    cannot do without it; ``bytes``: the sizes behind ``detail``, by name.
    """

    name: str
    ok: bool
    detail: str
    next_step: str = ""
    needed: bool = True
    bytes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Doctor:
    """All checks. ``provider``: the one that the lab takes, None if none works; ``why``: why."""

    ok: bool
    provider: str | None
    why: str
    checks: tuple[Check, ...]
