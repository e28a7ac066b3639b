"""Makes the document of `hashlab report`, for page and `--json`, from the records of runs."""

from __future__ import annotations

from collections.abc import Sequence

from hashlab.documents.report import (
    BudgetResult,
    CommandHistory,
    LastRun,
    PastRun,
    PlacedRow,
    Report,
)
from hashlab.documents.run import RunRecord, failure
from hashlab.errors import HashlabError
from hashlab.pipeline import Row
from hashlab.report.budget import Comparison
from hashlab.report.critical import critical
from hashlab.report.history import RECENT, figures, longer, trend
from hashlab.report.runs import Runs


def report_document(
    read: Runs,
    *,
    made: float,
    page: str,
    budgets: Sequence[Comparison] = (),
    error: HashlabError | None = None,
) -> Report:
    """Return the report of the runs. ``made``: Unix time; ``page``: the file it is written to;
    ``error``: the failure of the budgets.
    """
    return Report(
        lab=read.runs[-1].lab if read.runs else "",
        made=made,
        page=page,
        ok=error is None,
        runs=len(read.runs),
        skipped=read.skipped,
        budgets=tuple(_budget(budget) for budget in budgets),
        commands=tuple(_command(runs) for runs in _by_command(read.runs)),
        error=failure(error),
    )


def _by_command(runs: Sequence[RunRecord]) -> list[list[RunRecord]]:
    """Return the runs of each command on each provider, oldest first; the group of the newest run
    comes first.
    """
    groups: dict[tuple[str, str], list[RunRecord]] = {}
    for run in runs:
        groups.setdefault((run.command, run.provider), []).append(run)
    return sorted(groups.values(), key=lambda group: -group[-1].started)


def _budget(budget: Comparison) -> BudgetResult:
    run = budget.run
    return BudgetResult(
        command=budget.command,
        budget=budget.budget,
        provider=run.provider if run else None,
        started=run.started if run else None,
        seconds=run.seconds if run else None,
        ok=budget.ok,
    )


def _command(runs: Sequence[RunRecord]) -> CommandHistory:
    good = [run.seconds for run in runs if run.ok]
    return CommandHistory(
        command=runs[-1].command,
        provider=runs[-1].provider,
        good=len(good),
        swaps=sum(run.ok and run.is_swap for run in runs),
        failed=sum(not run.ok and not run.interrupted for run in runs),
        interrupted=sum(run.interrupted for run in runs),
        seconds=figures(good),
        trend=trend(good),
        recent=tuple(PastRun(run.started, run.seconds, run.ok) for run in runs[-RECENT:]),
        last=_last(runs[-1], [run.phases for run in runs[:-1] if run.ok]),
    )


def placed_rows(run: RunRecord) -> tuple[PlacedRow, ...]:
    """Return the rows of a run, each with its place in time."""
    on_path = set(critical(run.phases))
    return tuple(
        PlacedRow(
            **vars(row),
            offset=None if row.started is None else round(row.started - run.started, 3),
            critical=index in on_path,
        )
        for index, row in enumerate(run.phases)
    )


def _last(run: RunRecord, earlier: Sequence[Sequence[Row]]) -> LastRun:
    return LastRun(
        started=run.started,
        seconds=run.seconds,
        ok=run.ok,
        error=run.error,
        causes=run.causes,
        compared=len(earlier),
        longer=tuple(longer(run.phases, earlier)),
        phases=placed_rows(run),
    )
