"""A lab on fakes for every test below this folder, and waits that take no time."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from fakes import Outside, small_lab

from hashlab.phases import connect
from hashlab.phases.containers import readiness
from hashlab.phases.upload import transfer


@pytest.fixture
def outside(tmp_path: Path) -> Outside:
    """The outside world of a small lab that nothing has happened to yet."""
    return Outside(small_lab(tmp_path / "lab"), tmp_path / "laptop")


@pytest.fixture(autouse=True)
def impatient(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fakes are ready at once: whoever waits for them looks again without a pause. No test cuts the
    power: waiting for a busy disk would take most of the time.
    """
    if "lab" not in request.path.parts:
        monkeypatch.setattr(os, "fsync", lambda descriptor: None)
        monkeypatch.setattr(readiness, "POLL_SECONDS", 0.001)
        monkeypatch.setattr(readiness, "POLL_SHARE", 0)
        monkeypatch.setattr(readiness, "SETTLE_SECONDS", 0)
        monkeypatch.setattr(connect, "POLL_SECONDS", 0.001)
        # The small lab has four files: the first upload is rsync's, that of one edit is not.
        monkeypatch.setattr(transfer, "FEW", 2)
