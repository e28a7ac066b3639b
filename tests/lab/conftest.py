"""Labs on real machines, one at a time: each fixture destroys what it booted."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from labkit import LabFolder, copy_example, daemons_of, docker, everything_of, virsh

TOOLS = {"docker": ("docker", "vagrant", "rsync"), "libvirt": ("virsh", "vagrant", "rsync")}


def pytest_addoption(parser: pytest.Parser) -> None:
    """One suite for every provider."""
    parser.addoption("--provider", default="docker", choices=sorted(TOOLS))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip by name what a provider cannot do, and say why."""
    provider = config.getoption("--provider")
    for item in items:
        only = item.get_closest_marker("only")
        if only is not None and provider not in only.args:
            item.add_marker(pytest.mark.skip(reason=only.kwargs["reason"]))


@pytest.fixture(scope="session")
def provider(request: pytest.FixtureRequest) -> str:
    """What boots the machines of every lab."""
    return str(request.config.getoption("--provider"))


@pytest.fixture(scope="session", autouse=True)
def laptop(provider: str) -> None:
    """Every lab test needs the laptop's Docker Engine, which builds, Vagrant and the provider."""
    for tool in TOOLS[provider]:
        if shutil.which(tool) is None:
            pytest.fail(f"{tool} is not installed: run scripts/run-tests.sh")
    docker("info")
    if provider == "libvirt":
        virsh("list")


@pytest.fixture(scope="session")
def forum_lab(tmp_path_factory: pytest.TempPathFactory, provider: str) -> Iterator[LabFolder]:
    """The Hash-Collision application, up and seeded; nothing of it is left in the end."""
    folder = tmp_path_factory.mktemp("labs") / "hash-collision"
    lab = copy_example("hash-collision", folder, provider)
    try:
        lab.run("init-box").ok()
        lab.run("dev").ok()
        yield lab
    finally:
        lab.run("destroy").ok()
        assert everything_of(lab) == []


@pytest.fixture(scope="session")
def web_url(request: pytest.FixtureRequest) -> str:
    """Address of the running application; HASHLAB_TEST_URL names one that already runs."""
    given = os.environ.get("HASHLAB_TEST_URL")
    if given:
        return given
    lab: LabFolder = request.getfixturevalue("forum_lab")
    return str(lab.status()["urls"]["web"])


@pytest.fixture(scope="module")
def hello_lab(tmp_path_factory: pytest.TempPathFactory, provider: str) -> Iterator[LabFolder]:
    """The small example with its box built, not booted; destroyed at the end whatever happened."""
    lab = copy_example("hello", tmp_path_factory.mktemp("labs") / "hello", provider)
    lab.run("init-box").ok()
    try:
        yield lab
    finally:
        lab.run("destroy").ok()
        assert daemons_of(lab) == []
