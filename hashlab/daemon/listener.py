"""The daemon's door: its socket in the lab's ``.hashlab``, and what goes over it.

Only the lab's user may open the socket, one daemon at a time stands behind it, and one client at a
time is let in.
"""

from __future__ import annotations

import codecs
import fcntl
import json
import os
import queue
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hashlab.daemon import client
from hashlab.state.private import inside, open_file

# A client that has connected asks at once: its whole request is there within this time.
REQUEST_SECONDS = 5.0
# When no client can be accepted, the next try is after this time.
PAUSE_SECONDS = 0.1
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
        self._closed = threading.Event()
        self._spare: int | None = os.open(os.devnull, os.O_RDONLY)
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
        """Accept clients until the listener is closed, whatever goes wrong with one of them."""
        while not self._closed.is_set():
            try:
                wire, _ = self._listener.accept()
            except OSError:
                if not self._closed.is_set():
                    self._turn_away()
                continue
            try:
                wire.settimeout(REQUEST_SECONDS)
                if self._free.acquire(timeout=LEAVING_SECONDS):
                    self._inside.put(wire)
                else:
                    threading.Thread(target=_send_away, args=(wire,), daemon=True).start()
            except (OSError, RuntimeError):  # it is gone, or no thread can be started
                wire.close()

    def _turn_away(self) -> None:
        """Without a free descriptor, use the spare one to accept a client and close it at once: it
        carries out its command itself.
        """
        if self._spare is not None:
            os.close(self._spare)
            self._spare = None
            with suppress(OSError):
                self._listener.settimeout(0)
                self._listener.accept()[0].close()
            with suppress(OSError):
                self._listener.settimeout(None)
        with suppress(OSError):
            self._spare = os.open(os.devnull, os.O_RDONLY)
        if self._spare is None:
            self._closed.wait(PAUSE_SECONDS)

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
        self._closed.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with suppress(queue.Empty):
            self._inside.get_nowait().close()


def _send_away(wire: socket.socket) -> None:
    with suppress(OSError, Unintelligible), wire:
        received(wire)
        tell(wire, refused=client.BUSY)


class Unintelligible(Exception):
    """A request that is not whole, not valid or too large; the client does it itself."""


@dataclass(frozen=True)
class Request:
    """A command, and all that the daemon takes over from the client. ``values``: what was typed,
    by key. ``streams``: encoding and error handler of stdout and stderr.
    """

    command: str
    values: Mapping[str, object]
    folder: str
    code: str
    cwd: str
    umask: int
    environ: Mapping[str, str]
    streams: tuple[tuple[str, str], ...]


def received(wire: socket.socket) -> Mapping[str, Any]:
    """Return what a client sent. Raises OSError, Unintelligible."""
    until = time.monotonic() + REQUEST_SECONDS
    size = int.from_bytes(_exactly(wire, 4, until), "big")
    if size > client.REQUEST_LIMIT:
        raise Unintelligible(f"a request of {size} bytes")
    try:
        value = json.loads(_exactly(wire, size, until))
    except (ValueError, RecursionError) as error:
        raise Unintelligible("no JSON") from error
    if not isinstance(value, dict):
        raise Unintelligible("no object")
    return value


def _exactly(wire: socket.socket, size: int, until: float) -> bytes:
    body = bytearray()
    while len(body) < size:
        wire.settimeout(max(0.001, until - time.monotonic()))
        piece = wire.recv(size - len(body))
        if not piece:
            raise Unintelligible("half a request")
        body += piece
    return bytes(body)


def descriptors(wire: socket.socket) -> list[int]:
    """Ask for the client's standard streams. Raises OSError, Unintelligible."""
    tell(wire, give=True)
    wanted = len(client.STANDARD)
    _, fds, _, _ = socket.recv_fds(wire, 1, wanted)
    if len(fds) != wanted:
        close(fds)
        raise Unintelligible("descriptors are missing")
    return fds


def understood(value: Mapping[str, Any]) -> Request:
    """Return the request that a client sent. Raises Unintelligible for a value of a wrong type."""
    try:
        request = Request(
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


def tell(wire: socket.socket, **answer: object) -> None:
    wire.sendall(json.dumps(answer).encode() + b"\n")
