"""When a refresh starts: bursts, long bursts, saves meanwhile, and what feeds itself."""

from __future__ import annotations

import pytest

from hashlab.watch.pace import LONGEST_PAUSE, LONGEST_SECONDS, QUIET_SECONDS, Pace


def test_nothing_is_due_before_a_save() -> None:
    assert Pace().due() is None


def test_a_burst_is_waited_out_from_its_last_save() -> None:
    pace = Pace()
    for moment in (10.0, 10.03, 10.2):
        pace.saved(moment, meanwhile=False)
    assert pace.due() == pytest.approx(10.2 + QUIET_SECONDS)


def test_a_burst_without_end_is_cut_a_second_after_its_first_save() -> None:
    pace = Pace()
    for step in range(100):
        pace.saved(10 + step * 0.04, meanwhile=False)
    assert pace.due() == pytest.approx(10 + LONGEST_SECONDS)


def test_a_refresh_answers_the_saves_before_it_and_none_after_it() -> None:
    pace = Pace()
    pace.saved(10.0, meanwhile=False)
    assert not pace.began()
    assert pace.due() is None
    pace.saved(10.5, meanwhile=True)
    pace.ended(20.0)
    due = pace.due()
    assert due is not None and due <= 20.0


def feed(pace: Pace, rounds: int) -> list[float]:
    """The pauses of refreshes which each save something themselves."""
    pauses = []
    for number in range(rounds):
        pace.began()
        pace.saved(number + 0.5, meanwhile=True)
        pace.ended(number + 1.0)
        pauses.append(pace.pause)
    return pauses


def test_refreshes_that_cause_each_other_slow_down_to_a_bound() -> None:
    pauses = feed(Pace(), 12)
    assert pauses[:5] == [0, 0, 0, 0, 0]
    assert pauses[5:9] == [1, 2, 4, 8]
    assert pauses[-1] == LONGEST_PAUSE


def test_a_save_by_somebody_else_ends_the_pause_at_once() -> None:
    pace = Pace()
    feed(pace, 8)
    assert pace.pause > 1
    pace.saved(9.0, meanwhile=False)
    assert pace.due() == pytest.approx(9.0, abs=LONGEST_SECONDS)
    assert not pace.began()
    pace.saved(9.5, meanwhile=True)
    pace.ended(10.0)
    assert pace.pause == 0
