"""`hashlab report`: write a page of past runs, and check budgets."""

from __future__ import annotations

import sys

from hashlab.commands import LAB, TYPE_CHECKING, Command, Option

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hashlab.report.runs import Runs
    from hashlab.run.execution import Options
    from hashlab.state.files import StateFolder

COMMAND = Command(
    "Write a page of past runs: where the time went.",
    text="Reads the records of past runs, and prints the path of the page. It contacts nothing "
    "and works while the lab's files are broken.",
    examples=[
        ("Write the page and open it", "xdg-open $(hashlab report)"),
        ("Fail if the last good refresh took over 3 s", "hashlab report --budget refresh=3"),
    ],
    exits=(0, 2, 3, 4, 130),
    options=[
        Option(
            "output",
            "File to write the page to; by default .hashlab/report.html.",
            short="o",
            value="FILE",
            complete="file",
        ),
        Option(
            "budget",
            "Fail if the command's last good run took longer, in seconds. Repeatable.",
            short="b",
            value="COMMAND=SECONDS",
            many=True,
        ),
        Option(
            "provider",
            "Show only runs on this provider.",
            short="p",
            value="NAME",
            complete="provider",
        ),
        Option(
            "json",
            "Print what the page shows as one JSON document, instead of the page's path.",
            short="j",
        ),
    ],
    common=(LAB,),
)


def run(options: Options, *, output: str, budget: Sequence[str]) -> int:
    """Write the page of the recorded runs and print its path, or the same as one document.

    It reads and writes files only, so it needs no lock. A budget that was not kept is a failure of
    the lab; the page is written all the same.
    """
    import time
    from pathlib import Path

    from hashlab.documents import json_text
    from hashlab.errors import ExitCode, HashlabError
    from hashlab.report import show_error
    from hashlab.report.budget import compare, over_budget, read_budgets
    from hashlab.report.findings import report_document
    from hashlab.report.page import page
    from hashlab.report.runs import read_runs
    from hashlab.report.terminal import write_value
    from hashlab.run import execution
    from hashlab.run.labs import state_of

    try:
        state = state_of(options.lab)
        found = read_runs(state.runs, provider=_provider(options.provider))
        budgets = read_budgets(budget, known=[run.command for run in found.runs])
        path = _target(Path(output) if output else None, state)
        compared = compare(budgets, found.runs)
        late = over_budget(compared, page=str(path))
        document = report_document(
            found, made=time.time(), page=str(path), budgets=compared, error=late
        )
        _write(path, page(document))
    except HashlabError as error:
        return execution.fail(error, options)
    if options.json:
        print(json_text(document))
    else:
        write_value(sys.stdout, str(path))
    _report_skipped(found)
    if late is None:
        return ExitCode.OK
    show_error(late, stream=sys.stderr)
    return late.exit_code


def _provider(name: str | None) -> str | None:
    """The provider whose runs are shown; None: all providers."""
    from hashlab.config.providers import AUTO, unknown_provider
    from hashlab.errors import UsageError

    if name is None or name == AUTO:
        return None
    if wrong := unknown_provider(name):
        raise UsageError(wrong[0], next_step=wrong[1])
    return name


def _target(output: Path | None, state: StateFolder) -> Path:
    from hashlab.errors import UsageError

    path = state.page if output is None else output.absolute()
    if path.is_dir():
        raise UsageError(
            f"--output {output} is a folder",
            next_step=f"name a file in it: {path / 'report.html'}",
        )
    return path


def _write(path: Path, text: str) -> None:
    from hashlab.errors import LaptopError
    from hashlab.state.files import write_text

    try:
        write_text(path, text)
    except LaptopError as error:
        raise LaptopError(
            f"the page can't be written: {error.what}",
            where=error.where,
            next_step=f"{error.next_step}; or name another file: hashlab report --output FILE",
        ) from error


def _report_skipped(found: Runs) -> None:
    """Report broken records on stderr too; a script that reads only stdout is not disturbed."""
    if found.skipped:
        files = "1 file" if len(found.skipped) == 1 else f"{len(found.skipped)} files"
        print(f"{files} skipped: not a complete run record", file=sys.stderr)
