"""The document of `hashlab deploy`: what a deployment changes in a cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Change = Literal["new", "changed", "same", "removed"]


@dataclass(frozen=True)
class DeployedService:
    """One service of the stack. ``why``: the parts that change, such as "image";
    ``image`` and ``before``: the image by digest that it gets and has, None without one.
    """

    service: str
    change: Change
    why: tuple[str, ...]
    image: str | None
    before: str | None


@dataclass(frozen=True)
class DeployedFile:
    """One secret or config, by its name in the Compose file. Its content is in no document."""

    kind: Literal["secret", "config"]
    name: str
    change: Change


@dataclass(frozen=True)
class Deployment:
    """The difference between a stack in a cluster and the lab. ``place``: the cluster; ``planned``:
    nothing was changed.
    """

    lab: str
    stack: str
    place: str
    planned: bool
    services: tuple[DeployedService, ...]
    files: tuple[DeployedFile, ...]
    notes: tuple[str, ...]
