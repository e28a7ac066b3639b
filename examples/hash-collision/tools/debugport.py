"""Where a debugger reaches a JVM: a port of this laptop, or one inside a container of the lab.

The JVMs of the lab listen at 127.0.0.1 of their own container, because whoever reaches the port can
run anything in the service. The way there is SSH to the machine and its Docker Engine.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence

INSIDE_PORT = 10000
SSH_CONFIG = "HASHLAB_SSH_CONFIG"
# A socket's path has 107 characters at most, and ssh first makes it with 17 more.
SOCKET_LENGTH = 90


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
    """The debugger's port inside the container of a service, MACHINE/SERVICE."""

    __slots__ = ("_command", "_place")

    def __init__(self, place: str, ssh_config: str, lab: str) -> None:
        machine, _, service = place.partition("/")
        self._place = place
        inside = container_command(lab, service)
        self._command = ["ssh", "-F", ssh_config, *_shared(ssh_config, machine), machine, inside]

    def __str__(self) -> str:
        return self._place

    def connect(self, seconds: float) -> socket.socket:
        """A connection, whose other end may turn out to lead nowhere; raises OSError."""
        near, far = socket.socketpair()
        with far:
            spawn(self._command, far)
        near.settimeout(seconds)
        return near


def _shared(ssh_config: str, machine: str) -> list[str]:
    """Options that keep a connection to the machine for the next call: 0.01 s instead of 0.23 s.

    It ends when the machine does, or ten minutes after the last call.
    """
    folder = os.path.dirname(ssh_config)  # noqa: PTH120 - pathlib costs time here
    path = os.path.relpath(f"{folder}/{machine}.debug")
    if len(path) > SOCKET_LENGTH:
        return []
    options = ("ControlMaster=auto", "ControlPersist=600", f"ControlPath={path.replace('%', '%%')}")
    alive = ("ServerAliveInterval=5", "ServerAliveCountMax=2")
    return [word for option in (*options, *alive) for word in ("-o", option)]


def container_command(lab: str, service: str) -> str:
    """What carries its input and output to the debugger's port, as a line for a machine's shell."""
    return f"exec docker exec -i {lab}-{service}-1 nc 127.0.0.1 {INSIDE_PORT}"


def spawn(command: Sequence[str], end: socket.socket) -> int:
    """Starts a program that talks through this end of a connection; its process number."""
    number = end.fileno()
    actions = [(os.POSIX_SPAWN_DUP2, number, 0), (os.POSIX_SPAWN_DUP2, number, 1)]
    return os.posix_spawnp(command[0], command, os.environ, file_actions=actions)


def place(text: str) -> Port | Inside:
    """The place that a text names. Raises Wrong."""
    host, colon, port = text.rpartition(":")
    if colon and host and port.isdigit():
        return Port(host.strip("[]"), int(port))
    machine, slash, service = text.partition("/")
    if not (slash and _is_name(machine) and _is_name(service)):
        raise Wrong(f"{text!r} is neither MACHINE/SERVICE nor HOST:PORT")
    config, lab = os.environ.get(SSH_CONFIG), os.environ.get("HASHLAB_LAB")
    if not (config and lab):
        raise Wrong(f"{SSH_CONFIG} and HASHLAB_LAB are not set: hashlab sets them")
    return Inside(text, config, lab)


def _is_name(text: str) -> bool:
    return text[:1].isalnum() and text.replace("-", "").replace("_", "").isalnum()
