"""Budgets: the most seconds that the last successful run of a command may have taken."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from hashlab.documents import iso_time
from hashlab.documents.run import RunRecord
from hashlab.errors import LabError, UsageError
from hashlab.report.formats import seconds, title

# Commands that leave a record, as in docs/reference/json.md, and how to run them.
RECORDED = {
    "init-box": "init-box",
    "dev": "dev",
    "dev-replace": "dev --replace",
    "dev-from": "dev --from NAME",
    "refresh": "refresh",
    "start": "start",
    "stop": "stop",
    "restart": "restart",
    "scale": "scale",
    "down": "down",
    "build": "build",
    "pull": "pull",
    "images": "images",
    "images-prune": "images prune",
    "push": "push",
    "export": "export KIND FOLDER",
    "deploy": "deploy --to PLACE",
    "pipeline": "pipeline",
    "suspend": "suspend",
    "resume": "resume",
    "halt": "halt",
    "destroy": "destroy",
    "seed": "seed",
    "verify": "verify",
    "snapshot": "snapshot NAME",
    "restore": "restore NAME",
    "remove-snapshot": "snapshots prune NAME",
    "box-export": "box export FILE",
    "box-import": "box import FILE",
    "box-prune": "box prune",
}
SHOWN_PHASES = 3
FORM = "hashlab report --budget refresh=3"


@dataclass(frozen=True)
class Comparison:
    """A budget in seconds, and the run that is measured; None: no successful run is recorded."""

    command: str
    budget: float
    run: RunRecord | None

    @property
    def ok(self) -> bool:
        """True if the run took no longer."""
        return self.run is not None and self.run.seconds <= self.budget


def read_budgets(arguments: Sequence[str], known: Iterable[str] = ()) -> dict[str, float]:
    """Return seconds by command from arguments such as ``refresh=3`` or ``refresh=3,dev=30``.

    ``known``: further names of commands, those in records. Raises UsageError.
    """
    names = sorted({*RECORDED, *known})
    budgets: dict[str, float] = {}
    for argument in ",".join(arguments).split(",") if arguments else ():
        name, sign, number = (part.strip() for part in argument.partition("="))
        if not (name and sign):
            raise UsageError(f"--budget {argument!r} is not COMMAND=SECONDS", next_step=FORM)
        if name not in names:
            raise UsageError(f"--budget: unknown command {name!r}", next_step=_meant(name, names))
        if not re.fullmatch(r"\d{1,7}(\.\d{1,6})?", number, re.ASCII) or float(number) == 0:
            what = f"--budget {argument!r}: {number!r} is not a valid number of seconds"
            raise UsageError(what, next_step=FORM)
        if name in budgets:
            raise UsageError(f"--budget has {name} twice", next_step=FORM)
        budgets[name] = float(number)
    return budgets


def _meant(name: str, names: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, names, n=1)
    return f"perhaps you meant: {close[0]}" if close else f"one of: {', '.join(names)}"


def compare(budgets: Mapping[str, float], runs: Sequence[RunRecord]) -> list[Comparison]:
    """Compare the last successful run of each command with its budget; ``runs``: oldest first."""
    last = {run.command: run for run in runs if run.ok}
    return [Comparison(name, budget, last.get(name)) for name, budget in budgets.items()]


def over_budget(comparisons: Sequence[Comparison], page: str) -> LabError | None:
    """Return one error for all budgets that were exceeded; None if none was."""
    late = [each for each in comparisons if not each.ok]
    if not late:
        return None
    missing = [each.command for each in late if each.run is None]
    return LabError(
        "; ".join(_message(each) for each in late),
        output="\n".join(_most(each) for each in late if each.run),
        next_step=_next(missing, page),
    )


def _message(late: Comparison) -> str:
    if late.run is None:
        return f"no successful run of {late.command} is recorded to compare with {late.budget:g} s"
    when = f"on {late.run.provider}, {iso_time(late.run.started)}"
    took = f"took {seconds(late.run.seconds)} s"
    return f"{late.command} {took}, its budget is {late.budget:g} s ({when})"


def _most(late: Comparison) -> str:
    """Return the phases that took the most, without their parts."""
    rows = [row for row in late.run.phases if row.depth == 0] if late.run else []
    rows = sorted(rows, key=lambda row: -row.seconds)[:SHOWN_PHASES]
    return f"most of {late.command}: " + ", ".join(
        f"{title(row)} {seconds(row.seconds)} s" for row in rows
    )


def _next(missing: Sequence[str], page: str) -> str:
    """Return the next step: run the missing command, or open the page about a slow one."""
    if missing:
        return f"run it, then repeat this command: hashlab {RECORDED.get(missing[0], missing[0])}"
    return f"see what took the time: {page}"
