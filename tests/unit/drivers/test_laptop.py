"""The laptop's routes and ports, read from the tables that its system prints."""

from __future__ import annotations

import socket
from ipaddress import IPv4Network

import pytest

from hashlab.drivers.laptop import (
    _bsd_interfaces,
    _bsd_routes,
    _linux_routes,
    free_port,
    interfaces,
    port_is_free,
)

HEADER = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"


def nets(*texts: str) -> list[IPv4Network]:
    return [IPv4Network(text) for text in texts]


def test_routes_of_linux_are_read_from_little_endian_hexadecimal() -> None:
    table = HEADER + (
        "eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
        "docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n"
        "br-1\t003CA8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
        "tun0\t0100080A\t00000000\t0005\t0\t0\t0\tFFFFFFFF\t0\t0\t0\n"
    )
    assert _linux_routes(table) == nets("172.17.0.0/16", "192.168.60.0/24", "10.8.0.1/32")


def test_a_laptop_without_routes_has_none() -> None:
    assert _linux_routes(HEADER) == []
    assert _linux_routes("") == []


def test_routes_of_macos_are_read_from_netstat() -> None:
    table = (
        "Routing tables\n\nInternet:\n"
        "Destination        Gateway            Flags           Netif Expire\n"
        "default            192.168.1.1        UGScg             en0\n"
        "127                127.0.0.1          UCS               lo0\n"
        "169.254            link#4             UCS               en0      !\n"
        "192.168.56/24      link#20            UC          vboxnet0      !\n"
        "192.168.60/22      link#21            UC          vboxnet1      !\n"
        "10.0.0.1           10.0.0.2           UH              utun0\n"
        "224.0.0/4          link#4             UmCS              en0      !\n"
    )
    assert _bsd_routes(table) == nets(
        "127.0.0.0/8",
        "169.254.0.0/16",
        "192.168.56.0/24",
        "192.168.60.0/22",
        "10.0.0.1/32",
        "224.0.0.0/4",
    )


@pytest.mark.parametrize("line", ["", "link#4 x", "fe80::1 x", "1.2.3.4.5 x", "999.1 x", "/ x"])
def test_lines_that_are_not_routes_are_skipped(line: str) -> None:
    assert _bsd_routes(line + "\n") == []


def test_a_port_with_a_listener_is_not_free() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        assert not port_is_free(listener.getsockname()[1])


def test_a_free_port_is_free() -> None:
    assert port_is_free(free_port())


def test_interfaces_of_macos_are_read_from_ifconfig() -> None:
    listing = (
        "lo0: flags=8049<UP,LOOPBACK,RUNNING,MULTICAST> mtu 16384\n"
        "\tinet 127.0.0.1 netmask 0xff000000\n"
        "en0: flags=8863<UP,BROADCAST,RUNNING> mtu 1500\n"
        "\tinet 192.168.1.23 netmask 0xffffff00 broadcast 192.168.1.255\n"
        "utun3: flags=8051<UP,POINTOPOINT,RUNNING> mtu 1380\n"
        "\tinet 10.8.0.6 --> 10.8.0.5 netmask 0xffffffff\n"
    )
    assert _bsd_interfaces(listing) == nets("192.168.1.0/24", "10.8.0.6/32")


def test_this_laptop_has_no_loopback_among_its_interfaces() -> None:
    assert not any(network.is_loopback for network in interfaces())
