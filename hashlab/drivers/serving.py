"""Carries connections of a unix socket of the laptop over channels of an SSH connection."""

from __future__ import annotations

import selectors
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

CHUNK = 1 << 16


class Channel(Protocol):
    """A stream in both directions, as Paramiko's channel."""

    def recv(self, nbytes: int) -> bytes:
        """Return received data, b"" at its end."""

    def sendall(self, data: bytes) -> None:
        """Send data."""

    def shutdown_write(self) -> None:
        """Send the end of the data."""

    def close(self) -> None:
        """Close both directions."""


@contextmanager
def serving(path: Path, connect: Callable[[], Channel]) -> Iterator[None]:
    """Listen at ``path`` during the block; each connection gets a channel of its own, and ends with
    the block. A connection whose channel cannot be opened (OSError) is closed at once.
    """
    ends: list[Callable[[], None]] = []
    awake, wake = socket.socketpair()
    with awake, wake, socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        listener = threading.Thread(target=_accept, args=(server, awake, connect, ends))
        listener.start()
        try:
            yield
        finally:
            wake.close()
            listener.join()
            for end in ends:
                end()


def _accept(
    server: socket.socket,
    awake: socket.socket,
    connect: Callable[[], Channel],
    ends: list[Callable[[], None]],
) -> None:
    """Accept connections until the other end of ``awake`` is closed."""
    with selectors.DefaultSelector() as selector:
        selector.register(server, selectors.EVENT_READ)
        selector.register(awake, selectors.EVENT_READ)
        while awake not in {key.fileobj for key, _ in selector.select()}:
            client, _ = server.accept()
            try:
                channel = connect()
            except OSError:
                client.close()
                continue
            ends.append(_carry(client, channel))


def _carry(client: socket.socket, channel: Channel) -> Callable[[], None]:
    """Carry one connection in two threads; return a function that ends it and waits for them."""
    threads = [
        threading.Thread(target=_forth, args=(client, channel), daemon=True),
        threading.Thread(target=_back, args=(client, channel), daemon=True),
    ]
    for thread in threads:
        thread.start()

    def end() -> None:
        with suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)
        with suppress(OSError, EOFError):
            channel.close()
        for thread in threads:
            thread.join()
        client.close()

    return end


def _forth(client: socket.socket, channel: Channel) -> None:
    with suppress(OSError, EOFError):
        while data := client.recv(CHUNK):
            channel.sendall(data)
        channel.shutdown_write()


def _back(client: socket.socket, channel: Channel) -> None:
    with suppress(OSError, EOFError):
        while data := channel.recv(CHUNK):
            client.sendall(data)
    with suppress(OSError):
        client.shutdown(socket.SHUT_RDWR)
