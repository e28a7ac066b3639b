"""The page of past runs: everything is said, everything is escaped, nothing is fetched or run."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from fakes import MORNING, past_run, refresh_rows, save_runs

from hashlab.documents import to_json
from hashlab.documents.report import PlacedRow, Report
from hashlab.errors import Interrupted, LabError
from hashlab.pipeline import Row
from hashlab.report.budget import compare
from hashlab.report.findings import report_document
from hashlab.report.page import page
from hashlab.report.page.markup import Markup, element
from hashlab.report.page.waterfall import stacked, tick_step
from hashlab.report.runs import Runs, read_runs

HOSTILE = (
    "</style></script><script>alert(1)</script><img src=//x.test/y onerror=alert(2)>\"'&\x1b[31m"
)
CSS = resources.files("hashlab.report.page").joinpath("page.css").read_text("utf-8")
VOID = ("meta", "link", "input", "br", "path", "rect")


class Reader(HTMLParser):
    """Collects elements and text, and sees that every element is closed."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in VOID
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def document(folder: Path, *records: dict[str, Any], **more: Any) -> Report:
    found = read_runs(save_runs(folder, records))
    return report_document(found, made=MORNING, page="/lab/.hashlab/report.html", **more)


def read(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert reader._open == []
    return reader


def test_without_runs_the_page_says_what_to_type() -> None:
    said = read(page(report_document(Runs(), made=MORNING, page="p"))).text
    assert "No run is recorded yet" in said
    assert "hashlab dev" in said


def test_the_page_shows_each_row_of_the_last_run(tmp_path: Path) -> None:
    said = read(page(document(tmp_path, past_run()))).text
    for row in refresh_rows(MORNING):
        for word in (row.name, row.machine or "", row.service or "", row.detail, row.status):
            assert word in said
    assert "18.3 kB" in said


def test_the_last_run_overall_is_chosen_and_each_command_can_be(tmp_path: Path) -> None:
    records = [past_run(), past_run("dev", number=1), past_run(number=2), past_run("dev", number=3)]
    reader = read(page(document(tmp_path, *records)))
    inputs = [attributes for tag, attributes in reader.elements if tag == "input"]
    assert [("checked" in one, one["id"]) for one in inputs] == [
        (True, "choice-0"),
        (False, "choice-1"),
    ]
    labels = [attributes["for"] for tag, attributes in reader.elements if tag == "label"]
    assert labels == ["choice-0", "choice-1"]
    articles = [attributes["id"] for tag, attributes in reader.elements if tag == "article"]
    assert articles == ["run-0", "run-1"]
    assert reader.text.index("dev on docker") < reader.text.index("refresh on docker")


def test_runs_of_two_providers_are_not_mixed(tmp_path: Path) -> None:
    records = [past_run(), past_run(number=1, provider="libvirt", seconds=40.0)]
    told = document(tmp_path, *records)
    assert [one.seconds.median for one in told.commands if one.seconds] == [40.0, 2.5]
    assert "refresh (libvirt)" in read(page(told)).text


def test_failed_runs_are_counted_apart_and_left_out_of_the_figures(tmp_path: Path) -> None:
    slow = [
        past_run(number=9, seconds=99.0, error=LabError("failed")),
        past_run(number=10, seconds=99.0, error=Interrupted("interrupted")),
    ]
    [told] = document(tmp_path, *[past_run(number=n) for n in range(3)], *slow).commands
    assert (told.good, told.failed, told.interrupted) == (3, 1, 1)
    assert told.seconds is not None and told.seconds.most == 2.5
    assert [one.ok for one in told.recent] == [True, True, True, False, False]


def test_runs_whose_processes_took_all_changes_in_are_counted(tmp_path: Path) -> None:
    def rows(*details: str) -> list[Row]:
        return [
            Row("container", "web", name, 0.0, 1.0, "ok", detail, 0, 1)
            for name, detail in zip("ab", details, strict=False)
        ]

    records = [
        past_run(number=1, rows=rows("reloaded: 1 class")),
        past_run(number=2, rows=rows("reloaded: 1 class", "reloaded: 2 classes")),
        past_run(number=3, rows=rows("reloaded: 1 class", "replaced: its build changed")),
        past_run(number=4, rows=rows()),
        past_run(number=5, rows=rows("reloaded: 1 class"), error=LabError("failed")),
    ]
    told = document(tmp_path, *records)
    [command] = told.commands
    assert (command.good, command.swaps) == (4, 2)
    assert "4 (2 swaps)" in read(page(told)).text


def test_the_newest_fifty_runs_are_drawn_and_the_rest_counted(tmp_path: Path) -> None:
    told = document(tmp_path, *[past_run(number=n) for n in range(60)])
    [command] = told.commands
    assert (len(command.recent), command.good) == (50, 60)
    reader = read(page(told))
    assert sum(tag == "rect" for tag, _ in reader.elements) == 50


def test_a_failure_is_shown_with_all_that_the_message_says(tmp_path: Path) -> None:
    error = LabError("no answer", where="web", output="refused\nagain", next_step="hashlab ssh web")
    said = read(page(document(tmp_path, past_run(error=error)))).text
    for words in ("failed after 2.5 s", "web: no answer", "refused", "Next: hashlab ssh web"):
        assert words in said
    interrupted = past_run(number=1, error=Interrupted("interrupted. Half done: boot"))
    assert "interrupted after 2.5 s" in read(page(document(tmp_path, interrupted))).text


@pytest.mark.parametrize(
    ("causes", "words"),
    [
        (None, "Nothing is recorded."),
        ([], "No changed file is recorded."),
        ([{"what": "artifact user", "files": ["a.java", "b.java"], "more": 3}], "and 3 more"),
    ],
    ids=["older record", "nothing changed", "files"],
)
def test_the_page_shows_why_it_ran(tmp_path: Path, causes: Any, words: str) -> None:
    record = past_run()
    record["causes"] = causes
    if causes is None:
        del record["causes"]
    told = document(tmp_path, record)
    assert to_json(told.commands[0].last.causes) == causes
    assert words in read(page(told)).text


def test_a_slow_row_is_shown_with_its_usual_time(tmp_path: Path) -> None:
    records = [past_run(number=n) for n in range(4)] + [past_run(number=9, start=4.0)]
    told = document(tmp_path, *records)
    said = read(page(told)).text
    assert "container services user 4.00 s (usually 0.50 s)" in said.replace("\xa0", " ")
    last = told.commands[0].last
    assert [last.phases[one.index].name for one in last.longer] == [
        "containers",
        "container",
    ]


def test_few_earlier_runs_are_too_few_for_a_comparison(tmp_path: Path) -> None:
    said = read(page(document(tmp_path, past_run(), past_run(number=1)))).text
    assert "Too few earlier runs: 1, 3 are needed." in said


def test_the_critical_path_is_written_in_words(tmp_path: Path) -> None:
    said = read(page(document(tmp_path, past_run()))).text.replace("\xa0", " ")
    assert "The end waited for 4 phases in turn" in said
    assert "containers 0.60 s (upload services 0.10 s → container services user 0.50 s)" in said


def test_bars_stand_where_the_seconds_say(tmp_path: Path) -> None:
    reader = read(page(document(tmp_path, past_run())))
    styles = {
        attributes["title"]: attributes["style"]
        for _, attributes in reader.elements
        if "bar" in (attributes.get("class") or "").split()
    }
    [proof] = {str(style) for title, style in styles.items() if str(title).startswith("proof")}
    # It begins after 2.2 of 2.5 seconds, and takes 0.2.
    assert proof.startswith("left:min(88.000%,100% - 2px);width:8.000%;")


def test_bars_are_cut_at_the_ends_of_the_run(tmp_path: Path) -> None:
    rows = [
        Row("early", None, None, MORNING - 3, 4.0, "ok"),
        Row("late", None, None, MORNING + 9, 5.0, "ok"),
        Row("endless", None, None, MORNING + 1, 1000.0, "ok"),
    ]
    text = page(document(tmp_path, past_run(rows=rows, seconds=10.0)))
    places = [
        (float(left), float(width))
        for left, width in re.findall(r"left:min\(([\d.]+)%[^;]*;width:([\d.]+)%", text)
    ]
    assert set(places) == {(0.0, 10.0), (90.0, 10.0), (10.0, 90.0)}


def test_steps_that_run_at_once_lie_above_each_other() -> None:
    steps = [
        PlacedRow(name, None, None, begin, seconds, "ok", offset=begin)
        for name, begin, seconds in (("a", 0, 3), ("b", 1, 1), ("c", 2, 2), ("d", 3, 1))
    ]
    assert [(step.name, level) for step, level in stacked(steps)] == [
        ("a", 0),
        ("b", 1),
        ("c", 1),
        ("d", 0),
    ]


@pytest.mark.parametrize("total", [0.0, 0.001, 0.3, 1.0, 2.5, 7.0, 28.2, 95.0, 601.0, 9e6])
def test_an_axis_has_few_marks_and_some(total: float) -> None:
    assert 0 <= total / tick_step(total) <= 5.000001


@pytest.mark.parametrize("rows", [[], [Row("boot", None, None, MORNING, 0.0, "ok")]])
def test_a_run_of_zero_seconds_has_a_page(tmp_path: Path, rows: list[Row]) -> None:
    read(page(document(tmp_path, past_run(rows=rows, seconds=0.0))))


def hostile(tmp_path: Path) -> str:
    rows = [
        Row(HOSTILE, HOSTILE, HOSTILE, MORNING, 1.0, "ok", HOSTILE),
        Row(HOSTILE, HOSTILE, HOSTILE, MORNING, 0.5, "failed", HOSTILE, depth=9),
    ]
    error = LabError(HOSTILE, where=HOSTILE, output=HOSTILE, next_step=HOSTILE)
    causes = [{"what": HOSTILE, "files": [HOSTILE], "more": 1}]
    for number in range(4):
        record = past_run(number=number, rows=rows, causes=causes, provider=HOSTILE)
        record["command"] = record["lab"] = HOSTILE
        (tmp_path / f"{number}.json").write_text(json.dumps(record))
    bad = past_run(number=9, rows=rows, error=error, causes=causes)
    (tmp_path / "bad.json").write_text(json.dumps({**bad, "lab": HOSTILE}))
    (tmp_path / "<script>alert(3)<&.json").write_text("{")
    found = read_runs(tmp_path)
    budgets = compare({found.runs[0].command: 0.5}, found.runs)
    return page(report_document(found, made=MORNING, page="p", budgets=budgets))


def test_text_of_a_record_never_becomes_markup(tmp_path: Path) -> None:
    reader = read(hostile(tmp_path))
    tags = {tag for tag, _ in reader.elements}
    assert tags.isdisjoint({"script", "img", "iframe", "object", "a", "form", "base"})
    assert [
        tag for tag, attributes in reader.elements if any(k[:2] == "on" for k in attributes)
    ] == []
    assert HOSTILE.removesuffix("\x1b[31m") in reader.text
    assert "\x1b" not in reader.text


def test_the_page_needs_nothing_but_itself(tmp_path: Path) -> None:
    text = hostile(tmp_path)
    reader = read(text)
    addresses = [
        attributes[key]
        for _, attributes in reader.elements
        for key in ("src", "href", "srcset", "action", "data")
        if key in attributes
    ]
    assert addresses == ["data:,"]
    assert "url(" not in CSS
    assert "@import" not in CSS
    [policy] = [
        attributes["content"]
        for tag, attributes in reader.elements
        if tag == "meta" and "http-equiv" in attributes
    ]
    assert "default-src 'none'" in str(policy)
    assert "script-src" not in str(policy)


def test_ids_are_unique_and_every_label_has_its_button(tmp_path: Path) -> None:
    records = [past_run(command, number=n) for n, command in enumerate(("dev", "refresh", "seed"))]
    elements = read(page(document(tmp_path, *records))).elements
    ids = [attributes["id"] for _, attributes in elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for name in ("for", "aria-labelledby"):
        assert {a[name] for _, a in elements if name in a} <= set(ids)


def test_markup_is_escaped_unless_it_was_made_here() -> None:
    assert element("p", "<b>", title='"<') == '<p title="&quot;&lt;">&lt;b&gt;</p>'
    assert element("p", element("b", "x"), None, ["&", "y"]) == "<p><b>x</b>&amp;y</p>"
    assert element("input", checked=True, disabled=False, for_="a") == '<input checked for="a"/>'
    assert isinstance(element("p"), Markup)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(
    ("text", "ground"),
    [
        *((tone, ground) for tone in ("text", "dim") for ground in ("ground", "raised")),
        *((tone, "ground") for tone in ("good", "warn", "bad")),
        ("bar-text", "bar"),
        ("path-text", "path"),
    ],
)
def test_texts_stand_out_from_what_they_stand_on(theme: str, text: str, ground: str) -> None:
    part = CSS.split("prefers-color-scheme: dark")[theme == "dark"]
    colours = dict(re.findall(r"--([a-z-]+): #([0-9a-f]{6})", part.split("* {")[0]))
    one, other = sorted((light(colours[text]), light(colours[ground])), reverse=True)
    assert (one + 0.05) / (other + 0.05) >= 4.5


def light(colour: str) -> float:
    """Relative luminance as WCAG 2 defines it."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(share * part for share, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
