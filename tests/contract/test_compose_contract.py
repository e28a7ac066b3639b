"""The table of differences from Compose's own client lists only differences that exist."""

from __future__ import annotations

from pathlib import Path

from compose.differences import gone
from compose.oracle import cases, differences


def test_each_listed_difference_from_compose_still_exists(tmp_path: Path) -> None:
    found = {case.name: [*differences(case, tmp_path / case.name)] for case in cases()}
    assert gone(found) == [], "remove these lines from tests/compose/differences.py"
