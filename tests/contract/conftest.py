"""Each kind of engine for the contract of engines. All objects made are removed, and nothing
else.
"""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from contract_bench import BASE, Bench, channelled_engine, real_engine, root_filesystem
from fakes import FakeEngine


@pytest.fixture(scope="session")
def _base_image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A tiny image on the real engine, removed after the last test."""
    engine = real_engine()
    with root_filesystem(tmp_path_factory.mktemp("root")).open("rb") as stream:
        engine.import_image(BASE, stream)
    yield BASE
    engine.remove_image(BASE)
    engine.close()


@pytest.fixture(params=["fake", "real", "channel"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """Each kind of engine, one after the other."""
    if request.param == "fake":
        fake = FakeEngine()
        fake.import_image(BASE, BytesIO(b"x"))
        fake.faults.calls.clear()
        made = Bench(fake, fake)
    else:
        request.getfixturevalue("_base_image")
        engine = real_engine() if request.param == "real" else channelled_engine()
        made = Bench(engine, None)
    yield made
    made.clean()
    made.engine.close()
