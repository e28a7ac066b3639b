"""A neighbour of the laptop: a network namespace whose way to the lab leads over the laptop."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

NAMESPACE = "hashlab-neighbour"
LAPTOP, NEIGHBOUR = "10.213.7.1", "10.213.7.2"
WITHIN = 3
ANSWERS = f"""
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), {WITHIN}).close()
except OSError:
    sys.exit(1)
"""


def answers(address: str, port: int, *, prefix: Sequence[str] = ()) -> bool:
    """Whether a port takes a connection; ``prefix``: words that run the question elsewhere."""
    words = [*prefix, sys.executable, "-c", ANSWERS, address, str(port)]
    return subprocess.run(words, check=False, timeout=30).returncode == 0


@contextmanager
def neighbour(subnet: str) -> Iterator[list[str]]:
    """Yield the words that run a command as a neighbour, who is gone at the end."""
    if os.geteuid() != 0:
        pytest.skip("only root makes network namespaces")
    _ip("netns", "add", NAMESPACE)
    inside = ("-n", NAMESPACE)
    try:
        _ip("link", "add", "hashlab-n0", "type", "veth", "peer", "name", "hashlab-n1")
        _ip("link", "set", "hashlab-n1", "netns", NAMESPACE)
        _ip("address", "add", f"{LAPTOP}/24", "dev", "hashlab-n0")
        _ip("link", "set", "hashlab-n0", "up")
        _ip(*inside, "address", "add", f"{NEIGHBOUR}/24", "dev", "hashlab-n1")
        _ip(*inside, "link", "set", "hashlab-n1", "up")
        _ip(*inside, "route", "add", subnet, "via", LAPTOP)
        yield ["ip", "netns", "exec", NAMESPACE]
    finally:
        _ip("netns", "delete", NAMESPACE)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)
