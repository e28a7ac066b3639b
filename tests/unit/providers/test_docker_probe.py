"""The provider docker probes whether the engine is suitable for a lab, and raises nothing."""

from __future__ import annotations

from fakes import FakeEngine

from hashlab.errors import LaptopError
from hashlab.protocols import Rank
from hashlab.providers.docker import DockerProvider


def test_a_suitable_engine_works(provider: DockerProvider) -> None:
    found = provider.probe()
    assert (found.works, found.rank, found.next_step) == (True, Rank.DOCKER, "")
    assert "share the laptop's kernel" in found.detail


def test_an_unsuitable_engine_does_not_work_and_the_reason_is_given(
    engine: FakeEngine, provider: DockerProvider
) -> None:
    engine.host["Driver"] = "vfs"
    found = provider.probe()
    assert not found.works
    assert "stores images with 'vfs'" in found.detail
    assert "storage-driver" in found.next_step


def test_an_engine_that_does_not_answer_gives_a_next_step(
    engine: FakeEngine, provider: DockerProvider
) -> None:
    engine.faults.arm(f"{engine.kind}.info", LaptopError("no answer", next_step="start Docker"))
    found = provider.probe()
    assert (found.works, found.detail, found.next_step) == (False, "no answer", "start Docker")
