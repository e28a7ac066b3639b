"""The machines of a lab, and the box that they are made from."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Literal


@dataclass(frozen=True)
class ForwardedPort:
    """A port of a machine (``guest``) reachable on the laptop's 127.0.0.1 (``host``). ``tunnel``:
    by an SSH connection, also if the provider can publish ports of a machine that it makes.
    """

    id: str
    guest: int
    host: int
    scheme: Literal["http", "https", "tcp"] = "http"
    tunnel: bool = False


@dataclass(frozen=True)
class Machine:
    """One machine. ``memory`` is in bytes; None means no limit. ``address`` is 0.0.0.0 for a host
    whose address hashlab finds out. ``endpoint``: how OpenSSH reaches a host, "" for other
    machines.
    """

    name: str
    address: IPv4Address
    memory: int | None = None
    cpus: float | None = None
    forwarded_ports: tuple[ForwardedPort, ...] = ()
    endpoint: str = ""

    @property
    def made_with(self) -> tuple[ForwardedPort, ...]:
        """The forwarded ports that a provider may publish when it makes the machine."""
        return tuple(port for port in self.forwarded_ports if not port.tunnel)


@dataclass(frozen=True)
class VirtualBoxBase:
    """The .box file that machines of the provider ``virtualbox`` are made from.

    ``checksum`` begins with its kind, for example ``sha256:…``. ``user``: the box's login user, who
    accepts Vagrant's key.
    """

    url: str
    checksum: str
    kind: Literal["flatcar", "debian"]
    user: str


@dataclass(frozen=True)
class BoxSettings:
    """The user's settings of the box. Its images come from the Compose file."""

    base: str = "debian:trixie-slim"
    packages: tuple[str, ...] = ()
    virtualbox: VirtualBoxBase | None = None
