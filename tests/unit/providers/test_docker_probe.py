"""Provider docker probes the engine by what a lab needs of it, and raises nothing."""

from __future__ import annotations

from fakes import FakeEngine

from hashlab.errors import LaptopError
from hashlab.protocols import Rank
from hashlab.providers.docker import DockerProvider


def test_an_engine_that_can_hold_a_lab_works(provider: DockerProvider) -> None:
    found = provider.probe()
    assert (found.works, found.rank, found.next_step) == (True, Rank.DOCKER, "")
    assert "share the laptop's kernel" in found.detail


def test_an_engine_that_cannot_hold_a_lab_does_not_work_and_says_why(
    engine: FakeEngine, provider: DockerProvider
) -> None:
    engine.host["Driver"] = "vfs"
    found = provider.probe()
    assert not found.works
    assert "stores images with 'vfs'" in found.detail
    assert "storage-driver" in found.next_step


def test_an_engine_that_does_not_answer_does_not_work_and_says_what_to_do(
    engine: FakeEngine, provider: DockerProvider
) -> None:
    engine.faults.arm(f"{engine.kind}.info", LaptopError("no answer", next_step="start Docker"))
    found = provider.probe()
    assert (found.works, found.detail, found.next_step) == (False, "no answer", "start Docker")
