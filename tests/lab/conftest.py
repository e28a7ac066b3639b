"""Labs on real machines, one at a time: each fixture destroys what it booted."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from labkit import LabFolder, copy_example, docker


@pytest.fixture(scope="session", autouse=True)
def docker_engine() -> None:
    """Every lab test needs the laptop's Docker Engine and Vagrant."""
    for tool in ("docker", "vagrant", "rsync"):
        if shutil.which(tool) is None:
            pytest.fail(f"{tool} is not installed: run scripts/run-tests.sh")
    docker("info")


@pytest.fixture(scope="session")
def forum_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabFolder]:
    """The Hash-Collision application, up and seeded."""
    lab = copy_example("hash-collision", tmp_path_factory.mktemp("labs") / "hash-collision")
    try:
        lab.run("init-box").ok()
        lab.run("dev").ok()
        yield lab
    finally:
        lab.run("destroy").ok()


@pytest.fixture(scope="session")
def web_url(request: pytest.FixtureRequest) -> str:
    """Address of the running application; HASHLAB_TEST_URL names one that already runs."""
    given = os.environ.get("HASHLAB_TEST_URL")
    if given:
        return given
    lab: LabFolder = request.getfixturevalue("forum_lab")
    return str(lab.json("status")["urls"]["web"])


@pytest.fixture(scope="module")
def hello_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabFolder]:
    """The small example with its box built, not booted; destroyed at the end whatever happened."""
    lab = copy_example("hello", tmp_path_factory.mktemp("labs") / "hello")
    lab.run("init-box").ok()
    try:
        yield lab
    finally:
        lab.run("destroy").ok()
