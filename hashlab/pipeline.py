"""Runs steps: times them, runs independent ones at once, waits for all, cancels, loses no error."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Generic, Literal, Protocol, TypeVar

from hashlab.errors import HashlabError, Interrupted, LabError

Status = Literal["ok", "skipped", "failed", "cancelled", "not-reached"]
C = TypeVar("C")
K = TypeVar("K", bound=Hashable)
T = TypeVar("T")
R = TypeVar("R")


class Cancelled(Exception):
    """Raised inside a step when the run was cancelled; never an error of its own."""


class CancelToken:
    """One flag for a whole run, with callbacks that stop what is blocking."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._callbacks: dict[int, Callable[[], None]] = {}
        self._next = 0

    @property
    def cancelled(self) -> bool:
        """Whether the run was cancelled."""
        return self._event.is_set()

    def cancel(self) -> None:
        """Cancel the run: wake every waiter and call every registered callback once."""
        with self._lock:
            self._event.set()
            callbacks = list(self._callbacks.values())
            self._callbacks.clear()
        for callback in callbacks:
            # What it would have stopped is gone already; the others must still be called.
            with suppress(OSError):
                callback()

    def check(self) -> None:
        """Raise Cancelled when the run was cancelled."""
        if self._event.is_set():
            raise Cancelled

    def wait(self, seconds: float) -> None:
        """Wait ``seconds`` between two looks at a condition; raise Cancelled when cancelled."""
        if self._event.wait(seconds):
            raise Cancelled

    @contextmanager
    def calling(self, callback: Callable[[], None]) -> Iterator[None]:
        """Call ``callback`` when the run is cancelled inside the block."""
        with self._lock:
            key, self._next = self._next, self._next + 1
            if not self._event.is_set():
                self._callbacks[key] = callback
        if self._event.is_set():
            raise Cancelled
        try:
            yield
        finally:
            with self._lock:
                self._callbacks.pop(key, None)


@dataclass(frozen=True)
class Row:
    """One timed step. ``started`` is Unix time in seconds; ``bytes_sent`` counts what travelled
    to machines. The table, the JSON record and the page show these rows and nothing else.
    """

    name: str
    machine: str | None
    service: str | None
    started: float | None
    seconds: float
    status: Status
    detail: str = ""
    bytes_sent: int = 0
    depth: int = 0


@dataclass
class Step:
    """A running step as a listener sees it. ``total`` None: the amount is not known."""

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
    """Whoever shows a run. Called from several threads, never concurrently."""

    def begin(self, step: Step) -> None:
        """A step started."""

    def update(self, step: Step) -> None:
        """The step's detail or amount changed."""

    def end(self, step: Step, row: Row) -> None:
        """The step ended as ``row``."""

    def output(self, step: Step, line: str) -> None:
        """A line a tool underneath printed."""


class Track:
    """What a step uses to tell how it goes; every method may be called from any thread."""

    def __init__(self, recorder: Recorder, step: Step) -> None:
        self._recorder = recorder
        self._step = step

    @property
    def cancel(self) -> CancelToken:
        """The run's cancel token."""
        return self._recorder.cancel

    def detail(self, text: str) -> None:
        """Say in a few words what was done or is going on."""
        self._step.detail = text
        self._recorder.update(self._step)

    def skip(self, text: str) -> None:
        """Say that there was nothing to do, and why."""
        self._step.skipped = True
        self.detail(text)

    def progress(self, done: float, total: float | None, unit: str = "") -> None:
        """Report an amount: ``done`` of ``total`` ``unit``s."""
        self._step.done, self._step.total, self._step.unit = done, total, unit
        self._recorder.update(self._step)

    def sent(self, count: int) -> None:
        """Count bytes that travelled to a machine."""
        self._step.bytes_sent += count

    def output(self, line: str) -> None:
        """Pass on a line that a tool printed; shown only when the user asked for it."""
        self._recorder.output(self._step, line)

    @contextmanager
    def child(
        self, name: str, *, machine: str | None = None, service: str | None = None
    ) -> Iterator[Track]:
        """Time a part of this step as a row of its own."""
        with self._recorder.step(name, machine=machine, service=service, parent=self._step) as step:
            yield step


class Recorder:
    """Collects rows and tells the listener; the clock is passed in so tests need not wait."""

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
        """All rows so far, in the order their steps began, parts right after their step."""
        with self._lock:
            order = sorted(self._rows, key=self._path)
            return tuple(self._rows[key] for key in order)

    def _path(self, key: int) -> tuple[int, ...]:
        """A step's number behind those of the steps it is part of."""
        parent = self._parents.get(key)
        return (key,) if parent is None else (*self._path(parent), key)

    def running(self) -> tuple[str, ...]:
        """Names of steps that were cut off, for the message after Ctrl-C."""
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
        """Time one step; whatever leaves the block decides its status."""
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
        """Tell the listener that a step changed."""
        with self._lock:
            self._listener.update(step)

    def output(self, step: Step, line: str) -> None:
        """Tell the listener what a tool printed."""
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


@dataclass(frozen=True)
class Part(Generic[C]):
    """A piece of a phase that belongs to one machine; ``run`` gets the phase's own track.

    It waits for the parts named in ``after``, and for what its phase waits for: of what runs on
    each machine only for its own machine's, and not for the phases named in ``without``.
    """

    run: Callable[[C, Track], None]
    machine: str
    after: frozenset[Hashable] = field(default_factory=frozenset)
    without: frozenset[str] = field(default_factory=frozenset)


@dataclass(frozen=True)
class Phase(Generic[C]):
    """One timed step of a workflow.

    ``per="machine"`` runs it once for each machine (``run`` then gets the machine's name);
    it waits only for the same machine's instance of an earlier per-machine phase.
    ``parts`` are run as soon as each can be, and ``run`` when all are done; the phase is one row
    that lasts from the first part to the last.
    """

    name: str
    run: Callable[[C, Track, str], None]
    after: tuple[str, ...] = ()
    per: Literal["lab", "machine"] = "lab"
    parts: Callable[[C], Mapping[Hashable, Part[C]]] | None = None


@dataclass(frozen=True)
class Node:
    """Work of a graph: what must be finished first, and what to call."""

    run: Callable[[], None]
    after: frozenset[Hashable] = field(default_factory=frozenset)


def run_graph(nodes: Mapping[K, Node], cancel: CancelToken) -> None:
    """Run every node as soon as all it waits for is done, independent ones at once.

    After the first failure nothing new starts, what runs is cancelled and waited for, and all
    errors are raised together. Raises ValueError for a node that waits for an unknown one.
    """
    unknown = {name for node in nodes.values() for name in node.after} - set(nodes)
    if unknown:
        raise ValueError(f"unknown nodes waited for: {sorted(map(str, unknown))}")
    if not nodes:
        return
    waiting = dict(nodes)
    finished: set[Hashable] = set()
    errors: list[BaseException] = []
    running: dict[Future[None], K] = {}
    with _pool(len(nodes), cancel) as pool:
        while running or waiting:
            if not errors and not cancel.cancelled:
                for key in [k for k, node in waiting.items() if node.after <= finished]:
                    running[pool.submit(waiting.pop(key).run)] = key
            if not running:
                break
            errors += _collect(running, finished, cancel)
    _raise_all(errors)
    if waiting:
        cancel.check()
        raise ValueError(f"nodes wait for each other: {sorted(map(str, waiting))}")


@contextmanager
def _pool(size: int, cancel: CancelToken) -> Iterator[ThreadPoolExecutor]:
    """A pool whose threads are cancelled before they are waited for, whatever leaves the block."""
    with ThreadPoolExecutor(max_workers=size) as pool:
        try:
            yield pool
        except BaseException:
            cancel.cancel()
            raise


def _collect(
    running: dict[Future[None], K], finished: set[Hashable], cancel: CancelToken
) -> list[BaseException]:
    """Wait for at least one future; Ctrl-C while waiting cancels the run and goes on waiting."""
    errors: list[BaseException] = []
    try:
        done, _ = wait(running, return_when=FIRST_COMPLETED)
    except KeyboardInterrupt as interrupt:
        cancel.cancel()
        return [interrupt]
    for future in done:
        key = running.pop(future)
        error = future.exception()
        if error is None:
            finished.add(key)
            continue
        errors.append(error)
        cancel.cancel()
    return errors


def _raise_all(errors: Sequence[BaseException]) -> None:
    """Raise what happened: a bug first, then the failures together, then a bare cancellation."""
    real = [error for error in errors if not isinstance(error, Cancelled)]
    bugs = [error for error in real if not isinstance(error, HashlabError)]
    if bugs:
        for other in (error for error in real if error is not bugs[0]):
            bugs[0].add_note(f"At the same time: {type(other).__name__}: {other}")
        raise bugs[0]
    failures = [error for error in real if isinstance(error, HashlabError)]
    if len(failures) == 1:
        raise failures[0]
    if failures:
        combined = LabError("\n".join(str(failure) for failure in failures))
        combined.exit_code = failures[0].exit_code
        raise combined
    if errors:
        raise errors[0]


def parallel(items: Iterable[T], work: Callable[[T], R], cancel: CancelToken) -> list[R]:
    """Call ``work`` for every item at once; return the results in the items' order."""
    todo = list(items)
    results: dict[int, R] = {}

    def call(index: int) -> Callable[[], None]:
        def run() -> None:
            results[index] = work(todo[index])

        return run

    run_graph({index: Node(call(index)) for index in range(len(todo))}, cancel)
    return [results[index] for index in range(len(todo))]


@dataclass(frozen=True)
class RunResult:
    """How a workflow went. ``error`` None: everything is ok."""

    rows: tuple[Row, ...]
    started: float
    seconds: float
    error: HashlabError | None

    @property
    def ok(self) -> bool:
        """Whether every phase was ok or had nothing to do."""
        return self.error is None


def joined(results: Sequence[RunResult]) -> RunResult:
    """Runs that followed each other, at least one, as one run; the last one's error counts."""
    first, last = results[0], results[-1]
    return RunResult(
        rows=tuple(row for result in results for row in result.rows),
        started=first.started,
        seconds=last.started + last.seconds - first.started,
        error=last.error,
    )


def run_workflow(
    phases: Sequence[Phase[C]],
    context: C,
    *,
    machines: Sequence[str],
    listener: Listener,
    cancel: CancelToken,
    clock: Callable[[], float] = time.time,
) -> RunResult:
    """Run the phases of one workflow and return its rows; expected failures are in the result.

    Raises whatever is not a HashlabError: a bug must stay visible.
    """
    recorder = Recorder(listener, cancel, clock)
    started = clock()
    error: HashlabError | None = None
    graph = _Graph(phases, context, machines, recorder)
    try:
        run_graph(graph.nodes, cancel)
    except (KeyboardInterrupt, Cancelled):
        graph.close()
        half_done = ", ".join(recorder.running()) or "nothing"
        error = Interrupted(f"interrupted. Half done: {half_done}", next_step="run it again")
    except HashlabError as failure:
        error = failure
    finally:
        graph.close()
    for name, machine in graph.never_begun():
        recorder.not_reached(name, machine or None)
    return RunResult(recorder.rows(), started, max(0.0, clock() - started), error)


class _Graph(Generic[C]):
    """The phases of a workflow as nodes for run_graph."""

    def __init__(
        self, phases: Sequence[Phase[C]], context: C, machines: Sequence[str], recorder: Recorder
    ) -> None:
        self._context = context
        self._recorder = recorder
        self._begun: set[tuple[str, str]] = set()
        self._instances: list[tuple[str, str]] = []
        self._parts = {p.name: dict(p.parts(context)) for p in phases if p.parts}
        self._groups: list[_Group] = []
        self._places = {p.name: list(machines) if p.per == "machine" else [""] for p in phases}
        self.nodes: dict[Hashable, Node] = {}
        for phase in phases:
            if phase.parts:
                self._add_parts(phase)
            else:
                for machine in self._places[phase.name]:
                    self._add(phase, machine)

    def never_begun(self) -> list[tuple[str, str]]:
        """Name and machine of what was not reached."""
        return [instance for instance in self._instances if instance not in self._begun]

    def close(self) -> None:
        """End the rows of phases whose parts were cut off."""
        for group in self._groups:
            group.close()

    def _add(self, phase: Phase[C], machine: str) -> None:
        def run() -> None:
            self._begun.add((phase.name, machine))
            with self._recorder.step(phase.name, machine=machine or None) as track:
                phase.run(self._context, track, machine)

        self._instances.append((phase.name, machine))
        self.nodes[phase.name, machine] = Node(run, self._after(phase, machine))

    def _add_parts(self, phase: Phase[C]) -> None:
        name = phase.name
        group = _Group(self._recorder, name, lambda: self._begun.add((name, "")))
        self._groups.append(group)
        for key, part in self._parts[name].items():
            own = frozenset((name, other) for other in part.after)
            others = self._after(phase, part.machine, without=part.without)
            self.nodes[name, key] = Node(self._carry_out(group, part.run), own | others)

        def finish(context: C, track: Track) -> None:
            phase.run(context, track, "")

        self._instances.append((name, ""))
        last = frozenset((name, key) for key in self._parts[name]) | self._after(phase, "")
        self.nodes[name, ""] = Node(self._carry_out(group, finish, last=True), last)

    def _carry_out(
        self, group: _Group, run: Callable[[C, Track], None], *, last: bool = False
    ) -> Callable[[], None]:
        return lambda: group.carry_out(lambda track: run(self._context, track), last=last)

    def _after(
        self, phase: Phase[C], machine: str, *, without: frozenset[str] = frozenset()
    ) -> frozenset[Hashable]:
        found: set[Hashable] = set()
        for earlier in phase.after:
            if earlier not in without:
                found.update(self._instances_of(earlier, machine))
        return frozenset(found)

    def _instances_of(self, earlier: str, machine: str) -> list[Hashable]:
        """What to wait for of an earlier phase, for work on one machine or ("") on none."""
        parts = self._parts.get(earlier)
        if parts is not None:
            mine = [(earlier, key) for key, part in parts.items() if machine == part.machine]
            return list(mine) or [(earlier, "")]
        # An unknown phase stays in the graph, where run_graph names it.
        places = self._places.get(earlier, [""])
        return [(earlier, name) for name in ([machine] if machine in places else places)]


class _Group:
    """The row of a phase whose parts run by themselves: open from the first to the last."""

    def __init__(self, recorder: Recorder, name: str, begin: Callable[[], None]) -> None:
        self._recorder = recorder
        self._name = name
        self._begin = begin
        self._lock = threading.Lock()
        self._step: AbstractContextManager[Track] | None = None
        self._track: Track | None = None
        self._error: BaseException | None = None

    def carry_out(self, run: Callable[[Track], None], *, last: bool) -> None:
        """Run a part, or what ends the phase, with the phase's track."""
        track = self._open()
        try:
            run(track)
        except BaseException as error:
            with self._lock:
                if self._error is None or isinstance(self._error, Cancelled):
                    self._error = error
            raise
        if last:
            self.close()

    def close(self) -> None:
        """End the row, if it was begun and has not ended: as failed by a part, or as cut off."""
        with self._lock:
            step, self._step = self._step, None
        if step is None:
            return
        error = self._error or (Cancelled() if self._recorder.cancel.cancelled else None)
        step.__exit__(type(error) if error else None, error, None)

    def _open(self) -> Track:
        with self._lock:
            if self._track is None:
                self._begin()
                self._step = self._recorder.step(self._name)
                self._track = self._step.__enter__()
            return self._track
