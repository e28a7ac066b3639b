"""The path to the end of a run, as its times tell it."""

from __future__ import annotations

import random

from fakes import refresh_rows

from hashlab.pipeline import Row
from hashlab.report.critical import critical, parts


def row(name: str, begin: float | None, seconds: float, depth: int = 0) -> Row:
    return Row(name, None, None, begin, seconds, "ok", depth=depth)


def names(rows: list[Row] | tuple[Row, ...]) -> list[str]:
    return [rows[index].name for index in critical(rows)]


def test_the_path_leads_from_phase_to_phase_and_through_the_parts() -> None:
    assert names(refresh_rows(1000.0)) == [
        "artifacts",
        "containers",
        "upload",
        "container",
        "proof",
        "verify",
    ]


def test_the_path_takes_the_last_to_end_of_parallel_phases() -> None:
    rows = [row("short", 0, 1), row("long", 0, 3), row("end", 3, 1)]
    assert names(rows) == ["long", "end"]
    rows = [row("short", 0, 3), row("long", 0, 1), row("end", 3, 1)]
    assert names(rows) == ["short", "end"]


def test_of_phases_that_ended_together_the_longest_is_on_the_path() -> None:
    rows = [row("work", 0, 3), row("nothing", 3, 0), row("end", 3.001, 1)]
    assert names(rows) == ["work", "end"]


def test_a_phase_that_ended_while_the_next_ran_is_not_on_the_path() -> None:
    rows = [row("early", 0, 1), row("beside", 0.5, 1), row("end", 1.2, 2)]
    assert names(rows) == ["early", "end"]


def test_a_row_that_never_began_is_not_on_the_path() -> None:
    assert names([row("first", 0, 1), row("never", None, 0)]) == ["first"]
    assert critical([]) == []
    assert critical([row("never", None, 0)]) == []


def test_parts_are_the_deeper_rows_that_follow() -> None:
    rows = [row("a", 0, 1), row("b", 0, 1, 1), row("c", 0, 1, 2), row("d", 0, 1, 1), row("e", 0, 1)]
    assert list(parts(rows, 0)) == [1, 2, 3]
    assert list(parts(rows, 1)) == [2]
    assert list(parts(rows, 4)) == []


def test_any_times_and_depths_have_a_path_without_a_row_twice() -> None:
    dice = random.Random(7)
    for _ in range(200):
        rows = [
            row(str(n), dice.choice([None, dice.uniform(-5, 5)]), dice.choice([0, 1, 3]), d)
            for n, d in enumerate(dice.choices(range(4), k=dice.randrange(30)))
        ]
        path = critical(rows)
        assert sorted(set(path)) == path
        assert all(rows[index].started is not None for index in path)
