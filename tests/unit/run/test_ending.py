"""A run that is cancelled tells those that wait for the lab that it is ending."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
from fakes import Outside
from fakes.outside import Silent

from hashlab.errors import LabError
from hashlab.phases.world import World
from hashlab.pipeline import Phase, Track
from hashlab.run.execution import _watched
from hashlab.run.publishing import RunEvents


def works(world: World, track: Track, _: str) -> None:
    """Do nothing."""


def fails(world: World, track: Track, _: str) -> None:
    raise LabError("it failed")


def interrupted(world: World, track: Track, _: str) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(("work", "told"), [(works, 0), (fails, 1), (interrupted, 1)])
def test_only_a_run_that_is_cancelled_says_that_it_is_ending(
    outside: Outside, work: object, told: int
) -> None:
    calls: list[int] = []
    phase = Phase[World]("one", work)  # type: ignore[arg-type]
    result = _watched(
        outside.world(),
        [phase],
        lambda: nullcontext(Silent()),
        RunEvents("refresh", lambda event: None),
        lambda: calls.append(1),
    )
    assert len(calls) == told
    assert result.ok is (told == 0)
