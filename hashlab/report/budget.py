"""Budgets: how long the last good run of a command may have taken."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from hashlab.documents import iso_time
from hashlab.documents.run import RunRecord
from hashlab.errors import LabError, UsageError
from hashlab.report.words import seconds, title

# Commands that leave a record, those of docs/reference/json.md, and what is typed to run them.
RECORDED = {
    "init-box": "init-box",
    "dev": "dev",
    "dev-replace": "dev --replace",
    "dev-from": "dev --from NAME",
    "refresh": "refresh",
    "destroy": "destroy",
    "seed": "seed",
    "verify": "verify",
    "snapshot": "snapshot NAME",
    "restore": "restore NAME",
    "remove-snapshot": "snapshots --remove NAME",
    "box-export": "box export FILE",
    "box-import": "box import FILE",
    "box-prune": "box prune",
}
SHOWN_PHASES = 3
FORM = "hashlab report --budget refresh=3"


@dataclass(frozen=True)
class Spent:
    """A budget in seconds, and the run that was measured; None: no good run is recorded."""

    command: str
    budget: float
    run: RunRecord | None

    @property
    def ok(self) -> bool:
        """Whether the run kept to it."""
        return self.run is not None and self.run.seconds <= self.budget


def read_budgets(words: Sequence[str], known: Iterable[str] = ()) -> dict[str, float]:
    """Command → seconds, of words as ``refresh=3`` or ``refresh=3,dev=30``.

    ``known``: names that are commands although hashlab does not know them. Raises UsageError.
    """
    names = sorted({*RECORDED, *known})
    budgets: dict[str, float] = {}
    for word in ",".join(words).split(",") if words else ():
        name, sign, number = (part.strip() for part in word.partition("="))
        if not (name and sign):
            raise UsageError(f"--budget {word!r} is not COMMAND=SECONDS", next_step=FORM)
        if name not in names:
            raise UsageError(f"--budget names no command {name!r}", next_step=_meant(name, names))
        if not re.fullmatch(r"\d{1,7}(\.\d{1,6})?", number, re.ASCII) or float(number) == 0:
            what = f"--budget {word!r}: {number!r} is no number of seconds"
            raise UsageError(what, next_step=FORM)
        if name in budgets:
            raise UsageError(f"--budget names {name} twice", next_step=FORM)
        budgets[name] = float(number)
    return budgets


def _meant(name: str, names: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, names, n=1)
    return f"perhaps you meant: {close[0]}" if close else f"one of: {', '.join(names)}"


def spent(budgets: Mapping[str, float], runs: Sequence[RunRecord]) -> list[Spent]:
    """Hold the last good run of each command against its budget; ``runs``: oldest first."""
    last = {run.command: run for run in runs if run.ok}
    return [Spent(name, budget, last.get(name)) for name, budget in budgets.items()]


def over_budget(all_spent: Sequence[Spent], page: str) -> LabError | None:
    """One failure for all budgets that were not kept; None when all were."""
    late = [one for one in all_spent if not one.ok]
    if not late:
        return None
    missing = [one.command for one in late if one.run is None]
    return LabError(
        "; ".join(_said(one) for one in late),
        output="\n".join(_most(one) for one in late if one.run),
        next_step=_next(missing, page),
    )


def _said(one: Spent) -> str:
    if one.run is None:
        return f"no good run of {one.command} is recorded to hold against {one.budget:g} s"
    when = f"on {one.run.provider}, {iso_time(one.run.started)}"
    took = f"took {seconds(one.run.seconds)} s"
    return f"{one.command} {took}, its budget is {one.budget:g} s ({when})"


def _most(one: Spent) -> str:
    """The phases that took the most; parts are in their phases."""
    rows = [row for row in one.run.phases if row.depth == 0] if one.run else []
    rows = sorted(rows, key=lambda row: -row.seconds)[:SHOWN_PHASES]
    return f"most of {one.command}: " + ", ".join(
        f"{title(row)} {seconds(row.seconds)} s" for row in rows
    )


def _next(missing: Sequence[str], page: str) -> str:
    """A run that is missing must be made; of one that was slow the page tells more."""
    if missing:
        return f"run it, then ask again: hashlab {RECORDED.get(missing[0], missing[0])}"
    return f"see what took the time: {page}"
