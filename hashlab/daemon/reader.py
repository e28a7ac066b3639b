"""Reads the events of a lab, whichever process carries out its runs."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from hashlab.daemon import client
from hashlab.run.events import Event, Lost, Restarting, event_of
from hashlab.state.private import STATE

# Without a server, the next try to connect is after this time.
RETRY_SECONDS = 0.5
# After a restart, a client usually starts the next server; a reader does so after this time.
RESTART_SECONDS = 10.0


class Outdated(Exception):
    """The lab's background process has newer code than this process, which should start again."""


class Reader:
    """Iterates over the events of the lab in ``folder``, until it is closed.

    ``start``: start the background process if it is missing; it lives while it has readers. The
    reader connects again after the process ended; then its first event is Lost(0). Raises Outdated.
    """

    def __init__(self, folder: Path, *, start: bool = True) -> None:
        self._folder = str(folder)
        self._state = str(folder / STATE)
        self._start_at = 0.0 if start else float("inf")
        self._closed = threading.Event()
        self._sock: socket.socket | None = None

    def __iter__(self) -> Iterator[Event]:
        connected_before = False
        while not self._closed.is_set():
            sock = self._connect()
            if sock is None:
                self._closed.wait(RETRY_SECONDS)
                continue
            if connected_before:
                yield Lost(0)
            connected_before = True
            yield from self._events(sock)

    def close(self) -> None:
        """End the iteration, from any thread."""
        self._closed.set()
        sock = self._sock
        if sock is not None:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _connect(self) -> socket.socket | None:
        if not client.usable(self._folder):
            return None
        sock = client.connected(self._state)
        if sock is None and time.monotonic() >= self._start_at:
            self._start_at = float("inf")
            client.start(self._folder, self._state)
            sock = client.connected(self._state)
        if sock is None or self._accepted(sock):
            return sock
        sock.close()
        return None

    def _accepted(self, sock: socket.socket) -> bool:
        """Ask for the events; True if the server sends them from now on. Raises Outdated."""
        try:
            client.send(sock, client.body({"kind": client.EVENTS, "code": client.own_code()}))
            answer = json.loads(_line(sock))
        except (OSError, ValueError):
            return False
        refused = answer.get("refused")
        if refused == client.OLDER:
            sock.close()
            raise Outdated
        if refused == client.ENDING:
            self._start_at = 0.0
            client.wait_for_end(sock)
        return refused is None

    def _events(self, sock: socket.socket) -> Iterator[Event]:
        """Yield the events of one connection, until it ends."""
        self._sock = sock
        self._start_at = float("inf")
        sock.settimeout(None)
        with suppress(OSError, ValueError), sock, sock.makefile("rb") as stream:
            for line in stream:
                event = event_of(json.loads(line))
                if isinstance(event, Restarting):
                    self._start_at = time.monotonic() + RESTART_SECONDS
                if event is not None:
                    yield event


def _line(sock: socket.socket) -> bytes:
    """Read one line, and nothing of what follows it."""
    line = b""
    while not line.endswith(b"\n"):
        piece = sock.recv(1)
        if not piece:
            break
        line += piece
    return line
