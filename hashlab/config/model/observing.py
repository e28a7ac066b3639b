"""Observations of a lab that are stored."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Observe:
    """The observations of the lab that are stored. ``days``: how long; ``disk``: the most bytes of
    logs.
    """

    logs: bool = False
    metrics: bool = False
    days: int = 7
    disk: int = 2 * 1024**3
