"""Where a debugger reaches a JVM: a port of this laptop, or a socket of hashlab that leads to one.

The JVMs of the lab listen at 127.0.0.1 of their own container, because whoever reaches the port can
run anything in the service. hashlab leads there, for as long as it runs the tool.
"""

from __future__ import annotations

import os
import socket

SOCKET = "HASHLAB_DEBUGGER"


class Wrong(ValueError):
    """A place that cannot be understood; the text says what it should look like."""


class Port:
    """A port that listens here, HOST:PORT."""

    __slots__ = ("_host", "_port")

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port

    def __str__(self) -> str:
        return f"{self._host}:{self._port}"

    def connect(self, seconds: float) -> socket.socket:
        """A connection; raises OSError."""
        made = socket.create_connection((self._host, self._port), timeout=seconds)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made


class Inside:
    """The debugger's port inside a container, through a unix socket of hashlab."""

    __slots__ = ("_path",)

    def __init__(self, path: str) -> None:
        self._path = path

    def __str__(self) -> str:
        return "the debugger's port of the service"

    def connect(self, seconds: float) -> socket.socket:
        """A connection, whose other end may turn out to lead nowhere; raises OSError."""
        made = socket.socket(socket.AF_UNIX)
        made.settimeout(seconds)
        try:
            made.connect(self._path)
        except OSError:
            made.close()
            raise
        return made


def place(text: str = "") -> Port | Inside:
    """The place that HOST:PORT names; without one, the socket that hashlab gives. Raises Wrong."""
    host, colon, port = text.rpartition(":")
    if colon and host and port.isdigit():
        return Port(host.strip("[]"), int(port))
    if text:
        raise Wrong(f"{text!r} is not HOST:PORT")
    path = os.environ.get(SOCKET)
    if not path:
        raise Wrong(
            f"{SOCKET} is not set: hashlab sets it for a service with a label hashlab.debug"
        )
    return Inside(path)
