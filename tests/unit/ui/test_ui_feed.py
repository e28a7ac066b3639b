"""The feed: each viewer gets what is new to it, and an old viewer costs nothing."""

from __future__ import annotations

import threading

from hashlab.documents.logs import Level, LogLine
from hashlab.ui.feed import MOST_ITEMS, Cursor, Feed, Ring


def line(text: str, level: Level | None = None, service: str = "web") -> LogLine:
    return LogLine(0.0, "front", service, 1, "b1", None, level, text)


def test_a_ring_keeps_the_last_items_and_says_how_many_are_gone() -> None:
    ring = Ring(3)
    ring.add([0, 1, 2, 3, 4])
    assert ring.after(0) == ([2, 3, 4], 2)
    assert ring.after(4) == ([4], 0)
    assert ring.after(5) == ([], 0)


def test_a_new_viewer_gets_everything_and_then_only_what_changed() -> None:
    feed, cursor = Feed(), Cursor()
    feed.put("status", {"lab": "hello"})
    feed.add_logs([line("one")])
    first = feed.batch(cursor, 0)
    assert first is not None
    assert first["status"] == {"lab": "hello"}
    assert [each.message for each in first["logs"]["items"]] == ["one"]
    feed.put("run", {"command": "refresh"})
    assert feed.batch(cursor, 0) == {"run": {"command": "refresh"}}
    assert feed.batch(cursor, 0) == {}


def test_the_same_value_again_is_no_change() -> None:
    feed, cursor = Feed(), Cursor()
    feed.put("status", {"lab": "hello"})
    feed.batch(cursor, 0)
    feed.put("status", {"lab": "hello"})
    assert feed.batch(cursor, 0) == {}


def test_none_ends_a_value() -> None:
    feed, cursor = Feed(), Cursor()
    feed.put("run", {"command": "dev"})
    feed.batch(cursor, 0)
    feed.put("run", None)
    assert feed.batch(cursor, 0) == {"run": None}


def test_a_slow_viewer_misses_old_lines_only_and_is_told_how_many() -> None:
    feed, cursor = Feed(), Cursor()
    feed.add_logs([line("first")])
    feed.batch(cursor, 0)
    feed.add_logs([line(str(n)) for n in range(MOST_ITEMS + 5)])
    batch = feed.batch(cursor, 0)
    assert batch is not None
    assert batch["logs"]["gone"] == 5
    assert [batch["logs"]["items"][n].message for n in (0, -1)] == ["5", str(MOST_ITEMS + 4)]


def test_lines_are_counted_by_service_and_level_also_when_they_are_gone() -> None:
    feed, cursor = Feed(), Cursor()
    feed.add_logs([line(str(n), "error") for n in range(MOST_ITEMS + 5)])
    feed.add_logs([line("x", None, "db"), line("y", "warn", "db")])
    batch = feed.batch(cursor, 0)
    assert batch is not None
    assert batch["counts"] == [["db", "", 1], ["db", "warn", 1], ["web", "error", MOST_ITEMS + 5]]


def test_logs_that_are_read_again_are_not_shown_twice() -> None:
    feed, cursor = Feed(), Cursor()
    feed.add_logs([line("one"), line("two")])
    before = feed.batch(cursor, 0)
    feed.clear_logs()
    feed.add_logs([line("two")])
    batch = feed.batch(cursor, 0)
    assert before is not None
    assert batch is not None
    assert "log_epoch" not in before
    assert batch["log_epoch"] == 2
    assert [each.message for each in batch["logs"]["items"]] == ["two"]
    assert batch["counts"] == [["web", "", 1]]


def test_a_waiting_viewer_is_woken_by_a_change_and_by_the_end() -> None:
    feed, cursor = Feed(), Cursor()
    found: list[object] = []
    waiting = threading.Thread(target=lambda: found.append(feed.batch(cursor, 30)))
    waiting.start()
    feed.put("status", 1)
    waiting.join(5)
    assert found == [{"status": 1}]
    ending = threading.Thread(target=lambda: found.append(feed.batch(cursor, 30)))
    ending.start()
    feed.close()
    ending.join(5)
    assert found == [{"status": 1}, None]


def test_viewers_are_counted() -> None:
    feed = Feed()
    assert not feed.wait_for_viewers(0)
    feed.enter()
    assert feed.wait_for_viewers(0)
    feed.leave()
    assert not feed.wait_for_viewers(0)
