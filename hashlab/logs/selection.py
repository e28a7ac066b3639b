"""The log lines that a command line asks for, and the arguments of journalctl for them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from hashlab.config.model import Lab
from hashlab.documents.logs import LEVELS, Level, LogLine
from hashlab.errors import UsageError
from hashlab.logs.entries import FIELDS, Entry

DURATION = re.compile(r"(?:\d+(?:\.\d+)?[smhd])+")
AMOUNT = re.compile(r"(\d+(?:\.\d+)?)([smhd])")
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
# The value of --since that stands for the last run that changed a service.
REFRESH = "refresh"
# Lines that --follow shows before it waits for new ones.
FOLLOW_TAIL = 20
# The last lines are asked for with this many before them, for the first may be the end of a trace.
TRACE_LINES = 100


@dataclass(frozen=True)
class Selection:
    """The lines that are wanted. ``since``, ``until``: Unix times; ``tail``: only the last ones;
    ``units``: systemd units of the machines, instead of services; ``everything``: of both.
    """

    machines: tuple[str, ...]
    services: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    follow: bool = False
    since: float | None = None
    until: float | None = None
    tail: int | None = None
    grep: re.Pattern[str] | None = None
    level: Level | None = None
    everything: bool = False

    def takes(self, entry: Entry) -> bool:
        """Return whether an entry is wanted. journalctl counts the lines of all containers as those
        of the engine's unit.
        """
        return not (self.units and entry.container)

    def accepts(self, line: LogLine) -> bool:
        """Return whether a line is wanted. A line without a level is not "at least warn"."""
        if self.level is not None and (
            line.level is None or LEVELS.index(line.level) < LEVELS.index(self.level)
        ):
            return False
        return self.grep is None or self.grep.search(line.message) is not None

    def for_journalctl(self, lab: Lab, *, after: str = "", live: bool = False) -> list[str]:
        """Return options and matches for journalctl. ``after``: the cursor of the last entry that
        was read; ``live``: all that existed at the start were read, so any other is new.
        """
        options = [f"--output-fields={','.join(FIELDS)}"]
        options += [f"--unit={unit}" for unit in self.units]
        if after:
            options.append(f"--after-cursor={after}")
        elif self.since is not None:
            options.append(f"--since=@{self.since:.6f}")
        if self.until is not None:
            options.append(f"--until=@{self.until:.6f}")
        options.append(f"--lines={'all' if after or live else self._lines()}")
        if self.units or self.everything:
            return options
        services = [f"HASHLAB_SERVICE={service}" for service in self.services]
        return [*options, f"HASHLAB_LAB={lab.id}", *services]

    def _lines(self) -> str:
        """Return how many lines a machine must report, so that the last ones are among them."""
        if self.tail is None or self.grep or self.level or self.units:
            return "all"
        return str(self.tail + TRACE_LINES if self.tail else 0)


def select(
    lab: Lab,
    *,
    services: Sequence[str],
    machines: Sequence[str],
    units: Sequence[str],
    follow: bool,
    since: str,
    until: str,
    tail: str,
    grep: str,
    level: str,
    now: float,
    changed: Callable[[], float | None],
) -> Selection:
    """Check the words of a command line. ``now``: Unix time; ``changed`` returns that of the last
    run that changed containers. Raises UsageError.
    """
    names = [machine.name for machine in lab.machines]
    for machine in machines:
        _check(machine, names, f"lab {lab.name} has no machine")
    known = dict.fromkeys(name for each in lab.services for name in (each.name, each.family))
    for service in services:
        _check(service, list(known), f"lab {lab.name} has no service")
    chosen = [s for word in services for s in lab.services if word in (s.name, s.family)]
    if services and units:
        raise UsageError(
            "--unit shows logs of machines, not of services",
            next_step="leave out --unit, or the names of services",
        )
    if follow and until:
        raise UsageError("--follow has no end, --until is one", next_step="leave out one of them")
    if level:
        _check(level, LEVELS, "unknown level")
    holding = {service.machine for service in chosen} or set(names)
    return Selection(
        machines=tuple(n for n in names if n in (machines or holding)),
        services=tuple(service.name for service in chosen),
        units=tuple(units),
        follow=follow,
        since=_last_refresh(changed) if since == REFRESH else _moment("--since", since, now),
        until=_moment("--until", until, now),
        tail=_count(tail) if tail else FOLLOW_TAIL if follow and not since else None,
        grep=_pattern(grep) if grep else None,
        level=next((known for known in LEVELS if known == level), None),
    )


def _last_refresh(changed: Callable[[], float | None]) -> float:
    moment = changed()
    if moment is None:
        raise UsageError(
            f"--since {REFRESH}: no run that changed a service is recorded",
            next_step="hashlab events",
        )
    return moment


def _check(word: str, known: Sequence[str], problem: str) -> None:
    if word not in known:
        raise UsageError(f"{problem} {word!r}", next_step=f"one of: {', '.join(known)}")


def _moment(option: str, text: str, now: float) -> float | None:
    """Return a duration before now, or a date and time of the laptop's zone, as Unix time."""
    if not text:
        return None
    if DURATION.fullmatch(text):
        return now - sum(float(n) * SECONDS[unit] for n, unit in AMOUNT.findall(text))
    today = datetime.fromtimestamp(now).date()
    try:
        return datetime.fromisoformat(text if "-" in text else f"{today}T{text}").timestamp()
    except ValueError:
        raise UsageError(
            f"{option} {text}: not a duration or a time",
            next_step=f"{option} 10m, {option} 14:30 or {option} {today}T14:30",
        ) from None


def _count(text: str) -> int:
    if not text.isdecimal():
        raise UsageError(f"--tail {text}: not a number of lines", next_step="--tail 100")
    return int(text)


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise UsageError(
            f"--grep {text}: not a regular expression: {error}",
            next_step="a backslash before a sign searches for the sign itself",
        ) from None
