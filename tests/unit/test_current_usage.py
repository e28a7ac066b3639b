"""The use of all machines: the last two samples of each, as long as they are fresh."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from fakes import Outside

from hashlab.documents.samples import MachineSample
from hashlab.metrics import current
from hashlab.metrics.current import STALE_SECONDS, CurrentUsage

SAMPLE = MachineSample(
    "web", 1000.0, 50.0, 2.0, 30.0, 100, 500, 0, 0, 0, 0, 10_000, 4_000, True, ()
)


class Still:
    """A sampler that samples nothing by itself."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def run(self) -> None:
        pass


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def used(outside: Outside, monkeypatch: pytest.MonkeyPatch, clock: Clock) -> CurrentUsage:
    monkeypatch.setattr(current, "Sampler", Still)
    return CurrentUsage(outside.world(), ("web",), now=clock)


def test_without_a_sample_nothing_is_known(used: CurrentUsage) -> None:
    assert used.usage().machines == ()


def test_rates_are_those_between_the_last_two_samples(used: CurrentUsage) -> None:
    used.take(SAMPLE)
    assert used.usage().machines[0].cpu_cores is None
    used.take(replace(SAMPLE, uptime_seconds=52.0, cpu_seconds=31.0))
    assert used.usage().machines[0].cpu_cores == 0.5
    used.take(replace(SAMPLE, uptime_seconds=54.0, cpu_seconds=31.5))
    assert used.usage().machines[0].cpu_cores == 0.25


def test_an_old_sample_says_nothing_any_more(used: CurrentUsage, clock: Clock) -> None:
    used.take(SAMPLE)
    clock.now += STALE_SECONDS + 1
    assert used.usage().machines == ()
    used.close()
