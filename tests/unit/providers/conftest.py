"""A lab on a fake engine of the laptop, and the provider docker on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from engine_labs import PROBE
from fakes import Behaviour, FakeEngine, small_lab, track_of

from hashlab.config.model import Lab
from hashlab.pipeline import Track
from hashlab.providers.docker import DockerProvider
from tests.fakes.vagrant import vagrant_in


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return small_lab(tmp_path / "lab")


@pytest.fixture
def engine() -> FakeEngine:
    """A laptop's engine on which privileged containers work."""
    made = FakeEngine()
    made.behave(PROBE, Behaviour(exits=0))
    return made


@pytest.fixture
def provider(engine: FakeEngine, tmp_path: Path) -> DockerProvider:
    return DockerProvider(
        vagrant=vagrant_in(tmp_path, "docker"),
        engine=lambda: engine,
        cache=tmp_path / "state/engine.json",
    )


@pytest.fixture
def track() -> Iterator[Track]:
    with track_of() as made:
        yield made
