"""Time steps as rows, and inform a listener of their progress."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal, Protocol

from hashlab.pipeline.cancelling import Cancelled, CancelToken

Status = Literal["ok", "skipped", "failed", "cancelled", "not-reached"]
# Marks a field of a document that is Unix time in seconds: JSON has it as ISO 8601.
UNIX_TIME = {"unit": "Unix time"}


@dataclass(frozen=True)
class Row:
    """One timed step.

    ``started`` is Unix time in seconds, ``bytes_sent`` the bytes uploaded to machines. The table,
    the JSON record and the page show these rows.
    """

    name: str
    machine: str | None
    service: str | None
    started: float | None = field(metadata=UNIX_TIME)
    seconds: float
    status: Status
    detail: str = ""
    bytes_sent: int = 0
    depth: int = 0


@dataclass
class Step:
    """A running step as a listener sees it. ``total`` None: the total is unknown."""

    id: int
    parent: int | None
    name: str
    machine: str | None
    service: str | None
    started: float
    depth: int = 0
    detail: str = ""
    done: float = 0.0
    total: float | None = None
    unit: str = ""
    bytes_sent: int = 0
    skipped: bool = False


class Listener(Protocol):
    """Shows a run. Called from several threads, but never concurrently."""

    def begin(self, step: Step) -> None:
        """A step started."""

    def update(self, step: Step) -> None:
        """The step's detail or amount changed."""

    def end(self, step: Step, row: Row) -> None:
        """The step ended as ``row``."""

    def output(self, step: Step, line: str) -> None:
        """A tool printed a line."""


class Track:
    """Lets a step report its progress. Every method may be called from any thread."""

    def __init__(self, recorder: Recorder, step: Step) -> None:
        self._recorder = recorder
        self._step = step

    @property
    def cancel(self) -> CancelToken:
        """The run's cancel token."""
        return self._recorder.cancel

    def detail(self, text: str) -> None:
        """Describe in a few words what was done or is going on."""
        self._step.detail = text
        self._recorder.update(self._step)

    def skip(self, text: str) -> None:
        """Report that there was nothing to do, and why."""
        self._step.skipped = True
        self.detail(text)

    def progress(self, done: float, total: float | None, unit: str = "") -> None:
        """Report progress: ``done`` of ``total`` ``unit``s."""
        self._step.done, self._step.total, self._step.unit = done, total, unit
        self._recorder.update(self._step)

    def sent(self, count: int) -> None:
        """Count bytes uploaded to a machine."""
        self._step.bytes_sent += count

    def output(self, line: str) -> None:
        """Pass on a line that a tool printed. It is shown only if the user asked for it."""
        self._recorder.output(self._step, line)

    @contextmanager
    def child(
        self, name: str, *, machine: str | None = None, service: str | None = None
    ) -> Iterator[Track]:
        """Time a part of this step as a row of its own."""
        with self._recorder.step(name, machine=machine, service=service, parent=self._step) as step:
            yield step


class Recorder:
    """Collects rows and informs the listener. The clock is passed in, so that tests need not
    wait.
    """

    def __init__(
        self,
        listener: Listener,
        cancel: CancelToken,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.cancel = cancel
        self._listener = listener
        self._clock = clock
        self._lock = threading.RLock()
        self._rows: dict[int, Row] = {}
        self._parents: dict[int, int] = {}
        self._next = 0

    def rows(self) -> tuple[Row, ...]:
        """Return all rows so far in the order their steps began; parts follow their step."""
        with self._lock:
            order = sorted(self._rows, key=self._path)
            return tuple(self._rows[key] for key in order)

    def _path(self, key: int) -> tuple[int, ...]:
        """Return a step's number, preceded by those of the steps it is part of."""
        parent = self._parents.get(key)
        return (key,) if parent is None else (*self._path(parent), key)

    def running(self) -> tuple[str, ...]:
        """Return the names of steps that were cut off, for the message after Ctrl-C."""
        cut = [row for row in self.rows() if row.status == "cancelled"]
        return tuple(" ".join(filter(None, (r.name, r.machine, r.service))) for r in cut)

    @contextmanager
    def step(
        self,
        name: str,
        *,
        machine: str | None = None,
        service: str | None = None,
        parent: Step | None = None,
    ) -> Iterator[Track]:
        """Time one step. An exception that leaves the block decides its status."""
        step = self._begin(name, machine, service, parent)
        status: Status = "ok"
        try:
            yield Track(self, step)
            status = "skipped" if step.skipped else "ok"
        except (Cancelled, KeyboardInterrupt):
            status = "cancelled"
            raise
        except BaseException as error:
            status = "failed"
            step.detail = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise
        finally:
            self._end(step, status)

    def not_reached(self, name: str, machine: str | None) -> None:
        """Record a step that never began."""
        with self._lock:
            self._next += 1
            self._rows[self._next] = Row(name, machine, None, None, 0.0, "not-reached")

    def update(self, step: Step) -> None:
        """Inform the listener that a step changed."""
        with self._lock:
            self._listener.update(step)

    def output(self, step: Step, line: str) -> None:
        """Pass a tool's line on to the listener."""
        with self._lock:
            self._listener.output(step, line)

    def _begin(
        self, name: str, machine: str | None, service: str | None, parent: Step | None
    ) -> Step:
        with self._lock:
            self._next += 1
            if parent:
                self._parents[self._next] = parent.id
            step = Step(
                id=self._next,
                parent=parent.id if parent else None,
                name=name,
                machine=machine if machine or not parent else parent.machine,
                service=service,
                started=self._clock(),
                depth=parent.depth + 1 if parent else 0,
            )
            self._listener.begin(step)
            return step

    def _end(self, step: Step, status: Status) -> None:
        with self._lock:
            row = Row(
                name=step.name,
                machine=step.machine,
                service=step.service,
                started=step.started,
                seconds=max(0.0, self._clock() - step.started),
                status=status,
                detail=step.detail,
                bytes_sent=step.bytes_sent,
                depth=step.depth,
            )
            self._rows[step.id] = row
            self._listener.end(step, row)
