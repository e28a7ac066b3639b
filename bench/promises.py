"""The figures that hashlab promises of a round trip, computed from those that were measured."""

from __future__ import annotations

import statistics

from edits import ALL_THREE, CLASS, DEPENDENCIES, HOT_SWAP, NOTHING, STATIC, Edit
from floor import SUM
from measure import Measured, Target

ONE_CLASS_BYTES = 32 * 1024


def promises(measured: Measured, sent: dict[str, list[int]]) -> list[Target]:
    """What is promised of everything that was run. ``sent``: bytes of each round by edit."""
    one = by_hashlab(CLASS)
    maven = measured.median(f"{DEPENDENCIES.name}: Maven alone")
    over_floor = f"{CLASS.name}: hashlab ÷ floor"
    return [
        *at_most(measured, NOTHING, 0.7),
        *quicker(measured, NOTHING, NOTHING, 20),
        *at_most(measured, STATIC, 1.0),
        *quicker(measured, STATIC, STATIC, 15),
        *at_most(measured, HOT_SWAP, 1.5),
        *quicker(measured, HOT_SWAP, CLASS, 10),
        *at_most(measured, CLASS, 3.5),
        *ratio(measured, over_floor, one, SUM, 1.5, at_least=False),
        *quicker(measured, CLASS, CLASS, 6),
        *at_most(measured, DEPENDENCIES, 1.3 * maven + 3),
        *ratio(measured, "all three ÷ one", by_hashlab(ALL_THREE), one, 1.6, at_least=False),
        Target("bytes for one class", max(sent[CLASS.name]), ONE_CLASS_BYTES, "bytes"),
    ]


def by_hashlab(edit: Edit) -> str:
    return f"{edit.name}: hashlab"


def at_most(measured: Measured, edit: Edit, limit: float) -> list[Target]:
    """Seconds; nothing when the edit was not run."""
    name = by_hashlab(edit)
    return [Target(edit.name, measured.median(name), limit)] if name in measured.seconds else []


def quicker(measured: Measured, edit: Edit, work: Edit, limit: float) -> list[Target]:
    """Against the playbook, for which the edit is the same work as ``work``."""
    name, other = f"{edit.name}: playbook ÷ hashlab", f"{work.name}: playbook"
    return ratio(measured, name, other, by_hashlab(edit), limit, at_least=True)


def ratio(
    measured: Measured, name: str, over: str, under: str, limit: float, *, at_least: bool
) -> list[Target]:
    """The median of each round's own ratio; nothing when one of both was not run."""
    seconds = measured.seconds
    if over not in seconds or under not in seconds:
        return []
    pairs = zip(seconds[over], seconds[under], strict=True)
    return [Target(name, statistics.median(a / b for a, b in pairs), limit, "times", at_least)]
