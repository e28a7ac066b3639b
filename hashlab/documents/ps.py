"""The document of `hashlab ps`: the containers of a lab."""

from __future__ import annotations

from dataclasses import dataclass, field

from hashlab.pipeline import UNIX_TIME


@dataclass(frozen=True)
class Container:
    """One container. ``state``: the word of its engine; ``since``: Unix time of its start or its
    end, None if it never started; ``ports``: "127.0.0.1:8080 → 80" for each published port.
    """

    name: str
    service: str
    machine: str
    image: str
    state: str
    health: str
    exit_code: int
    since: float | None = field(metadata=UNIX_TIME)
    ports: tuple[str, ...]


@dataclass(frozen=True)
class Containers:
    """The containers of the services that were asked for, in the order of the Compose file."""

    lab: str
    containers: tuple[Container, ...]
