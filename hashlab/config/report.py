"""Collect problems and notes while files are read, so that all of them are shown at once."""

from __future__ import annotations

from pathlib import Path

from hashlab.config.nodes import file_of
from hashlab.errors import Problem

_LONGEST = 300
MAX_SUBSTITUTED = 4_000_000


class Wrong(Exception):
    """One value cannot be used. The reader of the surrounding list or mapping reports it."""

    def __init__(self, line: int, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.line = line
        self.message = message
        self.hint = hint


class Reported(Wrong):
    """A value cannot be used because of a problem that is already reported."""

    def __init__(self) -> None:
        super().__init__(0, "reported already")


class Spending:
    """Counts the characters that variables have expanded to, in all files of a lab."""

    def __init__(self) -> None:
        self._spent = 0

    def add(self, characters: int, line: int) -> None:
        """Add a number of characters. Raises Wrong if the total is too large."""
        self._spent += characters
        if self._spent > MAX_SUBSTITUTED:
            message = f"variables expand to more than {MAX_SUBSTITUTED:,} characters in all"
            raise Wrong(line, message, "Use fewer variables that contain other variables.")


class Report:
    """Problems and notes of one file. ``for_file`` makes the report of another file of the same
    lab; a line that knows its file (``nodes.Line``) needs none.

    ``flaws`` counts invalid values, so that no second problem is reported for them. ``sources``:
    the files that were read, or whose absence was noticed.
    """

    def __init__(
        self,
        file: str,
        problems: list[Problem] | None = None,
        noted: dict[tuple[str, str], list[int]] | None = None,
        sources: list[Path] | None = None,
    ) -> None:
        self.file = file
        self.problems: list[Problem] = [] if problems is None else problems
        self._noted: dict[tuple[str, str], list[int]] = {} if noted is None else noted
        self.sources: list[Path] = [] if sources is None else sources
        self.flaws = 0
        self.spending = Spending()
        self._inactive = False

    def for_file(self, file: str) -> Report:
        """Return a report for ``file`` that adds to the same problems and notes."""
        report = Report(file, self.problems, self._noted, self.sources)
        report.spending = self.spending
        report._inactive = self._inactive
        return report

    def of_inactive(self) -> Report:
        """Return a report for a service that no selected profile has: its problems are notes."""
        report = self.for_file(self.file)
        report._inactive = True
        return report

    def add_source(self, path: Path) -> None:
        """Record that the result depends on this file, whether it exists or not."""
        if path not in self.sources:
            self.sources.append(path)

    def add(self, line: int, message: str, hint: str = "") -> None:
        """Add a problem. ``message`` has no full stop; ``hint`` is a sentence."""
        self.flaws += 1
        if len(message) > _LONGEST:
            message = f"{message[: _LONGEST // 2]} … {message[-_LONGEST // 4 :]}"
        if self._inactive:
            self.note(line, f"in a service of a profile that is not active: {message}")
        else:
            self.problems.append(Problem(file_of(line) or self.file, int(line), message, hint))

    def add_wrong(self, wrong: Wrong) -> None:
        """Add the problem of a value. If it is already reported, only count it."""
        if isinstance(wrong, Reported):
            self.flaws += 1
        else:
            self.add(wrong.line, wrong.message, wrong.hint)

    def note(self, line: int, message: str) -> None:
        """Add a harmless fact that the user may want to know."""
        lines = self._noted.setdefault((file_of(line) or self.file, message), [])
        if line not in lines:
            lines.append(line)

    @property
    def notes(self) -> tuple[str, ...]:
        """All notes, each with all its lines: "compose.yaml:3, 9: …"; line 0 is the whole file."""
        return tuple(
            f"{_place(file, lines)}: {message}" for (file, message), lines in self._noted.items()
        )


def _place(file: str, lines: list[int]) -> str:
    known = ", ".join(str(line) for line in sorted(lines) if line)
    return f"{file}:{known}" if known else file


def suggestion(word: str, known: list[str], *, otherwise: str = "") -> str:
    """Return "Perhaps you meant 'x'." for the most similar of ``known``, or ``otherwise``."""
    from difflib import get_close_matches  # noqa: PLC0415 - imported only for wrong files

    close = get_close_matches(word, known, n=1, cutoff=0.6)
    return f"Perhaps you meant '{close[0]}'." if close else otherwise
