"""Every call to a fake is recorded here, and fails if a test wants it to."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from hashlab.errors import HashlabError, LabError

When = Literal["before", "after"]


@dataclass(frozen=True)
class Call:
    """One call of the outside world. ``changes``: whether it changes the world."""

    name: str
    words: tuple[Any, ...]
    changes: bool


@dataclass
class Faults:
    """The calls that were made, and those that will fail."""

    calls: list[Call] = field(default_factory=list)
    _armed: dict[str, tuple[When, HashlabError, bool]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def arm(
        self,
        name: str,
        error: HashlabError | None = None,
        *,
        when: When = "before",
        always: bool = False,
    ) -> HashlabError:
        """Let the next call ``name`` fail (or each), with or without its effect."""
        failure = error or LabError(f"the fake's {name} was told to fail")
        self._armed[name] = (when, failure, always)
        return failure

    def disarm(self) -> None:
        """Let no more calls fail."""
        self._armed.clear()

    @contextmanager
    def call(self, name: str, *words: object, changes: bool = False) -> Iterator[None]:
        """Record a call; fail it before or after its effect if requested."""
        with self._lock:
            self.calls.append(Call(name, words, changes))
            armed = self._armed.get(name)
            if armed and not armed[2]:
                del self._armed[name]
        if armed and armed[0] == "before":
            raise armed[1]
        yield
        if armed:
            raise armed[1]

    def names(self) -> list[str]:
        """Return the names of all calls, in order."""
        return [call.name for call in self.calls]

    def changes(self) -> list[str]:
        """Return the names of the calls that changed something, in order."""
        return [call.name for call in self.calls if call.changes]
