"""The document of `hashlab report`: the history of each command, and its last run in detail."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from hashlab.documents.run import Cause, Failure
from hashlab.pipeline import UNIX_TIME, Row

Change = Literal["faster", "slower", "steady"]


@dataclass(frozen=True)
class BudgetResult:
    """A budget in seconds, and the run that was measured; None: no successful run is recorded."""

    command: str
    budget: float
    provider: str | None
    started: float | None = field(metadata=UNIX_TIME)
    seconds: float | None
    ok: bool


@dataclass(frozen=True)
class Figures:
    """Seconds. A quarter of all runs is below ``lower``, a quarter above ``upper``."""

    median: float
    least: float
    lower: float
    upper: float
    most: float


@dataclass(frozen=True)
class Trend:
    """Medians of the oldest and of the newest third, in seconds, and what that means."""

    change: Change
    oldest: float
    newest: float


@dataclass(frozen=True)
class PastRun:
    """One run in the history of its command."""

    started: float = field(metadata=UNIX_TIME)
    seconds: float
    ok: bool


@dataclass(frozen=True)
class Longer:
    """A row that took longer than usual. ``index``: its place among the run's rows; ``usual``:
    median of earlier runs in seconds; in ``idle`` of those ``runs`` it had nothing to do.
    """

    index: int
    seconds: float
    usual: float
    runs: int
    idle: int


@dataclass(frozen=True)
class PlacedRow(Row):
    """A row and its place in the run. ``offset``: seconds from the run's start, None if it never
    began; ``critical``: the end of the run waited for it.
    """

    offset: float | None = None
    critical: bool = False


@dataclass(frozen=True)
class LastRun:
    """The last run of a command, compared with ``compared`` earlier ones."""

    started: float = field(metadata=UNIX_TIME)
    seconds: float
    ok: bool
    error: Failure | None
    causes: tuple[Cause, ...] | None
    compared: int
    longer: tuple[Longer, ...]
    phases: tuple[PlacedRow, ...]


@dataclass(frozen=True)
class CommandHistory:
    """All runs of a command on one provider. ``swaps``: the successful ones in which running
    processes took in all changes. ``seconds`` and ``trend`` are those of the successful
    runs; None: there are too few.
    """

    command: str
    provider: str
    good: int
    swaps: int
    failed: int
    interrupted: int
    seconds: Figures | None
    trend: Trend | None
    recent: tuple[PastRun, ...]
    last: LastRun


@dataclass(frozen=True)
class Report:
    """Everything that the records of earlier runs say. ``made``: Unix time; ``page``: the file."""

    lab: str
    made: float = field(metadata=UNIX_TIME)
    page: str
    ok: bool
    runs: int
    skipped: tuple[str, ...]
    budgets: tuple[BudgetResult, ...]
    commands: tuple[CommandHistory, ...]
    error: Failure | None
