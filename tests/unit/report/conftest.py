"""The runs that most tests show."""

from __future__ import annotations

import pytest
from standins import STARTED, Clock

from hashlab.errors import LabError
from hashlab.pipeline import Row, RunResult


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def good() -> RunResult:
    """A refresh that went well; one part on a machine."""
    rows = (
        Row("build", None, None, STARTED, 2.5, "ok", "user, collector built"),
        Row("upload", "web", None, STARTED + 2.5, 0.04, "ok", "3 sent", bytes_sent=18_400_000),
        Row("start", None, None, STARTED + 3, 1.2, "ok", "1 service healthy"),
        Row("container", "web", "nginx", STARTED + 3, 1.1, "ok", "recreated", depth=1),
        Row("seed", None, None, STARTED + 4, 0.0, "skipped", "hashlab.toml has no [seed]"),
    )
    return RunResult(rows, STARTED, 4.21, None)


@pytest.fixture
def bad() -> RunResult:
    """A run that failed on one machine, cut off another and did not reach the rest."""
    error = LabError(
        "nginx did not become healthy in 60 s",
        where="web",
        output="first line\nconnect() failed (111: Connection refused)",
        next_step="hashlab ssh web",
    )
    rows = (
        Row("start", "web", None, STARTED, 60.0, "failed", "nginx did not become healthy in 60 s"),
        Row("start", "broker", None, STARTED, 59.0, "cancelled", "waiting"),
        Row("seed", None, None, None, 0.0, "not-reached"),
    )
    return RunResult(rows, STARTED, 60.5, error)
