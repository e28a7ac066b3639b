"""The one family of expected failures. Each says what failed and where, shows the end of the
output, and names the next step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path


class ExitCode(IntEnum):
    """Exit codes of every command; documented in docs/reference/exit-codes.md."""

    OK = 0
    CONFIG = 2
    LAPTOP = 3
    LAB = 4
    LOCKED = 5
    INTERRUPTED = 130


@dataclass(frozen=True, order=True)
class Problem:
    """One mistake in a file the user wrote.

    ``file`` is shown as the user would type it, ``line`` counts from 1 (0: the file as a whole).
    """

    file: str
    line: int
    message: str
    hint: str = ""

    def __str__(self) -> str:
        return _text(self.file, [self.line], self.message, self.hint)


class HashlabError(Exception):
    """A failure that hashlab expects and explains. Never raised for hashlab's own bugs."""

    exit_code = ExitCode.LAB

    def __init__(
        self, what: str, *, where: str = "", output: str = "", next_step: str = ""
    ) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.output = output
        self.next_step = next_step

    def __str__(self) -> str:
        parts = [f"{self.where}: {self.what}" if self.where else self.what]
        if self.output:
            parts.append("\n".join(f"    {line}" for line in tail(self.output).splitlines()))
        if self.next_step:
            parts.append(f"Next: {self.next_step}")
        return "\n".join(parts)


class ConfigError(HashlabError):
    """The user's files are wrong; every problem is listed at once.

    ``sources``: all files that were read, or whose absence was noticed.
    """

    exit_code = ExitCode.CONFIG

    def __init__(self, problems: list[Problem], *, sources: Sequence[Path] = ()) -> None:
        ordered = sorted(set(problems))
        super().__init__("\n".join(_one_per_cause(ordered)))
        self.problems = tuple(ordered)
        self.sources = tuple(sources)


def _one_per_cause(problems: Sequence[Problem]) -> list[str]:
    """Return the text of each problem; equal ones of one file are one text with all their lines."""
    lines: dict[tuple[str, str, str], list[int]] = {}
    for each in problems:
        lines.setdefault((each.file, each.message, each.hint), []).append(each.line)
    return [_text(file, lines[file, message, hint], message, hint) for file, message, hint in lines]


def _text(file: str, lines: Sequence[int], message: str, hint: str) -> str:
    place = f"{file}:{', '.join(map(str, lines))}" if lines[0] else file
    return f"{place}: {message}.{f' {hint}' if hint else ''}"


class UsageError(HashlabError):
    """A command was typed with arguments that make no sense."""

    exit_code = ExitCode.CONFIG


class LaptopError(HashlabError):
    """The laptop lacks something: a tool, memory, disk, a running daemon."""

    exit_code = ExitCode.LAPTOP


class StoreError(LaptopError):
    """The log store does not answer, or cannot take what it is given."""


class LabError(HashlabError):
    """A machine, container, build or check of the lab failed."""

    exit_code = ExitCode.LAB


class EngineStopped(LabError):
    """A machine answers, but its Docker Engine is stopped and will not start by itself."""


class EngineHangs(EngineStopped):
    """A machine answers, and its Docker Engine runs, but does not answer: only a restart helps."""


class FilesChanged(LabError):
    """Files on the laptop kept changing while they were read. The run is repeated."""


class LockedError(HashlabError):
    """Another run holds the lab."""

    exit_code = ExitCode.LOCKED


class Interrupted(HashlabError):
    """The user pressed Ctrl-C; the message names what is half done."""

    exit_code = ExitCode.INTERRUPTED


def tail(text: str, *, lines: int = 20) -> str:
    """Return the last ``lines`` lines of ``text``, without the empty lines at its end."""
    return "\n".join(text.rstrip().splitlines()[-lines:])
