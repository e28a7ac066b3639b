"""The tree of a running workflow as lines: phases, below them machines, services and parts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from hashlab.pipeline import Row, Status, Step
from hashlab.report.formats import title


class Rank(IntEnum):
    """The order in which lines are dropped if the terminal is too short."""

    FINISHED_PART = 0
    FINISHED_PHASE = 1
    RUNNING = 2


@dataclass(frozen=True)
class Line:
    """One line of the live display. ``status`` None: it is running."""

    depth: int
    label: str
    status: Status | None
    seconds: float | None
    rank: Rank
    detail: str = ""
    done: float = 0.0
    total: float | None = None
    unit: str = ""


@dataclass
class Branch:
    """A step with its parts; ``row`` is set when the step has ended."""

    step: Step
    row: Row | None = None
    parts: list[Branch] = field(default_factory=list)


class Tree:
    """All steps so far. Not thread-safe: the caller holds a lock."""

    def __init__(self) -> None:
        self._branches: dict[int, Branch] = {}
        self._phases: dict[str, list[Branch]] = {}

    def begin(self, step: Step) -> None:
        """Add a step below its parent, or to the phase of its name."""
        branch = self._branches[step.id] = Branch(step)
        parent = self._branches.get(step.parent) if step.parent is not None else None
        siblings = parent.parts if parent else self._phases.setdefault(step.name, [])
        siblings.append(branch)

    def end(self, step: Step, row: Row) -> None:
        """Set the row of a step that ended."""
        self._branches[step.id].row = row

    def lines(self, now: float, height: int) -> list[Line]:
        """Return the tree at Unix time ``now`` in at most ``height`` lines."""
        return fitted(
            [line for phase in self._phases.values() for line in _phase(phase, now)], height
        )


def fitted(lines: Sequence[Line], height: int) -> list[Line]:
    """Return at most ``height`` lines: leave out finished parts, the oldest first; then fold
    finished phases into one line; then count the running lines that do not fit.
    """
    kept = list(lines)
    for line in lines:
        if len(kept) > height and line.rank == Rank.FINISHED_PART:
            kept.remove(line)
    if len(kept) > height:
        kept = _folded(kept, len(kept) - height + 1)
    if len(kept) > height:
        hidden = len(kept) - height + 1
        more = Line(0, f"… and {hidden} more", None, None, Rank.RUNNING)
        kept = [*kept[: height - 1], more]
    return kept


def _folded(lines: list[Line], count: int) -> list[Line]:
    """Replace the first ``count`` finished phases by a line that counts them."""
    finished = [line for line in lines if line.rank == Rank.FINISHED_PHASE][:count]
    if len(finished) < 2:
        return lines
    gone = {id(line) for line in finished}
    head = Line(0, f"{len(finished)} phases done", "ok", None, Rank.FINISHED_PHASE)
    return [head, *(line for line in lines if id(line) not in gone)]


def _phase(instances: list[Branch], now: float) -> Iterator[Line]:
    """Yield one line for a phase of the whole lab, else a heading and a line for each machine."""
    first = instances[0]
    if len(instances) == 1 and first.step.machine is None:
        yield from _branch(first, now, depth=0, known=())
        return
    yield _heading(instances, now)
    for branch in instances:
        if branch.row is None or _bad(branch) or not _ended(instances):
            yield from _branch(branch, now, depth=1, known=(first.step.name,))


def _heading(instances: list[Branch], now: float) -> Line:
    rows = [branch.row for branch in instances if branch.row]
    begun = min(branch.step.started for branch in instances)
    if not _ended(instances):
        detail = f"{len(rows)} of {len(instances)} machines done"
        return Line(0, instances[0].step.name, None, now - begun, Rank.RUNNING, detail)
    status = _worst(row.status for row in rows)
    last = max((row.started or begun) + row.seconds for row in rows)
    rank = Rank.RUNNING if status == "failed" else Rank.FINISHED_PHASE
    return Line(0, instances[0].step.name, status, last - begun, rank, _common(rows))


def _common(rows: Sequence[Row]) -> str:
    """Return the detail that all machines share, or else the number of machines."""
    details = {row.detail for row in rows}
    if len(rows) == 1:
        return f"{rows[0].machine}: {rows[0].detail}" if rows[0].detail else str(rows[0].machine)
    count = f"{len(rows)} machines"
    return f"{count}: {details.pop()}" if len(details) == 1 and "" not in details else count


def _branch(
    branch: Branch, now: float, *, depth: int, known: tuple[str | None, ...]
) -> Iterator[Line]:
    step, row = branch.step, branch.row
    label = title(step, without=known)
    if row is None:
        spent = now - step.started
        amount = (step.done, step.total, step.unit)
        yield Line(depth, label, None, spent, Rank.RUNNING, step.detail, *amount)
    else:
        done = Rank.FINISHED_PHASE if depth == 0 else Rank.FINISHED_PART
        rank = Rank.RUNNING if row.status == "failed" else done
        yield Line(depth, label, row.status, row.seconds, rank, row.detail)
    alike = {part.step.name for part in branch.parts}
    below = (*known, step.name, step.machine, *(alike if len(alike) == 1 else ()))
    for part in branch.parts:
        if row is None or _bad(part):
            yield from _branch(part, now, depth=depth + 1, known=below)


def _ended(instances: Iterable[Branch]) -> bool:
    return all(branch.row for branch in instances)


def _bad(branch: Branch) -> bool:
    return branch.row is not None and branch.row.status == "failed"


def _worst(statuses: Iterable[Status]) -> Status:
    order: tuple[Status, ...] = ("failed", "cancelled", "ok", "skipped", "not-reached")
    return min(statuses, key=order.index)
