"""Write the configuration of a HAProxy that is the front of a service."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

Mode = Literal["http", "tcp"]

# `hashlab scale` allows as many replicas. A place without a replica costs nothing.
PLACES = 100
# Reads may be sent again to another replica when one ends while it answers; writes may not.
_HTTP = """
    mode http
    option httplog
    option forwardfor
    timeout client 60s
    timeout server 60s
    timeout tunnel 1h
    retry-on conn-failure empty-response
    http-request disable-l7-retry unless METH_GET
"""
_TCP = """
    mode tcp
    option tcplog
    timeout client 1h
    timeout server 1h
"""


def configuration(tasks: str, ports: Sequence[int], *, mode: Mode, replicas: int) -> str:
    """Return the configuration of a front that listens on ``ports``, and finds its replicas by the
    name ``tasks``.
    """
    template = Path(__file__).with_name("haproxy.cfg").read_text(encoding="utf-8")
    return template + "".join(
        f"\nlisten port-{port}\n    bind :{port}"
        f"{_HTTP if mode == 'http' else _TCP}"
        f"    server-template replica 1-{max(PLACES, replicas)} {tasks}:{port} "
        "resolvers engine resolve-prefer ipv4 init-addr none\n"
        for port in ports
    )
