"""The document of `hashlab report`, for page and `--json`: see docs/reference/json.md."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from hashlab.errors import HashlabError
from hashlab.report.budget import Spent
from hashlab.report.critical import critical
from hashlab.report.history import RECENT, figures, longer, trend
from hashlab.report.record import error_record, moment, phase_record
from hashlab.report.runs import Cause, Run, Runs


def report_document(
    found: Runs,
    *,
    made: float,
    page: str,
    budgets: Sequence[Spent] = (),
    error: HashlabError | None = None,
) -> dict[str, Any]:
    """All that is told of the runs. ``made``: Unix time; ``page``: where it is written;
    ``error``: what there is to say of the budgets.
    """
    return {
        "lab": found.runs[-1].lab if found.runs else "",
        "made": moment(made),
        "page": page,
        "ok": error is None,
        "runs": len(found.runs),
        "skipped": list(found.skipped),
        "budgets": [_budget(one) for one in budgets],
        "commands": [_command(runs) for runs in _by_command(found.runs)],
        "error": None if error is None else error_record(error),
    }


def _by_command(runs: Sequence[Run]) -> list[list[Run]]:
    """The runs of each command on each provider, oldest first; that of the newest run leads."""
    groups: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        groups.setdefault((run.command, run.provider), []).append(run)
    return sorted(groups.values(), key=lambda group: -group[-1].started)


def _budget(one: Spent) -> dict[str, Any]:
    return {
        "command": one.command,
        "budget": one.budget,
        "provider": one.run.provider if one.run else None,
        "started": moment(one.run.started) if one.run else None,
        "seconds": one.run.seconds if one.run else None,
        "ok": one.ok,
    }


def _command(runs: Sequence[Run]) -> dict[str, Any]:
    good = [run.seconds for run in runs if run.ok]
    spread, change = figures(good), trend(good)
    return {
        "command": runs[-1].command,
        "provider": runs[-1].provider,
        "good": len(good),
        "failed": sum(not run.ok and not run.interrupted for run in runs),
        "interrupted": sum(run.interrupted for run in runs),
        "seconds": _rounded(asdict(spread)) if spread else None,
        "trend": _rounded(asdict(change)) if change else None,
        "recent": [
            {"started": moment(run.started), "seconds": run.seconds, "ok": run.ok}
            for run in runs[-RECENT:]
        ],
        "last": _last(runs[-1], [run.rows for run in runs[:-1] if run.ok]),
    }


def _last(run: Run, earlier: Sequence[Any]) -> dict[str, Any]:
    on_path = set(critical(run.rows))
    return {
        "started": moment(run.started),
        "seconds": run.seconds,
        "ok": run.ok,
        "error": asdict(run.failure) if run.failure else None,
        "causes": None if run.causes is None else [_cause(cause) for cause in run.causes],
        "compared": len(earlier),
        "longer": [_rounded(asdict(one)) for one in longer(run.rows, earlier)],
        "phases": [
            {
                **phase_record(row),
                "offset": None if row.started is None else round(row.started - run.started, 3),
                "critical": index in on_path,
            }
            for index, row in enumerate(run.rows)
        ],
    }


def _cause(cause: Cause) -> dict[str, Any]:
    return {"what": cause.what, "files": list(cause.files), "more": cause.more}


def _rounded(values: dict[str, Any]) -> dict[str, Any]:
    """Seconds are told to the millisecond, as everywhere."""
    return {k: round(v, 3) if isinstance(v, float) else v for k, v in values.items()}
