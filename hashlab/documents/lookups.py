"""The document of `hashlab status --services`: what names lead to, and what runs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Lookup:
    """The name of a service in a network, as one machine's containers find it. ``addresses``: those
    that Docker's DNS answers there; ``running``: those of the ``containers`` that run; ``ok``: they
    are the same.
    """

    service: str
    network: str
    machine: str
    addresses: tuple[str, ...]
    running: tuple[str, ...]
    containers: tuple[str, ...]
    ok: bool


@dataclass(frozen=True)
class Lookups:
    """All names of the lab. A machine on which no container is in a network does not ask there."""

    lab: str
    ok: bool
    names: tuple[Lookup, ...]
