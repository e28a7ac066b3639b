"""The Java Debug Wire Protocol, as far as swapping code needs it.

Nothing here asks for events. A JVM gives up all that a debugger did when its connection ends.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence

from debugport import Inside, Port
from octets import Octets

HANDSHAKE = b"JDWP-Handshake"
CONNECT_SECONDS = 5.0
# After one debugger has gone, the JVM needs a moment before it takes the next: 6 ms at most, seen.
AGAIN_SECONDS = 0.1
POLL_SECONDS = 0.01
ANSWER_SECONDS = 20.0
HEAD = 11
REPLY = 0x80
OBJECT_TAG = b"L"
STRING_TAG = b"s"

# Command set and command, in the words of the specification.
ALL_THREADS, DISPOSE, ID_SIZES, SUSPEND, RESUME = (1, 4), (1, 6), (1, 7), (1, 8), (1, 9)
CLASSES_BY_SIGNATURE, CREATE_STRING, CAPABILITIES = (1, 2), (1, 11), (1, 17)
REDEFINE_CLASSES, INSTANCE_COUNTS = (1, 18), (1, 21)
SIGNATURE, FIELDS, METHODS, GET_VALUES = (2, 1), (2, 4), (2, 5), (2, 6)
INTERFACES, CONSTANT_POOL = (2, 10), (2, 18)
SUPERCLASS, SET_VALUES = (3, 1), (3, 2)
BYTECODES = (6, 3)
DISABLE_COLLECTION = (9, 7)
STRING_VALUE = (10, 1)
THREAD_NAME, FRAMES = (11, 1), (11, 6)

INVALID_OBJECT, CLASS_NOT_PREPARED, INVALID_CLASS, VM_DEAD = 20, 22, 21, 112

Ask = tuple[tuple[int, int], bytes]


class Unreachable(Exception):
    """No JVM takes a debugger at this address; the text says why and what to do."""


class Lost(Exception):
    """The connection ended, or brought no answer, while something was asked."""


class Refused(Exception):
    """The JVM answered with an error."""

    def __init__(self, code: int) -> None:
        super().__init__(f"the JVM answers with error {code}")
        self.code = code


class Reply(Octets):
    """An answer. Its ids are as long as the JVM makes them."""

    __slots__ = ("_sizes", "error")

    def __init__(self, data: bytes, error: int, sizes: dict[str, int]) -> None:
        super().__init__(data)
        self.error = error
        self._sizes = sizes

    def good(self) -> Reply:
        """Itself. Raises Refused when it is an error."""
        if self.error:
            raise Refused(self.error)
        return self

    def id(self, kind: str) -> bytes:
        """The next id: of a `field`, `method`, `object`, `type` or `frame`."""
        return self.take(self._sizes[kind])


class Connection:
    """One debugger's connection to a JVM. Raises Unreachable, later Lost.

    `patience` multiplies all time limits.
    """

    def __init__(self, place: Port | Inside, patience: float) -> None:
        self._sizes: dict[str, int] = {}
        self._number = 0
        self._buffer = bytearray()
        self._socket = _attached(place, patience)
        self._limit = ANSWER_SECONDS * patience

    def begin(self) -> list[bool]:
        """Learns how long ids are; what the JVM can do, in the order of the specification."""
        sizes, able = self.ask([(ID_SIZES, b""), (CAPABILITIES, b"")])
        for kind in ("field", "method", "object", "type", "frame"):
            self._sizes[kind] = sizes.good().number(4)
        return [bool(able.good().number(1)) for _ in range(32)]

    def ask(self, asks: Sequence[Ask]) -> list[Reply]:
        """Sends all at once; the answers in the same order, errors among them."""
        first = self._number + 1
        sent = b"".join(self._packet(command, data) for command, data in asks)
        found: dict[int, Reply] = {}
        deadline = time.monotonic() + self._limit
        try:
            self._socket.settimeout(self._limit)
            self._socket.sendall(sent)
            while len(found) < len(asks):
                number, reply = self._receive(deadline)
                if reply is not None:
                    found[number] = reply
        except TimeoutError as error:
            raise Lost(f"the JVM has not answered for {self._limit:.0f} s") from error
        except OSError as error:
            raise Lost(f"the connection to the JVM ended: {error}") from error
        return [found[number] for number in range(first, first + len(asks))]

    def one(self, command: tuple[int, int], data: bytes = b"") -> Reply:
        """The answer to one command. Raises Refused."""
        return self.ask([(command, data)])[0].good()

    def end(self) -> None:
        """Takes leave: threads that stand go on, and the JVM listens for the next debugger."""
        try:
            self.ask([(DISPOSE, b"")])
        except Lost:
            pass  # the connection is closed all the same, which has the same effect
        finally:
            self._socket.close()

    def _packet(self, command: tuple[int, int], data: bytes) -> bytes:
        self._number += 1
        head = (HEAD + len(data)).to_bytes(4, "big") + self._number.to_bytes(4, "big")
        return head + bytes((0, *command)) + data

    def _receive(self, deadline: float) -> tuple[int, Reply | None]:
        """The next answer and its number; None for what the JVM tells without being asked."""
        head = Octets(self._bytes(HEAD, deadline))
        length, number, flags = head.number(4), head.number(4), head.number(1)
        error = head.number(2)
        data = self._bytes(length - HEAD, deadline)
        return number, Reply(data, error, self._sizes) if flags & REPLY else None

    def _bytes(self, count: int, deadline: float) -> bytes:
        while len(self._buffer) < count:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self._socket.settimeout(left)
            received = self._socket.recv(1 << 18)
            if not received:
                raise Lost("the JVM ended the connection")
            self._buffer += received
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken


def _attached(place: Port | Inside, patience: float) -> socket.socket:
    """A connection whose other end is a JVM that has greeted."""
    deadline = time.monotonic() + AGAIN_SECONDS * patience
    while True:
        try:
            return _greeted(place, CONNECT_SECONDS * patience)
        except TimeoutError as error:
            raise Unreachable(
                f"nothing at {place} answers like a JVM: is the process stopped?"
            ) from error
        except OSError as error:
            if time.monotonic() > deadline:
                raise Unreachable(_nobody(place)) from error
        time.sleep(POLL_SECONDS)


def _greeted(place: Port | Inside, limit: float) -> socket.socket:
    made = place.connect(limit)
    try:
        made.sendall(HANDSHAKE)
        greeting = b""
        while len(greeting) < len(HANDSHAKE):
            received = made.recv(len(HANDSHAKE) - len(greeting))
            if not received:
                raise ConnectionResetError("it hangs up")
            greeting += received
        if greeting != HANDSHAKE:
            raise Unreachable(f"what listens at {place} is no JVM")
    except BaseException:
        made.close()
        raise
    return made


def _nobody(place: Port | Inside) -> str:
    """A JVM that has a debugger does not listen: from here that looks the same as none."""
    return (
        f"no JVM takes a debugger at {place}: start the lab without JRE_VARIANT, or detach the IDE"
    )
