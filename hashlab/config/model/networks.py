"""The networks of the Compose file, and how a service is reached: its names and ports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# Options of an overlay that the Engine's driver takes; others belong to drivers of one machine.
OVERLAY_OPTIONS = ("com.docker.network.driver.mtu",)


@dataclass(frozen=True)
class Port:
    """A container port published on its machine. ``published`` None: the engine chooses.

    ``mode``: of Docker Swarm; both mean the same in a lab. ``laptop``: the published port of the
    file, if the machine itself needs that number.
    """

    target: int
    published: int | None = None
    protocol: Literal["tcp", "udp", "sctp"] = "tcp"
    host_ip: str = ""
    mode: Literal["host", "ingress"] = "ingress"
    laptop: int | None = None


@dataclass(frozen=True)
class AddressPool:
    """A subnet of a network, such as 10.5.0.0/24, and its own addresses in it; "" if not set. It
    may be of IPv6, which an overlay does not take.
    """

    subnet: str = ""
    gateway: str = ""
    ip_range: str = ""


@dataclass(frozen=True)
class Network:
    """A network of the Compose file (``key``), which all machines share as an overlay (``name``).

    An ``external`` one was made by somebody else. ``internal``: it has no way out of the lab.
    ``encrypted``: what machines send to each other on it is encrypted.
    """

    key: str
    name: str
    driver: str = ""
    driver_opts: tuple[tuple[str, str], ...] = ()
    external: bool = False
    internal: bool = False
    enable_ipv4: bool = False
    ipam_driver: str = ""
    pools: tuple[AddressPool, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    encrypted: bool = False

    @property
    def overlay_pools(self) -> tuple[AddressPool, ...]:
        """The pools that the overlay driver takes."""
        return tuple(pool for pool in self.pools if pool.subnet and ":" not in pool.subnet)

    @property
    def options(self) -> dict[str, str]:
        """The options that the overlay driver takes."""
        own = {name: value for name, value in self.driver_opts if name in OVERLAY_OPTIONS}
        return {**own, "encrypted": ""} if self.encrypted else own


@dataclass(frozen=True)
class Attachment:
    """A service's place on a network of the file (``network``: its key). ``aliases``: its names
    there besides its own. Of several networks, the one with the highest ``priority`` is the first.
    """

    network: str
    aliases: tuple[str, ...] = ()
    ipv4_address: str = ""
    mac_address: str = ""
    priority: int = 0


@dataclass(frozen=True)
class Link:
    """Another name (``alias``) under which a service finds the service ``service``; of an
    ``external`` one, the container of this name.
    """

    service: str
    alias: str
    external: bool = False
