"""The daemon's door: its socket in the lab's ``.hashlab``, and what goes over it.

Only the lab's user may open the socket, one daemon at a time stands behind it, and one client at a
time is let in.
"""

from __future__ import annotations

import fcntl
import json
import os
import queue
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from hashlab import client
from hashlab.private import inside, open_file

# A client that has connected asks at once.
REQUEST_SECONDS = 5.0
# Who has been told the end is outside a moment later.
LEAVING_SECONDS = 0.2


@contextmanager
def only_one(path: Path) -> Iterator[bool]:
    lock = open_file(str(path), os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield True
    finally:
        os.close(lock)


def listening(state: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    with inside(str(state)):
        with suppress(FileNotFoundError):
            Path(client.SOCKET).unlink()
        mask = os.umask(0o177)
        try:
            listener.bind(client.SOCKET)
        finally:
            os.umask(mask)
    listener.listen()
    return listener


class Door:
    """Lets one client in at a time, and sends away who comes while one is inside."""

    def __init__(self, listener: socket.socket, path: Path) -> None:
        self._listener = listener
        self._path = path
        self._own = self._identity()
        self._inside: queue.Queue[socket.socket] = queue.Queue()
        self._free = threading.Semaphore()
        threading.Thread(target=self._let_in, daemon=True).start()

    def _identity(self) -> tuple[int, int] | None:
        """Tells the socket's file from a later one; a file system gives numbers anew."""
        try:
            stat = self._path.lstat()
        except OSError:
            return None
        return stat.st_ino, stat.st_mtime_ns

    @property
    def there(self) -> bool:
        """Whether clients can still find it: the socket's file ties the daemon to its lab."""
        return self._own is not None and self._identity() == self._own

    def _let_in(self) -> None:
        with suppress(OSError):  # the listener is closed in the end
            while True:
                wire, _ = self._listener.accept()
                wire.settimeout(REQUEST_SECONDS)
                if self._free.acquire(timeout=LEAVING_SECONDS):
                    self._inside.put(wire)
                else:
                    _send_away(wire)

    def next(self, seconds: float) -> socket.socket | None:
        """The next client; None when none came within ``seconds``."""
        with suppress(queue.Empty):
            return self._inside.get(timeout=seconds)
        return None

    def leave(self, wire: socket.socket) -> None:
        """A client is done; another may come in."""
        wire.close()
        self._free.release()

    def keep(self, wire: socket.socket) -> None:
        """The wire of the last client ends with this process, which is what it waits for."""
        wire.detach()

    def close(self) -> None:
        """Nobody finds the daemon any more; who is about to come in asks another one."""
        if self.there:
            self._path.unlink(missing_ok=True)
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with suppress(queue.Empty):
            self._inside.get_nowait().close()


def _send_away(wire: socket.socket) -> None:
    with suppress(OSError, ValueError), wire:
        _, fds = received(wire)
        close(fds)
        tell(wire, refused=client.BUSY)


def received(wire: socket.socket) -> tuple[Mapping[str, Any], list[int]]:
    """A request and the descriptors that came with it. Raises OSError, ValueError."""
    head, fds, _, _ = socket.recv_fds(wire, 4, len(client.STANDARD))
    try:
        body = b""
        size = int.from_bytes(head, "big")
        while len(body) < size:
            piece = wire.recv(size - len(body))
            if not piece:
                raise ConnectionError("the client went away")
            body += piece
        value: Mapping[str, Any] = json.loads(body)
    except (OSError, ValueError):
        close(fds)
        raise
    return value, list(fds)


def close(fds: Sequence[int]) -> None:
    for descriptor in fds:
        os.close(descriptor)


def tell(wire: socket.socket, **answer: object) -> None:
    wire.sendall(json.dumps(answer).encode() + b"\n")
