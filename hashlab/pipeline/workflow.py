"""Workflows: phases, their dependencies, and one run of them as rows."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, Literal, TypeVar

from hashlab.errors import HashlabError, Interrupted
from hashlab.pipeline.cancelling import Cancelled, CancelToken
from hashlab.pipeline.graph import Node, run_graph
from hashlab.pipeline.recording import Listener, Recorder, Row, Track

C = TypeVar("C")


@dataclass(frozen=True)
class Where(Generic[C]):
    """A phase on which another depends only on machines for which ``condition`` is true.

    A phase that runs once for the lab calls it with the machine "".
    """

    phase: str
    condition: Callable[[C, str], bool]


@dataclass(frozen=True)
class Part(Generic[C]):
    """A piece of a phase that belongs to one machine. ``run`` gets the phase's own track.

    It waits for the parts named in ``after``, and until those in ``after_end`` have ended or were
    dropped with their machine. It also waits for the phases that the workflow names for its
    ``kind``; of a per-machine phase only for its own machine's instance.
    """

    run: Callable[[C, Track], None]
    machine: str
    after: frozenset[Hashable] = field(default_factory=frozenset)
    after_end: frozenset[Hashable] = field(default_factory=frozenset)
    kind: str = ""


@dataclass(frozen=True)
class Phase(Generic[C]):
    """One timed step of a workflow.

    ``per="machine"`` runs it once for each machine (``run`` then gets the machine's name). It waits
    only for the same machine's instance of an earlier per-machine phase.

    Each of the ``parts`` runs as soon as it can, then ``run``, if any part ran. The phase is one
    row that lasts from the first part to the last. ``parts_after`` names the phases that parts wait
    for, by their kind; without it, all parts wait for ``after``.

    A failure of a phase that is ``alone`` only prevents phases that come ``after`` it; those that
    come ``after_end`` still run.

    The workflow has the phase only if ``where`` is true; nothing waits for a missing phase.
    """

    name: str
    run: Callable[[C, Track, str], None]
    after: tuple[str | Where[C], ...] = ()
    after_end: tuple[str, ...] = ()
    alone: bool = False
    per: Literal["lab", "machine"] = "lab"
    parts: Callable[[C], Mapping[Hashable, Part[C]]] | None = None
    parts_after: Mapping[str, tuple[str | Where[C], ...]] = field(default_factory=dict)
    where: Callable[[C], bool] | None = None

    @property
    def earlier(self) -> frozenset[str]:
        """Names of all phases whose success this phase, or a part of it, may wait for."""
        entries = (*self.after, *(entry for after in self.parts_after.values() for entry in after))
        return frozenset(entry.phase if isinstance(entry, Where) else entry for entry in entries)


@dataclass(frozen=True)
class RunResult:
    """The result of a workflow. ``error`` is None on success."""

    rows: tuple[Row, ...]
    started: float
    seconds: float
    error: HashlabError | None

    @property
    def ok(self) -> bool:
        """True if every phase succeeded or had nothing to do."""
        return self.error is None


def joined(results: Sequence[RunResult]) -> RunResult:
    """Return consecutive runs (at least one) as one run. The last run's error counts."""
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
    """Run the phases of one workflow and return its rows. Expected failures are in the result.

    Any other exception than a HashlabError is raised: a bug must stay visible.
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
        self._missing = {p.name for p in phases if p.where and not p.where(context)}
        phases = [phase for phase in phases if phase.name not in self._missing]
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
        """Return name and machine of the phases that were not reached."""
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
        ends = self._places_of(phase.after_end, machine)
        after = self._places_of(phase.after, machine)
        self.nodes[phase.name, machine] = Node(run, after, ends, phase.alone)

    def _add_parts(self, phase: Phase[C]) -> None:
        name = phase.name
        group = _Group(self._recorder, name, lambda: self._begun.add((name, "")))
        self._groups.append(group)
        for key, part in self._parts[name].items():
            own = frozenset((name, other) for other in part.after)
            earlier = phase.parts_after[part.kind] if phase.parts_after else phase.after
            others = self._places_of(earlier, part.machine)
            ended = frozenset((name, other) for other in part.after_end)
            self.nodes[name, key] = Node(self._carry_out(group, part.run), own | others, ended)

        def finish(context: C, track: Track) -> None:
            phase.run(context, track, "")

        self._instances.append((name, ""))
        # Some parts may have been dropped with a machine; the work of the others is still shown.
        last = frozenset((name, key) for key in self._parts[name])
        ends = last | self._places_of((*phase.earlier, *phase.after_end), "")
        self.nodes[name, ""] = Node(self._carry_out(group, finish, last=True), after_end=ends)

    def _carry_out(
        self, group: _Group, run: Callable[[C, Track], None], *, last: bool = False
    ) -> Callable[[], None]:
        return partial(group.carry_out, partial(run, self._context), last=last)

    def _places_of(self, phases: Iterable[str | Where[C]], machine: str) -> frozenset[Hashable]:
        places: set[Hashable] = set()
        for earlier in phases:
            if isinstance(earlier, Where):
                waits, name = earlier.condition(self._context, machine), earlier.phase
            else:
                waits, name = True, earlier
            if waits and name not in self._missing:
                places.update(self._instances_of(name, machine))
        return frozenset(places)

    def _instances_of(self, earlier: str, machine: str) -> list[Hashable]:
        """Return the nodes of an earlier phase to wait for, for work on one machine or ("") on
        none.
        """
        parts = self._parts.get(earlier)
        if parts is not None:
            own_parts = [(earlier, key) for key, part in parts.items() if machine == part.machine]
            return list(own_parts) or [(earlier, "")]
        # An unknown phase stays in the graph; run_graph reports it.
        places = self._places.get(earlier, [""])
        return [(earlier, name) for name in ([machine] if machine in places else places)]


class _Group:
    """The row of a phase whose parts run independently: open from the first part to the last."""

    def __init__(self, recorder: Recorder, name: str, begin: Callable[[], None]) -> None:
        self._recorder = recorder
        self._name = name
        self._begin = begin
        self._lock = threading.Lock()
        self._step: AbstractContextManager[Track] | None = None
        self._track: Track | None = None
        self._error: BaseException | None = None

    def carry_out(self, run: Callable[[Track], None], *, last: bool) -> None:
        """Run a part, or the end of the phase, with the phase's track."""
        if last and self._track is None:
            return  # no part was run: the phase was not reached
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
        """End the row if it has begun and not ended: as failed by a part, or as cut off."""
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
