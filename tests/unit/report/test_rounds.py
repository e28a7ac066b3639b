"""What `hashlab watch` tells of a round trip: in a line, in a document, and on which page."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest

from hashlab.documents import to_json
from hashlab.errors import Interrupted, LabError
from hashlab.pipeline import Row, Status
from hashlab.report import Round, Rounds, round_report, show_error
from hashlab.report.rounds import round_document

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "json.md").read_text(encoding="utf-8")


def row(
    name: str, detail: str, *, status: Status = "ok", machine: str = "web", service: str = ""
) -> Row:
    return Row(name, machine, service or None, 1.0, 0.1, status, detail)


@pytest.mark.parametrize(
    ("rows", "line"),
    [
        ([row("container", "replaced: its build changed", service="user")], "user replaced"),
        ([row("container", "reloaded: 2 classes", service="user")], "user reloaded (2 classes)"),
        (
            [row("container", "replaced: it adds the method x()", service="user")],
            "user replaced (it adds the method x())",
        ),
        ([row("container", "started", service="user")], "user started"),
        ([row("upload", "1 sent")], "1 file sent to web"),
        ([row("upload", "2 sent, 1 deleted")], "2 files sent to web and 1 file deleted on web"),
        ([row("images", "sent shop-web")], "image shop-web sent to web"),
        ([row("containers", "0 started, 2 removed")], "2 removed"),
        ([row("upload", "recorded")], "nothing changed"),
        ([row("upload", "3 files unchanged", status="skipped")], "nothing changed"),
        ([row("images", "3 there", status="skipped")], "nothing changed"),
        ([row("containers", "1 started"), row("proof", "6 services")], "nothing changed"),
    ],
)
def test_a_line_says_what_was_done(rows: list[Row], line: str) -> None:
    people = io.StringIO()
    Rounds(people).tell(Round(0.0, 1.234, "saved", ["a.txt"], rows))
    assert people.getvalue().rstrip().endswith(f"   1.23 s  {line}  (a.txt)")


def test_of_many_files_a_line_names_two(capsys: pytest.CaptureFixture[str]) -> None:
    people = io.StringIO()
    Rounds(people).tell(Round(0.0, 1.0, "saved", list("abcdefg")))
    assert people.getvalue().rstrip().endswith("(a, b and 5 more)")


def test_the_same_failures_in_another_order_are_shown_once() -> None:
    people = io.StringIO()
    rounds = Rounds(people)
    for what in ("back: gone\nfront: gone", "front: gone\nback: gone"):
        rounds.tell(Round(0.0, 1.0, "saved", [], error=LabError(what)))
    assert people.getvalue().count("back: gone") == 1
    assert "failed as before" in people.getvalue()


def test_the_same_failure_after_a_success_is_shown_again() -> None:
    people = io.StringIO()
    rounds = Rounds(people)
    for error in (LabError("gone"), None, LabError("gone")):
        rounds.tell(Round(0.0, 1.0, "saved", [], error=error))
    assert people.getvalue().count("\ngone") == 2


def test_a_long_list_of_what_is_watched_is_cut() -> None:
    people = io.StringIO()
    Rounds(people).watching("shop", [f"input{number}" for number in range(20)])
    assert "input7 and 12 more. Ctrl-C ends it." in people.getvalue()


def test_without_a_terminal_only_the_line_is_shown_unless_more_is_asked_for() -> None:
    people = io.StringIO()
    for verbose in (False, True):
        with round_report(people, verbose=verbose):
            pass
        assert bool(people.getvalue()) is verbose


def test_an_interruption_is_not_shown_as_a_failure() -> None:
    people = io.StringIO()
    show_error(Interrupted("interrupted. Half done: nothing"), people)
    assert "INTERRUPTED" in people.getvalue()


def test_the_page_has_an_example_and_explains_every_field() -> None:
    blocks = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    [example] = [e for e in map(json.loads, blocks) if "because" in e]
    real = to_json(round_document(Round(0.0, 1.0, "saved", ["a.txt"])))
    assert list(example) == list(real)
    part = PAGE.partition("## Round trip")[2].partition("\n## ")[0]
    assert [name for name in real if f"| `{name}` |" not in part] == []
