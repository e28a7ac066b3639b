"""The command `report`: the page of past runs, and whether the last ones kept to a budget."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hashlab.config.providers import AUTO, unknown_provider
from hashlab.documents import json_text
from hashlab.errors import ExitCode, HashlabError, LaptopError, UsageError
from hashlab.report import show_error
from hashlab.report.budget import compare, over_budget, read_budgets
from hashlab.report.findings import report_document
from hashlab.report.page import page
from hashlab.report.runs import Runs, read_runs
from hashlab.report.terminal import write_value
from hashlab.run.execution import Options, fail
from hashlab.run.labs import state_of
from hashlab.state.files import StateFolder, write_text


@dataclass(frozen=True)
class ReportOptions:
    """Where the page goes (None: into `.hashlab`), and budgets as typed: ``refresh=3``."""

    output: Path | None = None
    budgets: Sequence[str] = ()


def report(wanted: ReportOptions, options: Options) -> ExitCode:
    """Write the page of the recorded runs and print its path, or the same as one document.

    It reads and writes files only, so it needs no lock. A budget that was not kept is a failure of
    the lab; the page is written all the same.
    """
    try:
        state = state_of(options.lab)
        found = read_runs(state.runs, provider=_provider(options.provider))
        budgets = read_budgets(wanted.budgets, known=[run.command for run in found.runs])
        path = _target(wanted.output, state)
        compared = compare(budgets, found.runs)
        late = over_budget(compared, page=str(path))
        document = report_document(
            found, made=time.time(), page=str(path), budgets=compared, error=late
        )
        _write(path, page(document))
    except HashlabError as error:
        return fail(error, options)
    if options.json:
        print(json_text(document))
    else:
        write_value(sys.stdout, str(path))
    _say_skipped(found)
    if late is None:
        return ExitCode.OK
    show_error(late, stream=sys.stderr)
    return late.exit_code


def _provider(name: str | None) -> str | None:
    """The provider of whose runs to tell; None: of all."""
    if name is None or name == AUTO:
        return None
    if wrong := unknown_provider(name):
        raise UsageError(wrong[0], next_step=wrong[1])
    return name


def _target(output: Path | None, state: StateFolder) -> Path:
    path = state.page if output is None else output.absolute()
    if path.is_dir():
        raise UsageError(
            f"--output {output} is a folder",
            next_step=f"name a file in it: {path / 'report.html'}",
        )
    return path


def _write(path: Path, text: str) -> None:
    try:
        write_text(path, text)
    except LaptopError as error:
        raise LaptopError(
            f"the page can't be written: {error.what}",
            where=error.where,
            next_step=f"{error.next_step}; or name another place: hashlab report --output FILE",
        ) from error


def _say_skipped(found: Runs) -> None:
    """The page says it too; a script that reads only stdout is not disturbed."""
    if found.skipped:
        files = "1 file" if len(found.skipped) == 1 else f"{len(found.skipped)} files"
        print(f"{files} skipped: not a complete run record", file=sys.stderr)
