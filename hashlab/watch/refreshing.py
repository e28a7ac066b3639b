"""One refresh of `hashlab watch`: in the lab's background process, or else in this one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from hashlab import errors
from hashlab.daemon import client
from hashlab.documents import to_json
from hashlab.documents.run import Cause
from hashlab.errors import ConfigError, HashlabError, Interrupted, LabError
from hashlab.pipeline import RunResult
from hashlab.report import round_report
from hashlab.report.runs import read_record
from hashlab.run import workflows
from hashlab.run.execution import Options, Run, perform
from hashlab.run.wiring import Warm
from hashlab.state.private import STATE

COMMAND = "refresh"


class Upgraded(Exception):
    """The background process has newer code than this process."""


class Refresher:
    """Refreshes the lab in ``folder``. Warm state for refreshes in this process is made at the
    first of them.
    """

    def __init__(self, options: Options, folder: Path) -> None:
        self._options = replace(options, lab=folder)
        self._folder = folder
        self._warm: Warm | None = None

    def refresh(self) -> Run:
        """Refresh once. Raises HashlabError if no run could begin, and Upgraded."""
        options = self._options
        values = {
            "lab": str(self._folder),
            # This process has put them into its environment, which the request contains.
            "file": (),
            "profile": (),
            "provider": options.provider or "",
            "json": options.json,
            "verbose": options.verbose,
        }
        answer = client.answer_to(str(self._folder), client.ROUND, COMMAND, values)
        if "gone" in answer:
            raise LabError(
                "the lab's background process is gone",
                where=f"{STATE}/{client.LOG}",
                next_step="hashlab watch refreshes at the next save",
            )
        if answer.get("refused") == client.OLDER:
            raise Upgraded
        return _run_of(answer) if "code" in answer else self._here()

    def _here(self) -> Run:
        self._warm = self._warm or Warm()
        return _refresh(replace(self._options, warm=self._warm))

    def close(self) -> None:
        """Release the warm state of this process."""
        if self._warm:
            self._warm.close()


def _refresh(options: Options) -> Run:
    return perform(
        COMMAND,
        lambda world: [workflows.REFRESH],
        options,
        lambda: round_report(options.people, verbose=options.verbose),
    )


def round_trip(options: Options) -> dict[str, Any]:
    """Refresh once, in the background process; return the answer to the Refresher."""
    try:
        run = _refresh(options)
    except HashlabError as refused:
        return {"code": int(refused.exit_code), "error": error_json(refused)}
    error = run.result.error
    return {
        "code": int(error.exit_code) if error else 0,
        "error": error_json(error) if error else None,
        "record": to_json(run.record),
        "notes": run.notes,
        "causes": to_json(run.causes),
    }


def _run_of(answer: Mapping[str, Any]) -> Run:
    """Return the run that an answer describes. Raises HashlabError if none could begin."""
    error = error_of(answer["error"]) if answer.get("error") else None
    if "record" not in answer:
        if answer["code"] == client.INTERRUPTED:
            raise Interrupted("interrupted. Half done: nothing")
        raise error or SystemExit(answer["code"])  # after a bug, its traceback has been shown
    record = read_record(answer["record"])
    result = RunResult(record.phases, record.started, record.seconds, error)
    causes = tuple(Cause(cause["what"], tuple(cause["files"])) for cause in answer["causes"])
    return Run(result, record, tuple(answer["notes"]), {}, causes)


_ERRORS: Mapping[str, type[HashlabError]] = {
    kind.__name__: kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, HashlabError)
}
_FIELDS = ("what", "where", "output", "next_step")


def error_json(error: HashlabError) -> dict[str, str]:
    """Return an error as JSON that `error_of` reads."""
    return {"kind": type(error).__name__, **{name: getattr(error, name) for name in _FIELDS}}


def error_of(value: Mapping[str, str]) -> HashlabError:
    """Return the error that was sent as JSON."""
    what, *rest = (value[name] for name in _FIELDS)
    fields = dict(zip(_FIELDS[1:], rest, strict=True))
    kind = _ERRORS.get(value["kind"], LabError)
    if issubclass(kind, ConfigError):
        error: HashlabError = ConfigError([])
        error.what = what
        return error
    return kind(what, **fields)
