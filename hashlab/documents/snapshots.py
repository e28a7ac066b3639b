"""The document of `hashlab snapshots`: the snapshots of a lab on one provider."""

from __future__ import annotations

from dataclasses import dataclass, field

from hashlab.pipeline import UNIX_TIME


@dataclass(frozen=True)
class Snapshot:
    """One snapshot. ``taken``: Unix time; ``bytes``: disk that it alone takes; None for what it
    does not say. ``note``: why it cannot be restored, "" if it can.
    """

    name: str
    taken: float | None = field(metadata=UNIX_TIME)
    bytes: int | None
    machines: tuple[str, ...]
    note: str


@dataclass(frozen=True)
class Snapshots:
    """All snapshots, oldest first."""

    lab: str
    provider: str
    snapshots: tuple[Snapshot, ...]
