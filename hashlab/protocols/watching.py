"""Being told of files that change on the laptop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Folders:
    """Folders to watch, all of them there: ``deep`` with everything below, also what is made later;
    ``flat`` only for what lies directly in them.
    """

    deep: frozenset[Path] = frozenset()
    flat: frozenset[Path] = frozenset()


class Watcher(Protocol):
    """Notices what is created, changed, renamed or removed in folders; reading is no change."""

    def watch(self, folders: Folders) -> None:
        """Watch these from now on, and no others. What is noticed in them after this call is told;
        nothing noticed before is lost. Raises LaptopError when the laptop cannot watch that many.
        """

    def saves(self, seconds: float) -> Mapping[Path, float]:
        """Wait up to ``seconds`` for a change: what changed since the last call, with the Unix time
        of each; empty when nothing did. It comes within 0.05 s.
        """

    def close(self) -> None:
        """Watch nothing any more."""
