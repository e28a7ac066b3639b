"""Publishes the events of a run, to the lab's background process if one listens."""

from __future__ import annotations

import json
import os
import queue
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

from hashlab.daemon import client
from hashlab.pipeline import Listener, Row, Step
from hashlab.run.events import (
    Change,
    Event,
    Json,
    Lost,
    Publish,
    RowChanged,
    RunEnded,
    RunStarted,
    ServiceChanged,
    event_json,
)
from hashlab.run.lock import now

# A row's updates are published at most this often; its begin and end always are.
UPDATE_SECONDS = 0.2
# Events that wait for a background process that does not read them; the next ones are counted.
MOST_WAITING = 1000
# The end of a run waits at most this long until its last events are sent.
FLUSH_SECONDS = 1.0
CONTAINER_ROW = "container"


@dataclass
class RunEvents:
    """Publishes the events of one run; ``attempt`` counts its workflows, each of which numbers its
    rows from 1.
    """

    command: str
    publish: Publish
    attempt: int = 0
    record: Json | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self._pid = os.getpid()
        self._started = False
        self.run = f"{self._pid}-{time.time_ns()}"
        self._updated: dict[int, float] = {}

    def start(self) -> None:
        """Publish that the run started; it holds the lab's lock."""
        self._started = True
        # Only the background process knows in which process the command was typed.
        self.publish(RunStarted(self.run, self.command, self._pid, self._pid, now()))

    def end(self) -> None:
        """Publish that the run ended, if it started; it has released the lab's lock."""
        if self._started:
            self.publish(
                RunEnded(self.run, self.command, self._pid, self._pid, self.record, self.notes)
            )

    def next_attempt(self) -> None:
        """Begin the rows of another workflow of the run."""
        self.attempt += 1
        self._updated.clear()

    def row(self, step: Step, change: Change, row: Row | None = None) -> None:
        """Publish the change of a row; ``row``: how it ended."""
        if change == "update":
            moment = time.monotonic()
            if moment < self._updated.get(step.id, 0.0) + UPDATE_SECONDS:
                return
            self._updated[step.id] = moment
        self.publish(
            RowChanged(
                run=self.run,
                row=f"{self.attempt}.{step.id}",
                parent=None if step.parent is None else f"{self.attempt}.{step.parent}",
                change=change,
                name=step.name,
                machine=step.machine,
                service=step.service,
                detail=step.detail,
                done=step.done,
                total=step.total,
                unit=step.unit,
                status=row.status if row else None,
                seconds=round(row.seconds, 3) if row else None,
            )
        )
        if row and row.name == CONTAINER_ROW and row.service and row.status != "skipped":
            self.publish(ServiceChanged(self.run, row.service, row.machine, row.detail, row.status))


class PublishingListener:
    """Passes each call on to another listener, and publishes it."""

    def __init__(self, listener: Listener, events: RunEvents) -> None:
        self._listener = listener
        self._events = events

    def begin(self, step: Step) -> None:
        """See Listener."""
        self._listener.begin(step)
        self._events.row(step, "begin")

    def update(self, step: Step) -> None:
        """See Listener."""
        self._listener.update(step)
        self._events.row(step, "update")

    def end(self, step: Step, row: Row) -> None:
        """See Listener."""
        self._listener.end(step, row)
        self._events.row(step, "end", row)

    def output(self, step: Step, line: str) -> None:
        """Pass it on; output of tools is not an event."""
        self._listener.output(step, line)


@contextmanager
def run_events(command: str, state: Path, publish: Publish | None) -> Iterator[RunEvents]:
    """Yield the events of one run, which go to ``publish``, or else to the background process of
    the lab whose ``.hashlab`` is ``state``.
    """
    with nullcontext(publish) if publish else publisher(state) as used:
        events = RunEvents(command, used)
        try:
            yield events
        finally:
            events.end()


@contextmanager
def publisher(state: Path) -> Iterator[Publish]:
    """Yield a function that sends events to the background process of the lab whose ``.hashlab``
    is ``state``, if one listens. It never waits, whatever happens at the other end.
    """
    sock = None if client.is_off() else client.connected(str(state))
    if sock is None:
        yield _ignore
        return
    sender = _Sender(sock)
    try:
        yield sender.put
    finally:
        sender.close()


def _ignore(event: Event) -> None:
    """Drop an event that no one reads."""


class _Sender:
    """Sends events from a thread of its own."""

    def __init__(self, sock: client.Socket) -> None:
        self._sock = sock
        self._waiting: queue.Queue[Event | None] = queue.Queue(MOST_WAITING)
        self._lost = 0
        self._thread = threading.Thread(target=self._send, daemon=True)
        self._thread.start()

    def put(self, event: Event) -> None:
        """Send an event soon; count it as lost if too many wait already."""
        try:
            if self._lost:
                self._waiting.put_nowait(Lost(self._lost))
                self._lost = 0
            self._waiting.put_nowait(event)
        except queue.Full:
            self._lost += 1

    def close(self) -> None:
        """Send the remaining events, then hang up."""
        with suppress(queue.Full):
            self._waiting.put_nowait(None)
        self._thread.join(FLUSH_SECONDS)
        self._sock.close()

    def _send(self) -> None:
        """Send events until the end. The background process may end at any time; a run does not
        depend on it.
        """
        with suppress(OSError):
            client.send(self._sock, client.body({"kind": client.PUBLISH}))
            while (event := self._waiting.get()) is not None:
                self._sock.sendall(json.dumps(event_json(event)).encode() + b"\n")
