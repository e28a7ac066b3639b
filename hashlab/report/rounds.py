"""Shows each round trip of `hashlab watch`: a line for people, a document for programs."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from typing import TextIO

from hashlab.documents import to_json
from hashlab.documents.run import RoundTrip, RunRecord, failure
from hashlab.errors import HashlabError
from hashlab.pipeline import Listener, Row
from hashlab.report.base import Silent, make_report
from hashlab.report.formats import Tone, one_line, seconds
from hashlab.report.summary import show_error
from hashlab.report.terminal import is_rich, show
from hashlab.report.view import Cell, Lines

MOST_FILES = 5
SHOWN_FILES = 2
MOST_NAMES = 8
SAVED = "saved"
# The reason that `containers` gives if only the build changed.
USUAL = "its build changed"


@dataclass(frozen=True)
class Round:
    """A finished round trip. ``ended``: Unix time; ``seconds``: from the first save to the end of
    the refresh; ``because``: what started it; ``files`` (relative to the lab): those that caused
    it; ``record``: that of the run, None if none could begin.
    """

    ended: float
    seconds: float
    because: str
    files: Sequence[str]
    rows: Sequence[Row] = ()
    record: RunRecord | None = None
    error: HashlabError | None = None

    @property
    def done(self) -> list[str]:
        """Return what was done, as in the line; empty if nothing had changed."""
        return [change for row in self.rows if (change := _change(row))]


def round_report(stream: TextIO, *, verbose: bool) -> AbstractContextManager[Listener]:
    """Return the report of a running refresh: on a terminal a live tree that disappears."""
    if verbose or is_rich(stream):
        return make_report(stream, verbose=verbose)
    return nullcontext(Silent())


class Rounds:
    """Shows round trips to people and, if ``document`` is given, to programs. The same failure is
    shown in full only once.
    """

    def __init__(self, people: TextIO, *, document: Callable[[str], None] | None = None) -> None:
        self._people = people
        self._document = document
        self._last_failure: frozenset[str] = frozenset()
        self._notes: set[str] = set()

    def tell(self, over: Round) -> None:
        """Show the line of a round trip and, below it, a new failure. Show nothing if the same
        failure recurs without a save.
        """
        # Failures that happen at the same time come in any order.
        failure = frozenset() if over.error is None else frozenset(str(over.error).splitlines())
        again = bool(failure) and failure == self._last_failure
        if again and over.because != SAVED:
            return
        self._last_failure = failure
        show([Lines((_line(over, again=again),))], self._people)
        if over.error is not None and not again:
            show_error(over.error, self._people)
        if self._document is not None:
            self._document(json.dumps(to_json(round_document(over))))

    def say(self, text: str) -> None:
        """Show a line that belongs to no round trip."""
        show([Lines((Cell(text, "dim"),))], self._people)

    def watching(self, lab: str, names: Sequence[str]) -> None:
        """Show what is watched and how to end it."""
        more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
        self.say(f"{lab}: watching {', '.join(names[:MOST_NAMES])}{more}. Ctrl-C ends it.")

    def note(self, notes: Sequence[str]) -> None:
        """Show each note once while the command runs."""
        for note in notes:
            if note not in self._notes:
                self._notes.add(note)
                show([Lines((Cell(f"  {note}", "warn"),))], self._people)


def round_document(over: Round) -> RoundTrip:
    """Return the document of a round trip."""
    return RoundTrip(
        ended=over.ended,
        seconds=over.seconds,
        because=over.because,
        files=tuple(over.files[:MOST_FILES]),
        more=max(0, len(over.files) - MOST_FILES),
        ok=over.error is None,
        done=tuple(over.done),
        error=failure(over.error),
        run=over.record,
    )


def _line(over: Round, *, again: bool) -> Cell:
    tone: Tone = "plain" if over.done else "dim"
    what = ", ".join(over.done) or "nothing changed"
    if over.error is not None:
        what = ", ".join([*over.done, "failed as before" if again else "failed"])
        tone = "bad"
    clock = datetime.fromtimestamp(over.ended).strftime("%H:%M:%S")
    return Cell(f"{clock} {seconds(over.seconds):>7} s  {what}  ({_why(over)})", tone)


def _why(over: Round) -> str:
    shown = ", ".join(over.files[:SHOWN_FILES])
    more = len(over.files) - SHOWN_FILES
    files = f"{shown} and {more} more" if more > 0 else shown
    if over.because == SAVED and files:
        return files
    return f"{over.because}: {files}" if files else over.because


def _change(row: Row) -> str:
    """Return what a row changed in the lab, in a few words; "" if it changed nothing."""
    detail = one_line(row.detail)
    if row.status != "ok" or detail == "recorded":
        return ""
    if row.name == "container":
        what, _, why = detail.partition(": ")
        return f"{row.service} {what}" + (f" ({why})" if why and why != USUAL else "")
    if row.name == "upload":
        return " and ".join(_counted(part, row.machine or "") for part in detail.split(", "))
    if row.name == "images":
        return f"image {detail.removeprefix('sent ')} sent to {row.machine}"
    removed = [part for part in detail.split(", ") if part.endswith(" removed")]
    return removed[0] if row.name == "containers" and removed else ""


def _counted(part: str, machine: str) -> str:
    """``2 sent`` → ``2 files sent to web``."""
    count, _, verb = part.partition(" ")
    where = "to" if verb == "sent" else "on"
    return f"{count} file{'' if count == '1' else 's'} {verb} {where} {machine}"
