"""The document of `hashlab forward`: ports of services on the laptop."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ForwardedTarget:
    """A port of a service's container, and the address that reaches it: "127.0.0.1:5432"."""

    service: str
    container: str
    machine: str
    port: int
    address: str


@dataclass(frozen=True)
class Forwards:
    """The ports that are forwarded, in the order in which they were asked for."""

    lab: str
    ports: tuple[ForwardedTarget, ...]
