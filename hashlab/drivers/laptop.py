"""Facts about the laptop's network: routes, addresses and free ports."""

from __future__ import annotations

import fcntl
import ipaddress
import os
import socket
import struct
import subprocess
from collections.abc import Sequence
from ipaddress import IPv4Network
from pathlib import Path

ROUTES = Path("/proc/net/route")
# Linux's SIOCGIFADDR and SIOCGIFNETMASK.
GET_ADDRESS, GET_NETMASK = 0x8915, 0x891B


def routes() -> Sequence[IPv4Network]:
    """Return the networks to which the laptop has a route, without the default route."""
    if ROUTES.exists():
        return _linux_routes(ROUTES.read_text(encoding="ascii"))
    done = subprocess.run(
        ["netstat", "-rn", "-f", "inet"], capture_output=True, text=True, timeout=10, check=True
    )
    return _bsd_routes(done.stdout)


def interfaces() -> Sequence[IPv4Network]:
    """Return the networks in which the laptop itself has an address, without loopback."""
    if not ROUTES.exists():
        done = subprocess.run(
            ["ifconfig", "-a", "inet"], capture_output=True, text=True, timeout=10, check=True
        )
        return _bsd_interfaces(done.stdout)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        networks = [_linux_interface(sock, name) for _, name in socket.if_nameindex()]
    return [network for network in networks if network is not None and not network.is_loopback]


def _linux_interface(sock: socket.socket, name: str) -> IPv4Network | None:
    """Return the network of one interface; None if it has no address."""
    request = struct.pack("256s", os.fsencode(name)[:15])
    try:
        address, mask = (
            fcntl.ioctl(sock, code, request)[20:24] for code in (GET_ADDRESS, GET_NETMASK)
        )
    except OSError:
        return None
    return IPv4Network((address, bin(int.from_bytes(mask, "big")).count("1")), strict=False)


def _bsd_interfaces(listing: str) -> list[IPv4Network]:
    """Parse `ifconfig`: lines such as "inet 192.168.1.5 netmask 0xffffff00 broadcast …"."""
    networks = []
    for line in listing.splitlines():
        fields = line.split()
        if fields[:1] == ["inet"] and "netmask" in fields[:-1]:
            width = bin(int(fields[fields.index("netmask") + 1], 16)).count("1")
            networks.append(IPv4Network(f"{fields[1]}/{width}", strict=False))
    return [network for network in networks if not network.is_loopback]


def _linux_routes(table: str) -> list[IPv4Network]:
    """Parse /proc/net/route: destination and mask are little-endian hexadecimal."""
    networks = []
    for line in table.splitlines()[1:]:
        fields = line.split()
        destination, mask = (struct.pack("<L", int(fields[i], 16)) for i in (1, 7))
        network = IPv4Network((destination, bin(int.from_bytes(mask, "big")).count("1")), False)
        if network.prefixlen > 0:
            networks.append(network)
    return networks


def _bsd_routes(table: str) -> list[IPv4Network]:
    """Parse `netstat -rn`: destinations such as 192.168.56/24, 10.0.0.1, default."""
    networks = []
    for line in table.splitlines():
        destination = (line.split() or [""])[0]
        address, _, prefix = destination.partition("/")
        octets = address.split(".")
        if not all(octet.isdigit() for octet in octets):
            continue
        width = prefix or str(8 * len(octets))
        full = ".".join([*octets, "0", "0", "0"][:4])
        try:
            networks.append(ipaddress.IPv4Network(f"{full}/{width}", strict=False))
        except ValueError:
            continue
    return networks


def port_is_free(port: int) -> bool:
    """Return whether nothing listens on 127.0.0.1:port."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """Return a port of 127.0.0.1 that is free now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
