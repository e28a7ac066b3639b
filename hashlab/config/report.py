"""Collects problems and notes while files are read, so that all of them are shown at once."""

from __future__ import annotations

from pathlib import Path

from hashlab.errors import Problem

_LONGEST = 300
MAX_SUBSTITUTED = 4_000_000


class Wrong(Exception):
    """One value cannot be used; whoever reads the surrounding list or mapping reports it."""

    def __init__(self, line: int, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.line = line
        self.message = message
        self.hint = hint


class Reported(Wrong):
    """A value that cannot be used because of a problem that is reported already."""

    def __init__(self) -> None:
        super().__init__(0, "reported already")


class Spending:
    """Counts the characters that variables of all files of a lab have become."""

    def __init__(self) -> None:
        self._spent = 0

    def add(self, characters: int, line: int) -> None:
        """Raise Wrong when it is too much in all."""
        self._spent += characters
        if self._spent > MAX_SUBSTITUTED:
            message = f"variables become more than {MAX_SUBSTITUTED:,} characters in all"
            raise Wrong(line, message, "Use fewer variables that hold other variables.")


class Report:
    """Problems and notes of one file; ``beside`` gives a report of another file of the same lab.

    ``flaws`` counts values that could not be used, so that no second problem is made of them;
    ``sources`` are the files that were read or looked for.
    """

    def __init__(
        self,
        file: str,
        problems: list[Problem] | None = None,
        notes: list[str] | None = None,
        sources: list[Path] | None = None,
    ) -> None:
        self.file = file
        self.problems: list[Problem] = [] if problems is None else problems
        self.notes: list[str] = [] if notes is None else notes
        self.sources: list[Path] = [] if sources is None else sources
        self.flaws = 0
        self.spending = Spending()

    def beside(self, file: str) -> Report:
        """Return a report for ``file`` that adds to the same problems and notes."""
        report = Report(file, self.problems, self.notes, self.sources)
        report.spending = self.spending
        return report

    def looks_at(self, path: Path) -> None:
        """Remember that what is said depends on this file, be it there or not."""
        if path not in self.sources:
            self.sources.append(path)

    def add(self, line: int, message: str, hint: str = "") -> None:
        """Add a problem; ``message`` without a full stop, ``hint`` a sentence."""
        self.flaws += 1
        if len(message) > _LONGEST:
            message = f"{message[: _LONGEST // 2]} … {message[-_LONGEST // 4 :]}"
        self.problems.append(Problem(self.file, line, message, hint))

    def add_wrong(self, wrong: Wrong) -> None:
        """Add what a reader could not use; only count it when it is reported already."""
        if isinstance(wrong, Reported):
            self.flaws += 1
        else:
            self.add(wrong.line, wrong.message, wrong.hint)

    def note(self, line: int, message: str) -> None:
        """Add something harmless the user may want to know, once."""
        note = f"{self.file}:{line}: {message}"
        if note not in self.notes:
            self.notes.append(note)


def suggestion(word: str, known: list[str], *, otherwise: str = "") -> str:
    """Return "Perhaps you meant 'x'." for the nearest of ``known``, or ``otherwise``."""
    from difflib import get_close_matches  # noqa: PLC0415 - only wrong files pay for it

    close = get_close_matches(word, known, n=1, cutoff=0.6)
    return f"Perhaps you meant '{close[0]}'." if close else otherwise
