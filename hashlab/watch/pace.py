"""Decides when the next refresh may start: a burst of saves counts as one, and no refresh causes
the next.
"""

from __future__ import annotations

# A formatter or `git checkout` saves file after file; a person who saves one file does not want to
# wait. With the time to notice a change, a refresh starts at most 0.1 s after the last save.
QUIET_SECONDS = 0.04
LONGEST_SECONDS = 1.0
# A person who types causes at most so many refreshes in a row whose only reason is a save during
# the previous one; more may come from a build that writes into its own inputs.
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
        """Note a save; ``meanwhile``: it happened during a refresh."""
        if self._first is None:
            self._first = now
            self._meanwhile = True
        self._last = now
        self._meanwhile = self._meanwhile and meanwhile

    def due(self) -> float | None:
        """Return the time of the next refresh; None if nothing was saved since the last began."""
        if self._first is None:
            return None
        calm = min(self._last + QUIET_SECONDS, self._first + LONGEST_SECONDS)
        return max(calm, self._ended + self.pause)

    @property
    def pause(self) -> float:
        """Return the seconds to wait after the last refresh: 0, unless refreshes seem to cause each
        other.
        """
        further = self._chain - PATIENT_ROUNDS
        if further < 0 or not self._meanwhile:
            return 0.0
        return min(float(2**further), LONGEST_PAUSE)

    def began(self) -> bool:
        """Note that a refresh starts; return True if only saves during the previous one are the
        reason.
        """
        echo = self._first is not None and self._meanwhile
        self._chain = self._chain + 1 if echo else 0
        self._first = None
        return echo

    def ended(self, now: float) -> None:
        """Note that the refresh has ended."""
        self._ended = now
