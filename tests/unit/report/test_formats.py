"""Numbers and texts as people read them."""

from __future__ import annotations

import pytest

from hashlab.pipeline import Row
from hashlab.report import formats


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (18_400_000, "18.4 MB"),
        (999_999, "1.0 MB"),
        (5_000_000_000, "5.0 GB"),
        (10**16, "10000.0 TB"),
    ],
)
def test_bytes_are_shown_in_units_of_1000(count: int, text: str) -> None:
    assert formats.size(count) == text


@pytest.mark.parametrize(
    ("value", "text"), [(-1, "0.0 s"), (3.24, "3.2 s"), (65, "1:05 min"), (3600, "60:00 min")]
)
def test_a_running_clock_changes_to_minutes_after_one(value: float, text: str) -> None:
    assert formats.elapsed(value) == text


@pytest.mark.parametrize(
    ("done", "total", "unit", "text"),
    [
        (12.34, 18, "MB", "12.3 of 18.0 MB"),
        (12.34, None, "MB", "12.3 MB"),
        (2, 3, "machines", "2 of 3 machines"),
        (2, 3, "", "2 of 3"),
    ],
)
def test_an_amount_says_of_how_much_where_that_is_known(
    done: float, total: float | None, unit: str, text: str
) -> None:
    assert formats.amount(done, total, unit) == text


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("\x1b[1;32m[INFO]\x1b[0m done\r\n", "[INFO] done"),
        (" 10%\r 50%\r100%", "100%"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;http://a\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("a\tb", "a   b"),
        ("bell\x07 and \x9b31m", "bell  and  31m"),
    ],
)
def test_a_tools_line_cannot_move_the_cursor_or_change_colours(line: str, shown: str) -> None:
    assert formats.clean(line) == shown


def test_a_detail_of_several_lines_becomes_one() -> None:
    assert formats.one_line("  first\n\tsecond \r\n third ") == "first second third"


def test_a_text_of_several_lines_keeps_them() -> None:
    assert formats.clean_text("a\x1b[0m\n\n  b") == "a\n\n  b"


def test_a_step_is_called_by_name_machine_and_service_without_what_is_known() -> None:
    row = Row("container", "web", "nginx", 0.0, 0.0, "ok")
    assert formats.title(row) == "container web nginx"
    assert formats.title(row, without=("web", None)) == "container nginx"
    assert formats.title(row, without=("container", "web", "nginx")) == "container"


def test_signs_an_encoding_lacks_are_replaced() -> None:
    assert formats.fitting("✓ é", "utf-8") == "✓ é"
    assert formats.fitting("✓ ok… é", "ascii") == "+ ok~ ?"
    assert formats.fitting("é", "latin-1") == "é"
    assert formats.fitting("✓", None) == "✓"
