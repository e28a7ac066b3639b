"""The record of a run, the round trips of `watch`, and the refusal of a command."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from hashlab.errors import ExitCode, HashlabError, tail
from hashlab.pipeline import UNIX_TIME, Row, RunResult

SHOWN_FILES = 5
OUTPUT_LINES = 200
# The detail of a service's row begins with this if its process took the changes in.
RELOADED = "reloaded"


@dataclass(frozen=True)
class Cause:
    """Why a run had something to do: ``what`` changed, by these ``files`` (relative to the lab).
    A record names the first few of them; ``more`` counts the others.
    """

    what: str
    files: tuple[str, ...] = ()
    more: int = 0

    def shortened(self) -> Cause:
        """Return the cause as a record has it."""
        shown = self.files[:SHOWN_FILES]
        return replace(self, files=shown, more=self.more + len(self.files) - len(shown))


@dataclass(frozen=True)
class Failure:
    """The failure of a run: the message of its error."""

    what: str
    where: str = ""
    output: str = ""
    next_step: str = ""
    exit_code: int = 0


@dataclass(frozen=True)
class RunRecord:
    """One run. ``started``: Unix time; ``peak_memory``: bytes; ``causes`` None: the record comes
    from a version that did not write them.
    """

    command: str
    lab: str
    provider: str
    started: float = field(metadata=UNIX_TIME)
    seconds: float
    ok: bool
    peak_memory: int
    causes: tuple[Cause, ...] | None
    phases: tuple[Row, ...]
    error: Failure | None

    @property
    def interrupted(self) -> bool:
        """True if the user ended it."""
        return self.error is not None and self.error.exit_code == ExitCode.INTERRUPTED

    @property
    def is_swap(self) -> bool:
        """True if running processes took in all that it changed in containers."""
        changed = [row for row in self.phases if row.name == "container" and row.status == "ok"]
        return bool(changed) and all(row.detail.startswith(RELOADED) for row in changed)


@dataclass(frozen=True)
class RoundTrip:
    """One round trip of `watch`. ``ended``: Unix time; ``run`` None: no run could begin."""

    ended: float = field(metadata=UNIX_TIME)
    seconds: float
    because: str
    files: tuple[str, ...]
    more: int
    ok: bool
    done: tuple[str, ...]
    error: Failure | None
    run: RunRecord | None


@dataclass(frozen=True)
class Refusal:
    """The answer of a command that could not begin."""

    ok: bool
    error: Failure


def run_record(
    command: str,
    lab: str,
    provider: str,
    result: RunResult,
    *,
    peak_memory: int = 0,
    causes: Sequence[Cause] = (),
) -> RunRecord:
    """Return the record of a run; ``peak_memory`` in bytes, ``causes`` with all their files."""
    return RunRecord(
        command=command,
        lab=lab,
        provider=provider,
        started=result.started,
        seconds=result.seconds,
        ok=result.ok,
        peak_memory=peak_memory,
        causes=tuple(cause.shortened() for cause in causes),
        phases=result.rows,
        error=failure(result.error),
    )


def failure(error: HashlabError | None) -> Failure | None:
    """Return the message of an error as a document; None for none."""
    return None if error is None else _failure(error)


def refusal(error: HashlabError) -> Refusal:
    """Return the document of a command that could not begin."""
    return Refusal(False, _failure(error))


def _failure(error: HashlabError) -> Failure:
    return Failure(
        what=error.what,
        where=error.where,
        output=tail(error.output, lines=OUTPUT_LINES),
        next_step=error.next_step,
        exit_code=int(error.exit_code),
    )
