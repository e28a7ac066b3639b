"""One machine's journal on its way into the log store, with every way in which it may be cut."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes import Outside, running
from fakes.logstore import FakeLogStore
from journals import CUT, NOON, Journals, Session, begin, entry, line

from hashlab.logs import feeding, machines
from hashlab.logs.feeding import ON_DISK_SECONDS, SAVE_SECONDS, Feed, Place, Progress, SavedPlace
from hashlab.logs.gathering import Gathered
from hashlab.logs.stored import ROW_LENGTH, Known, rows_of
from hashlab.pipeline import CancelToken


def numbered(text: str, number: int, **more: Any) -> bytes:
    """Return entry ``number`` of a journal, with a cursor as journalctl prints it."""
    return line(text, number, __CURSOR=f"s=ab;i={number:x};b=0", **more)


def begun(last: int) -> bytes:
    """Return the first line of a journal whose last entry has this number."""
    return f"#begin journald {NOON:.0f} s=ab;i={last:x};b=0 {int((NOON + last) * 1e6)}".encode()


class Watched:
    """A feed at work, whose reports and rows can be waited for."""

    def __init__(self, outside: Outside, store: FakeLogStore, place: Path) -> None:
        self.store, self.reports, self.came = store, list[str](), list[str]()
        self.changed = threading.Condition()
        self.cancel = CancelToken()
        inserted = store.insert

        def insert(rows: object) -> None:
            try:
                inserted(rows)  # type: ignore[arg-type]
            finally:
                self._note()

        store.insert = insert  # type: ignore[method-assign]
        self.feed = Feed(
            outside.world(),
            "web",
            store,
            saved=SavedPlace(place),
            report=self._report,
            came=self.came.append,
            cancel=self.cancel,
        )
        self.thread = threading.Thread(target=self.feed.run)
        self.thread.start()

    def _report(self, why: str) -> None:
        self.reports.append(why)
        self._note()

    def _note(self) -> None:
        with self.changed:
            self.changed.notify_all()

    def wait(self, fits: Callable[[], bool]) -> None:
        with self.changed:
            assert self.changed.wait_for(fits, 20), (self.reports, self.texts)

    @property
    def texts(self) -> list[str]:
        return [row["_msg"] for row in self.store.rows]

    def close(self) -> None:
        self.cancel.cancel()
        self.thread.join(20)
        assert not self.thread.is_alive()
        assert self.store.closed == 1


@pytest.fixture
def watch(
    outside: Outside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[FakeLogStore], Watched]]:
    running(outside)
    monkeypatch.setattr(machines, "AGAIN_SECONDS", 0.01)
    monkeypatch.setattr(feeding, "AGAIN_SECONDS", 0.01)
    made: list[Watched] = []

    def start(store: FakeLogStore) -> Watched:
        made.append(Watched(outside, store, tmp_path / "place.json"))
        return made[-1]

    yield start
    for each in made:
        each.close()


Start = Callable[[FakeLogStore], Watched]


def test_old_and_new_lines_of_services_and_units_are_stored(outside: Outside, watch: Start) -> None:
    unit = numbered("of sshd", 2, container="", _SYSTEMD_UNIT="ssh.service")
    journals = Journals(outside, web=[[begun(2), numbered("old", 1), unit, numbered("new", 9)]])
    watched = watch(FakeLogStore())
    watched.wait(lambda: len(watched.texts) == 3)
    assert watched.texts == ["old", "of sshd", "new"]
    assert watched.reports == [feeding.CATCHING_UP, ""]
    assert "HASHLAB_LAB" not in journals.commands["web"][0]
    row = watched.store.rows[1]
    assert (row["unit"], row["source"], row["lab"]) == ("ssh", "unit ssh", "small")
    assert "service" not in row


def test_a_machine_that_was_away_is_read_on_where_it_was(outside: Outside, watch: Start) -> None:
    lost: Session = [begun(1), numbered("one", 1), CUT]
    journals = Journals(outside, web=[lost, [CUT], [begun(3), numbered("two", 3)]])
    watched = watch(FakeLogStore())
    watched.wait(lambda: len(watched.texts) == 2)
    assert watched.texts == ["one", "two"]
    assert "Connection closed by remote host" in watched.reports
    assert watched.came == ["running", "unreachable", "running"]
    watched.wait(lambda: watched.reports[-1] == "")
    assert "--after-cursor=s=ab;i=1;b=0" in journals.commands["web"][2]


@pytest.mark.parametrize("failing", ["before", "after"])
def test_a_store_that_does_not_answer_gets_each_line_once(
    outside: Outside, watch: Start, failing: str
) -> None:
    """It may have stored what it did not acknowledge."""
    lines = [begun(2), numbered("one", 1), numbered("two", 2)]
    Journals(outside, web=[lines, [*lines, numbered("three", 7)]])
    store = FakeLogStore()
    store.failing = [failing]
    watched = watch(store)
    watched.wait(lambda: "three" in watched.texts)
    assert watched.texts == ["one", "two", "three"]
    assert "the log store does not answer: timed out" in watched.reports


def test_a_machine_of_an_older_box_is_reported(outside: Outside, watch: Start) -> None:
    Journals(outside, web=[[begin(driver="json-file")]])
    watched = watch(FakeLogStore())
    watched.wait(lambda: feeding.OLD_BOX in watched.reports)


def test_a_journal_that_cannot_be_read_is_reported_and_read_again(
    outside: Outside, watch: Start
) -> None:
    Journals(outside, web=[[b"sudo: not found"], [begun(1), numbered("one", 1)]])
    watched = watch(FakeLogStore())
    watched.wait(lambda: watched.texts == ["one"])
    assert any("cannot be read" in report for report in watched.reports)


def gathered(text: str, *cursors: str) -> Gathered:
    return Gathered("web", entry(text), 0.0, 0.0, [text], list(cursors))


def test_the_entries_of_a_line_are_known_afterwards_and_no_others() -> None:
    [row] = rows_of("small", gathered("x", "s=a;i=9;", "s=a;i=b;", "s=c;i=1;"), pull=3)
    assert row["entries"] == "a:9-11 c:1-1"
    known = Known([{name: str(value) for name, value in row.items()}])
    assert known.pull == 3
    source = str(row["source"])
    has = [known.has(source, f"s=a;i={number:x};b=1") for number in range(8, 13)]
    assert has == [False, True, True, True, False]
    assert known.has(source, "s=c;i=1")
    assert not known.has(source, "s=c;i=2")
    assert not known.has("other", "s=a;i=9;")


def test_a_line_that_is_too_long_for_a_row_takes_several() -> None:
    text = "a" * ROW_LENGTH + "b"
    rows = rows_of("small", gathered(text, "s=a;i=1;"), pull=1)
    assert [row["part"] for row in rows] == [1, 2]
    assert "".join(str(row["_msg"]) for row in rows) == text


def test_a_place_is_one_before_which_no_entry_is_missing() -> None:
    progress = Progress(Place("start", 4), known=False)
    for cursor in ("a", "b", "c"):
        progress.arrived(cursor)
    progress.stored(["b"], 5)
    assert progress.place == Place("start", 4)
    progress.stored(["c"], 6)
    assert progress.place == Place("start", 4)
    progress.stored(["a"], 7)
    assert progress.place == Place("c", 7)


def test_until_the_known_entries_are_passed_their_pulls_count() -> None:
    progress = Progress(Place("start", 4), known=True)
    progress.arrived("a")
    progress.stored(["a"], 9)
    assert progress.place == Place("a", 4)
    progress.passed_known()
    assert progress.place == Place("a", 9)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_place_is_saved_when_the_store_has_it_on_its_disk(tmp_path: Path) -> None:
    clock = Clock()
    saved = SavedPlace(tmp_path / "place.json", clock)
    saved.acknowledged(Place("a", 1))
    clock.now += ON_DISK_SECONDS - 1
    saved.acknowledged(Place("b", 2))
    saved.save()
    assert SavedPlace(tmp_path / "place.json").read() == Place()
    clock.now += 1
    saved.save()
    assert SavedPlace(tmp_path / "place.json").read() == Place("a", 1)
    clock.now += ON_DISK_SECONDS
    saved.save()
    assert SavedPlace(tmp_path / "place.json").read() == Place("b", 2)


def test_places_are_not_saved_all_the_time(tmp_path: Path) -> None:
    clock = Clock()
    saved = SavedPlace(tmp_path / "place.json", clock)
    for number in range(2):
        saved.acknowledged(Place(f"c{number}", number))
        clock.now += 1
    clock.now += ON_DISK_SECONDS - 1.5
    saved.save()
    clock.now += 1
    saved.save()
    assert SavedPlace(tmp_path / "place.json").read() == Place("c0", 0)
    clock.now += SAVE_SECONDS
    saved.save()
    assert SavedPlace(tmp_path / "place.json").read() == Place("c1", 1)


def test_a_full_disk_only_makes_the_saved_place_older(tmp_path: Path) -> None:
    clock = Clock()
    (tmp_path / "full").write_text("a file, so no folder can be made here")
    saved = SavedPlace(tmp_path / "full/place.json", clock)
    saved.acknowledged(Place("a", 1))
    clock.now += ON_DISK_SECONDS
    saved.save()
    (tmp_path / "full").unlink()
    clock.now += SAVE_SECONDS
    saved.save()
    assert SavedPlace(tmp_path / "full/place.json").read() == Place("a", 1)


@pytest.mark.parametrize("text", ["", "[]", '{"cursor": "a"}', '{"cursor": "a", "pull": "x"}'])
def test_a_damaged_place_is_the_beginning(tmp_path: Path, text: str) -> None:
    (tmp_path / "place.json").write_text(text)
    assert SavedPlace(tmp_path / "place.json").read() == Place()
