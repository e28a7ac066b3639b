"""File changes at times that a test chose, on a clock that only they and refreshes advance."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hashlab.protocols import Folders, Watcher

NOON = 1_800_000_000.0


@dataclass
class FakeClock:
    """Time in seconds. No call waits for it."""

    value: float = NOON

    def __call__(self) -> float:
        return self.value

    @property
    def since(self) -> float:
        """Return the seconds since the test began."""
        return round(self.value - NOON, 3)


@dataclass
class FakeWatcher:
    """protocols.Watcher. At ``end`` (seconds since the test began) the user presses Ctrl-C."""

    clock: FakeClock
    end: float = 60.0
    watched: list[Folders] = field(default_factory=list)
    closed: bool = False
    _plan: list[tuple[float, Path]] = field(default_factory=list)
    _acts: list[tuple[float, Callable[[], object]]] = field(default_factory=list)

    def save(self, *paths: Path, at: float) -> None:
        """Report these files as changed ``at`` this number of seconds."""
        self._plan = sorted([*self._plan, *((NOON + at, path) for path in paths)])

    def act(self, at: float, what: Callable[[], object]) -> None:
        """Call a function at a time."""
        self._acts.append((NOON + at, what))

    def watch(self, folders: Folders) -> None:
        for folder in (*folders.deep, *folders.flat):
            assert folder.is_dir(), f"{folder} cannot be watched"
        self.watched.append(folders)

    def saves(self, seconds: float) -> Mapping[Path, float]:
        assert self.watched, "nothing is watched"
        until = self.clock.value + max(0.0, seconds)
        coming = self._plan[0][0] if self._plan else until
        self.clock.value = max(self.clock.value, min(until, coming))
        self._happen()
        if self.clock.since >= self.end:
            raise KeyboardInterrupt
        now = [(at, path) for at, path in self._plan if at <= self.clock.value]
        self._plan = self._plan[len(now) :]
        return {path: at for at, path in reversed(now)}

    def wake(self) -> None:
        raise AssertionError("nothing reads events here")

    def close(self) -> None:
        self.closed = True

    def _happen(self) -> None:
        due: Iterable[Callable[[], object]] = [w for at, w in self._acts if at <= self.clock.value]
        self._acts = [(at, what) for at, what in self._acts if at > self.clock.value]
        for what in due:
            what()


def _conforms(watcher: FakeWatcher) -> None:
    """Never called: lets mypy check the fake against the Protocol."""
    asked: Watcher = watcher
    _ = asked
