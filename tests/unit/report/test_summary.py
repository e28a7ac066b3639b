"""The page at the end of a run, plain and in terminals of several widths."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from hashlab.pipeline import Row, RunResult
from hashlab.report import plainview, richview, show_result
from hashlab.report.summary import summary

URLS = {"rabbitmq": "http://127.0.0.1:15672", "web": "http://127.0.0.1:8080"}
STATUSES = ("failed", "cancelled", "not-reached")


def plain(result: RunResult, **words: object) -> str:
    stream = io.StringIO()
    show_result(result, stream, **words)  # type: ignore[arg-type]
    return stream.getvalue()


def on_terminal(result: RunResult, width: int) -> str:
    stream = io.StringIO()
    console = Console(file=stream, width=width, highlight=False, markup=False, emoji=False)
    blocks = summary(result, notes=["port 8080 is taken"], urls=URLS, columns=width)
    richview.draw(blocks, console)
    return stream.getvalue()


def test_each_phase_has_a_line_with_seconds_status_and_detail(good: RunResult) -> None:
    lines = plain(good).splitlines()
    build = next(line for line in lines if "build" in line)
    assert build.split() == ["✓", "build", "2.50", "ok", "user,", "collector", "built"]


def test_parts_are_indented_below_their_phase(good: RunResult) -> None:
    lines = plain(good).splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("✓ start"))
    assert lines[start + 1].startswith("  ✓ container")
    assert "nginx" in lines[start + 1]


def test_bytes_stand_in_human_units_and_are_added_up(good: RunResult) -> None:
    lines = plain(good).splitlines()
    assert "18.4 MB" in next(line for line in lines if "upload" in line)
    assert "18.4 MB" in next(line for line in lines if "total" in line)


def test_the_total_is_the_time_of_the_whole_run_and_counts_the_phases(good: RunResult) -> None:
    total = next(line for line in plain(good).splitlines() if "total" in line)
    assert "4.21" in total
    assert "3 ok, 1 skipped" in total


def test_the_main_address_comes_first(good: RunResult) -> None:
    said = plain(good, urls=URLS)
    assert said.index("http://127.0.0.1:8080") < said.index("http://127.0.0.1:15672")


def test_notes_are_shown(good: RunResult) -> None:
    assert "port 8080 is taken" in plain(good, notes=["port 8080 is taken"])


def test_a_column_that_says_nothing_is_left_out() -> None:
    result = RunResult((Row("build", None, None, 0.0, 1.0, "ok"),), 0.0, 1.0, None)
    header = plain(result).splitlines()[0]
    assert header.split() == ["phase", "seconds", "status", "detail"]


def test_a_run_without_any_phase_still_shows_a_total() -> None:
    assert "total" in plain(RunResult((), 0.0, 1.0, None))


def test_a_failure_ends_with_what_where_output_and_next_step(bad: RunResult) -> None:
    said = plain(bad, urls=URLS)
    after = said[said.index("FAILED") :]
    assert "web: nginx did not become healthy in 60 s" in after
    assert "    connect() failed (111: Connection refused)" in after
    assert "Next: hashlab ssh web" in after
    assert said.index("http://") < said.index("FAILED")


def test_a_phase_that_was_not_reached_has_no_seconds(bad: RunResult) -> None:
    seed = next(line for line in plain(bad).splitlines() if "seed" in line)
    assert seed.split() == ["○", "seed", "not-reached"]


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_line_of_the_table_is_wider_than_the_terminal(
    width: int, good: RunResult, bad: RunResult
) -> None:
    for result in (good, bad):
        table = on_terminal(result, width).partition("Notes")[0]
        assert max(len(line) for line in table.splitlines()) <= width


@pytest.mark.parametrize("width", [60, 80, 120])
def test_every_status_can_be_read_without_colours(width: int, bad: RunResult) -> None:
    said = on_terminal(bad, width)
    assert all(status in said for status in STATUSES)
    assert "nginx did not become" in " ".join(said.split())


@pytest.mark.parametrize("width", [20, 60])
def test_addresses_and_errors_are_never_cut(width: int, bad: RunResult) -> None:
    said = on_terminal(bad, width)
    assert "http://127.0.0.1:15672" in said
    assert "    connect() failed (111: Connection refused)" in said
    assert "Next: hashlab ssh web" in said


def test_brackets_in_details_are_shown_as_they_are() -> None:
    row = Row("seed", None, None, 0.0, 1.0, "ok", "hashlab.toml has no [seed] :smile:")
    result = RunResult((row,), 0.0, 1.0, None)
    assert "[seed] :smile:" in on_terminal(result, 120)


def test_an_empty_screen_is_an_empty_text() -> None:
    assert plainview.drawn([]) == ""
