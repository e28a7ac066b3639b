"""Each kind of engine for the contract of engines. All objects made are removed, and nothing
else.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from contract_bench import BASE, Bench, channelled_engine, real_engine, root_filesystem
from fakes import FakeEngine, make_world, track_of

from hashlab.config.model import Observe
from hashlab.drivers.process import ProcessRunner
from hashlab.phases.stores import PROGRAMS, find_store, get_stores, store_program


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


@pytest.fixture(scope="session")
def log_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The log store's program, which Go builds once for all runs of these tests."""
    return brought("logs", tmp_path_factory.mktemp("build"))


@pytest.fixture(scope="session")
def metric_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The metrics store's program, in the same way."""
    return brought("metrics", tmp_path_factory.mktemp("build"))


def brought(name: str, folder: Path) -> Path:
    if find_store(PROGRAMS[name], os.environ) is None:
        if shutil.which("go") is None:
            pytest.skip(f"neither {PROGRAMS[name].title} nor Go is installed")
        made = make_world(folder)
        lab = replace(made.lab, observe=Observe(logs=name == "logs", metrics=name == "metrics"))
        runner = ProcessRunner(children=folder / "children")
        with track_of() as track:
            get_stores(replace(made, lab=lab, environ=os.environ, runner=runner), track, "")
    return store_program(name, os.environ)
