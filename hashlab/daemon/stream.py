"""The stream: sends the events of the lab to every reader, from one thread."""

from __future__ import annotations

import json
import os
import select
import socket
import threading
from collections import deque
from contextlib import suppress

from hashlab.run.events import Event, Lost, RowChanged, RunEnded, RunStarted, event_json

# Lines that wait for a reader that is slower than the events; older ones are counted as lost.
MOST_WAITING = 1000
# When the server ends, readers have this time to take what waits for them.
FLUSH_SECONDS = 1.0
PIECE = 65536


class Stream:
    """Sends events to readers without ever waiting for one.

    A new reader gets the run that is going on and its open rows first.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._readers: dict[int, _Reader] = {}
        self._runs: dict[str, _Run] = {}
        self._closing = False
        self._woken, self._waker = os.pipe()
        os.set_blocking(self._woken, False)
        os.set_blocking(self._waker, False)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def readers(self) -> int:
        """Return the number of connected readers."""
        with self._lock:
            return len(self._readers)

    def publish(self, event: Event) -> None:
        """Send an event to all readers, from any thread."""
        with self._lock:
            self._follow(event)
            if not self._readers:
                return
            line = _line(event)
            for reader in self._readers.values():
                reader.put(line)
        self._wake()

    def add(self, sock: socket.socket) -> None:
        """Send all events from now on to ``sock``, until its other end is closed."""
        sock.setblocking(False)
        reader = _Reader(sock)
        with self._lock:
            for run in self._runs.values():
                reader.put(_line(run.started))
                for row in run.rows.values():
                    reader.put(_line(row))
            self._readers[sock.fileno()] = reader
        self._wake()

    def close(self, last: Event) -> None:
        """Send a last event. The connections themselves end with the process."""
        self.publish(last)
        self._closing = True
        self._wake()
        self._thread.join(FLUSH_SECONDS)

    def _follow(self, event: Event) -> None:
        """Keep the state that a later reader is sent first."""
        if isinstance(event, RunStarted):
            self._runs[event.run] = _Run(event)
        elif isinstance(event, RunEnded):
            self._runs.pop(event.run, None)
        elif isinstance(event, RowChanged) and event.run in self._runs:
            rows = self._runs[event.run].rows
            if event.change == "end":
                rows.pop(event.row, None)
            else:
                rows[event.row] = event

    def _wake(self) -> None:
        with suppress(BlockingIOError):  # it is full: the thread is about to wake up
            os.write(self._waker, b".")

    def _serve(self) -> None:
        while True:
            with self._lock:
                waiting = {number: reader.waiting for number, reader in self._readers.items()}
            if self._closing and not any(waiting.values()):
                return
            for number, _ in self._ready(waiting):
                if number == self._woken:
                    with suppress(BlockingIOError):
                        os.read(self._woken, PIECE)
                else:
                    self._attend(number)

    def _ready(self, waiting: dict[int, bool]) -> list[tuple[int, int]]:
        """Wait until a reader leaves or can take more, or an event arrives."""
        poll = select.poll()
        poll.register(self._woken, select.POLLIN)
        for number, waits in waiting.items():
            poll.register(number, select.POLLIN | (select.POLLOUT if waits else 0))
        return poll.poll()

    def _attend(self, number: int) -> None:
        with self._lock:
            reader = self._readers[number]
            if not reader.attend():
                del self._readers[number]
                reader.sock.close()


class _Run:
    """A run that is going on, and its rows that have not ended."""

    def __init__(self, started: RunStarted) -> None:
        self.started = started
        self.rows: dict[str, RowChanged] = {}


class _Reader:
    """One reader's connection and the lines that wait for it."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._lines: deque[bytes] = deque()
        self._lost = 0
        self._rest = b""

    @property
    def waiting(self) -> bool:
        """True if something is to be sent."""
        return bool(self._rest or self._lines)

    def put(self, line: bytes) -> None:
        """Add a line; the oldest one makes room for it."""
        if len(self._lines) >= MOST_WAITING:
            self._lines.popleft()
            self._lost += 1
        self._lines.append(line)

    def attend(self) -> bool:
        """Send as much as the reader takes; return False if it left."""
        try:
            if self.sock.recv(PIECE) == b"":
                return False
        except BlockingIOError:
            pass
        except OSError:
            return False
        try:
            while self.waiting:
                self._rest = self._rest or self._next()
                self._rest = self._rest[self.sock.send(self._rest) :]
        except BlockingIOError:
            pass
        except OSError:
            return False
        return True

    def _next(self) -> bytes:
        if self._lost:
            lost, self._lost = self._lost, 0
            return _line(Lost(lost))
        return self._lines.popleft()


def _line(event: Event) -> bytes:
    return json.dumps(event_json(event)).encode() + b"\n"
