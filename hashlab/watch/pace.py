"""When the next refresh may start: a burst of saves is one, and none feeds itself."""

from __future__ import annotations

# A formatter or `git checkout` saves file after file; whoever saves one wants to wait for nothing.
# With the time in which a change is noticed, a refresh starts 0.1 s after the last save at most.
QUIET_SECONDS = 0.04
LONGEST_SECONDS = 1.0
# So many refreshes in a row for nothing but what was saved during the one before are a person who
# types; more may be a build that writes into its own inputs.
PATIENT_ROUNDS = 5
LONGEST_PAUSE = 30.0


class Pace:
    """Counts saves and refreshes. Times are seconds of one clock that never goes back."""

    def __init__(self) -> None:
        self._first: float | None = None
        self._last = 0.0
        self._ended = 0.0
        self._meanwhile = True
        self._chain = 0

    def saved(self, now: float, *, meanwhile: bool) -> None:
        """Something was saved; ``meanwhile``: while a refresh was at work."""
        if self._first is None:
            self._first = now
            self._meanwhile = True
        self._last = now
        self._meanwhile = self._meanwhile and meanwhile

    def due(self) -> float | None:
        """When the next refresh starts; None: nothing was saved since the last one began."""
        if self._first is None:
            return None
        calm = min(self._last + QUIET_SECONDS, self._first + LONGEST_SECONDS)
        return max(calm, self._ended + self.pause)

    @property
    def pause(self) -> float:
        """Seconds to let pass since the last refresh: 0, unless they seem to cause each other."""
        further = self._chain - PATIENT_ROUNDS
        if further < 0 or not self._meanwhile:
            return 0.0
        return min(float(2**further), LONGEST_PAUSE)

    def began(self) -> bool:
        """A refresh starts; whether only saves during the one before are the reason."""
        echo = self._first is not None and self._meanwhile
        self._chain = self._chain + 1 if echo else 0
        self._first = None
        return echo

    def ended(self, now: float) -> None:
        """The refresh is over."""
        self._ended = now
