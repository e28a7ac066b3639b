"""The listener: the server's socket in the lab's ``.hashlab``, and the messages on it.

Only the lab's user may open the socket, and one server at a time listens on it. Each client has a
connection and a thread of its own, so that none waits for another.
"""

from __future__ import annotations

import codecs
import fcntl
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hashlab.daemon import client
from hashlab.state.private import inside, open_file

# A client sends its whole request within this time after it has connected.
REQUEST_SECONDS = 5.0
# If no client can be accepted, the next try is after this time.
PAUSE_SECONDS = 0.1


@contextmanager
def only_one(path: Path) -> Iterator[bool]:
    """Yield True in the only server of the lab, False in any other."""
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
    """Return a socket that listens in ``state``, for its user alone."""
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


class Listener:
    """Accepts clients and calls ``handle`` with the connection of each, in a new thread."""

    def __init__(
        self, sock: socket.socket, path: Path, handle: Callable[[socket.socket], None]
    ) -> None:
        self._sock = sock
        self._path = path
        self._handle = handle
        self._own = self._identity()
        self._closed = threading.Event()
        self._spare: int | None = os.open(os.devnull, os.O_RDONLY)
        threading.Thread(target=self._accept, daemon=True).start()

    def _identity(self) -> tuple[int, int] | None:
        """Distinguish the socket's file from a later one; file systems use inode numbers again."""
        try:
            stat = self._path.lstat()
        except OSError:
            return None
        return stat.st_ino, stat.st_mtime_ns

    @property
    def reachable(self) -> bool:
        """True while clients can find the socket's file, which ties the server to its lab."""
        return self._own is not None and self._identity() == self._own

    def _accept(self) -> None:
        """Accept clients until the listener is closed, whatever fails with one of them."""
        while not self._closed.is_set():
            try:
                sock, _ = self._sock.accept()
            except OSError:
                if not self._closed.is_set():
                    self._turn_away()
                continue
            try:
                threading.Thread(target=self._handle, args=(sock,), daemon=True).start()
            except RuntimeError:  # no more threads: the client runs its command itself
                sock.close()

    def _turn_away(self) -> None:
        """Use the spare descriptor, if no other is free, to accept a client and close its
        connection at once; the client runs its command itself.
        """
        if self._spare is not None:
            os.close(self._spare)
            self._spare = None
            with suppress(OSError):
                self._sock.settimeout(0)
                self._sock.accept()[0].close()
            with suppress(OSError):
                self._sock.settimeout(None)
        with suppress(OSError):
            self._spare = os.open(os.devnull, os.O_RDONLY)
        if self._spare is None:
            self._closed.wait(PAUSE_SECONDS)

    def close(self) -> None:
        """Accept no more clients; the next one starts another server."""
        if self.reachable:
            self._path.unlink(missing_ok=True)
        self._closed.set()
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()


class Unintelligible(Exception):
    """A request that is incomplete, invalid or too large; its client runs the command itself."""


@dataclass(frozen=True)
class Request:
    """A command, and everything that the server takes over from the client.

    ``kind``: RUN or ROUND; ``pid``: the client's process; ``values``: the parsed command line, by
    key; ``streams``: encoding and error handler of stdout and stderr.
    """

    kind: str
    pid: int
    command: str
    values: Mapping[str, object]
    folder: str
    code: str
    cwd: str
    umask: int
    environ: Mapping[str, str]
    streams: tuple[tuple[str, str], ...]


def received(sock: socket.socket) -> Mapping[str, Any]:
    """Return the request of a client. Raises OSError, Unintelligible."""
    until = time.monotonic() + REQUEST_SECONDS
    size = int.from_bytes(_exactly(sock, 4, until), "big")
    if size > client.REQUEST_LIMIT:
        raise Unintelligible(f"a request of {size} bytes")
    try:
        value = json.loads(_exactly(sock, size, until))
    except (ValueError, RecursionError) as error:
        raise Unintelligible("no JSON") from error
    if not isinstance(value, dict):
        raise Unintelligible("no object")
    return value


def _exactly(sock: socket.socket, size: int, until: float) -> bytes:
    body = bytearray()
    while len(body) < size:
        sock.settimeout(max(0.001, until - time.monotonic()))
        piece = sock.recv(size - len(body))
        if not piece:
            raise Unintelligible("half a request")
        body += piece
    return bytes(body)


def descriptors(sock: socket.socket) -> list[int]:
    """Ask for the client's standard streams. Raises OSError, Unintelligible."""
    answer(sock, give=True)
    sock.settimeout(REQUEST_SECONDS)
    wanted = len(client.STANDARD)
    _, fds, _, _ = socket.recv_fds(sock, 1, wanted)
    if len(fds) != wanted:
        close(fds)
        raise Unintelligible("descriptors are missing")
    return fds


def understood(value: Mapping[str, Any]) -> Request:
    """Return the request in a JSON value. Raises Unintelligible for a value of a wrong type."""
    try:
        request = Request(
            kind=_text(value["kind"]),
            pid=_pid(value["pid"]),
            command=_text(value["command"]),
            values={_text(key): _value(given) for key, given in value["values"].items()},
            folder=_text(value["folder"]),
            code=_text(value["code"]),
            cwd=_text(value["cwd"]),
            umask=value["umask"],
            environ={_name(name): _text(text) for name, text in value["environ"].items()},
            streams=tuple(
                (_text(encoding), _text(errors)) for encoding, errors in value["streams"]
            ),
        )
        for encoding, errors in request.streams:
            codecs.lookup(encoding)
            codecs.lookup_error(errors)
    except (KeyError, TypeError, ValueError, AttributeError, LookupError) as error:
        raise Unintelligible(f"no request: {error!r}") from error
    mask = request.umask
    if isinstance(mask, bool) or not isinstance(mask, int) or not 0 <= mask <= 0o777:
        raise Unintelligible("no umask")
    if len(request.streams) != 2:
        raise Unintelligible("streams are missing")
    return request


def _text(value: object) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise ValueError("no text")
    os.fsencode(value)
    return value


def _pid(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
        raise ValueError("not a process")
    return value


def _value(value: object) -> object:
    """Return a flag, a text, or a tuple of texts."""
    if isinstance(value, list):
        return tuple(_text(item) for item in value)
    return value if isinstance(value, bool) else _text(value)


def _name(value: object) -> str:
    name = _text(value)
    if not name or "=" in name:
        raise ValueError("no name of a variable")
    return name


def close(fds: Sequence[int]) -> None:
    for descriptor in fds:
        os.close(descriptor)


def answer(sock: socket.socket, **fields: object) -> None:
    """Send a line of the answer."""
    sock.sendall(json.dumps(fields).encode() + b"\n")
