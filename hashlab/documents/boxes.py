"""The document of `hashlab box`: the boxes of this laptop, of one provider."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hashlab.pipeline import UNIX_TIME


@dataclass(frozen=True)
class Box:
    """One box. ``created``: Unix time; ``bytes``: the sum of ``parts``; ``packages`` and
    ``images``: bytes by name; ``machines``: those made from it, of any lab, as LAB_ID/MACHINE.
    None where the box does not say it.
    """

    name: str
    version: str
    recipe: str
    current: bool
    usable: bool
    created: float | None = field(metadata=UNIX_TIME)
    folder: str | None
    os: str | None
    docker: str | None
    kernel: str | None
    bytes: int | None
    parts: Mapping[str, int]
    packages: Mapping[str, int]
    images: Mapping[str, int | None]
    machines: tuple[str, ...]


@dataclass(frozen=True)
class Boxes:
    """All boxes, newest first. ``promised_bytes``: the most that the example's box may take."""

    lab: str
    provider: str
    recipe: str
    promised_bytes: int
    boxes: tuple[Box, ...]
    notes: tuple[str, ...]
