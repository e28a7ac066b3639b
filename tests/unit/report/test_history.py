"""Figures of earlier runs: spread, trend, and what took longer than usual."""

from __future__ import annotations

import pytest
from fakes import refresh_rows

from hashlab.pipeline import Row
from hashlab.report.history import Figures, Trend, figures, longer, trend


def built(seconds: float, status: str = "ok", service: str | None = None) -> list[Row]:
    return [Row("artifacts", None, service, 0.0, seconds, status)]  # type: ignore[arg-type]


def test_median_and_spread_are_those_of_the_textbook() -> None:
    assert figures([4.0, 1.0, 3.0, 2.0, 5.0]) == Figures(3.0, 1.0, 2.0, 4.0, 5.0)
    assert figures([1.0, 2.0]) == Figures(1.5, 1.0, 1.25, 1.75, 2.0)


def test_one_run_is_its_own_median_and_without_runs_there_is_none() -> None:
    assert figures([2.0]) == Figures(2.0, 2.0, 2.0, 2.0, 2.0)
    assert figures([]) is None


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ([3.0] * 3 + [9.0] * 3 + [2.0] * 3, Trend("faster", 3.0, 2.0)),
        ([2.0] * 3 + [9.0] * 3 + [3.0] * 3, Trend("slower", 2.0, 3.0)),
        ([20.0] * 3 + [9.0] * 3 + [21.9] * 3, Trend("steady", 20.0, 21.9)),
        ([0.30] * 3 + [9.0] * 3 + [0.39] * 3, Trend("steady", 0.30, 0.39)),
        ([0.30] * 3 + [9.0] * 3 + [0.41] * 3, Trend("slower", 0.30, 0.41)),
    ],
    ids=["faster", "slower", "less than a tenth", "less than 0.1 s", "more than both"],
)
def test_the_trend_compares_the_newest_third_with_the_oldest(
    seconds: list[float], expected: Trend
) -> None:
    assert trend(seconds) == expected


def test_one_outlier_does_not_make_a_trend() -> None:
    found = trend([2.0] * 9 + [2.0, 2.0, 60.0])
    assert found is not None and found.change == "steady"


def test_few_runs_do_not_have_a_trend() -> None:
    assert trend([1.0] * 4 + [9.0] * 4) is None


def test_the_trend_is_that_of_the_newest_runs() -> None:
    assert trend([100.0] * 200 + [2.0] * 50) == Trend("steady", 2.0, 2.0)


def test_a_row_took_longer_when_it_exceeds_the_median_by_factor_and_by_seconds() -> None:
    earlier = [built(1.0), built(1.1), built(0.9)]
    assert [one.index for one in longer(built(1.5), earlier)] == [0]
    assert longer(built(1.49), earlier) == []
    brief = [built(0.1), built(0.1), built(0.1)]
    assert longer(built(0.35), brief) == []
    assert [one.usual for one in longer(built(0.45), brief)] == [0.1]


def test_a_row_that_usually_has_nothing_to_do_is_marked() -> None:
    earlier = [built(0.0, "skipped"), built(0.0, "skipped"), built(3.0)]
    [found] = longer(built(3.0), earlier)
    assert (found.usual, found.runs, found.idle) == (0.0, 3, 2)


def test_two_earlier_runs_are_not_what_is_usual() -> None:
    assert longer(built(9.0), [built(1.0), built(1.0)]) == []


def test_failed_and_unstarted_rows_do_not_count_as_usual() -> None:
    assert longer(built(9.0), [built(1.0), built(1.0), built(1.0, "failed")]) == []
    never = [Row("artifacts", None, None, None, 0.0, "not-reached")]
    assert longer(never, [built(1.0)] * 3) == []


def test_a_row_is_compared_with_the_same_service_only() -> None:
    earlier = [built(1.0, service="user")] * 3
    assert longer(built(9.0, service="qa"), earlier) == []
    assert len(longer(built(9.0, service="user"), earlier)) == 1


def test_a_row_that_comes_twice_in_a_run_is_compared_with_its_own_turn() -> None:
    earlier = [[*built(1.0), *built(5.0)]] * 3
    assert longer([*built(1.0), *built(5.0)], earlier) == []
    assert [one.index for one in longer([*built(5.0), *built(5.0)], earlier)] == [0]


def test_the_most_seconds_lost_come_first() -> None:
    usual = [refresh_rows(0.0)] * 4
    found = longer(refresh_rows(0.0, build=4.0, start=9.0), usual)
    assert [one.index for one in found] == [4, 7, 0]
