"""The document of `hashlab intercept`: the ports in both directions, and the handed over files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Mode = Literal["namespace", "jvm", "socks"]


@dataclass(frozen=True)
class InterceptedPort:
    """A port of the service, and where the process of the laptop listens: "127.0.0.1:8080"."""

    port: int
    address: str


@dataclass(frozen=True)
class ReachedPort:
    """A port of another service by its name, and its address on the laptop."""

    name: str
    port: int
    address: str


@dataclass(frozen=True)
class InterceptSession:
    """One intercept. ``machine``: where names are looked up; ``containers``: those whose place the
    process takes; ``mode``: how it reaches the names of services; ``proxy``: address of the proxy
    of mode "socks", "" without one; ``environment``: the file of variables; ``enter``: the program
    that runs a command in the namespace, "" without one; ``files``: paths on the laptop by path in
    the container.
    """

    lab: str
    service: str
    machine: str
    containers: tuple[str, ...]
    mode: Mode
    ports: tuple[InterceptedPort, ...]
    reached: tuple[ReachedPort, ...]
    environment: str
    hosts: str
    proxy: str
    enter: str
    files: Mapping[str, str]
    missing: tuple[str, ...]
