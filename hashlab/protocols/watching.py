"""Notices of files that change on the laptop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Folders:
    """Existing folders to watch.

    ``deep``: with everything below them, also what is created later; ``flat``: only their direct
    entries.
    """

    deep: frozenset[Path] = frozenset()
    flat: frozenset[Path] = frozenset()


class Watcher(Protocol):
    """Notices files that are created, changed, renamed or removed in folders. Reading is not a
    change.
    """

    def watch(self, folders: Folders) -> None:
        """Watch these folders from now on, and no others.

        Changes after this call are reported; changes noticed before are not lost. Raises
        LaptopError if the laptop cannot watch that many folders.
        """

    def saves(self, seconds: float) -> Mapping[Path, float]:
        """Wait up to ``seconds`` for a change; return the paths changed since the last call, with
        the Unix time of each.

        Empty if nothing changed. A change is reported within 0.05 s.
        """

    def wake(self) -> None:
        """Let `saves` return at once; called from another thread."""

    def close(self) -> None:
        """Stop watching."""
