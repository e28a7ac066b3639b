"""What the page shows is observed on the machines, and only while somebody looks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from fakes import Outside, running

from hashlab.documents.logs import LogLine
from hashlab.documents.usage import MachineUsage, ReplicaUsage, Usage
from hashlab.errors import ConfigError, Problem
from hashlab.run.execution import Options
from hashlab.state.files import StateFolder
from hashlab.ui import collecting
from hashlab.ui.collecting import MOST_TEXT, Collector, LogFeed, point_of, shown_text
from hashlab.ui.feed import Cursor, Feed


class Logs:
    """Stands for the machines' logs: which are followed now."""

    def __init__(self) -> None:
        self.open: list[tuple[str, ...]] = []
        self.closed = 0

    @contextmanager
    def follow(self, world: Any, screen: LogFeed, *, tail: int) -> Iterator[None]:
        self.open.append(tuple(world.machine_names()))
        screen.show([LogLine(0.0, "web", "site", 1, "b1", None, None, "hello")])
        try:
            yield
        finally:
            self.closed += 1


class Unused:
    """Stands for the use of machines, of which no sample has come."""

    def __init__(self, world: Any, machines: tuple[str, ...]) -> None:
        pass

    def usage(self) -> Usage:
        return Usage()

    def close(self) -> None:
        pass


@pytest.fixture
def logs(outside: Outside, monkeypatch: pytest.MonkeyPatch) -> Logs:
    made = Logs()
    monkeypatch.setattr(Options, "world", lambda self: outside.world())
    monkeypatch.setattr(collecting, "state_of", lambda _: StateFolder(outside.state.root, ""))
    monkeypatch.setattr(collecting, "following", made.follow)
    monkeypatch.setattr(collecting, "CurrentUsage", Unused)
    return made


def collector(feed: Feed) -> Collector:
    return Collector(Options(), feed)


def until(done: Callable[[], object]) -> None:
    for _ in range(500):
        if done():
            return
        threading.Event().wait(0.01)
    raise AssertionError("it did not happen")


def test_one_look_shows_status_picture_logs_and_events(outside: Outside, logs: Logs) -> None:
    running(outside)
    feed = Feed()
    look = collector(feed)
    look.look()
    until(lambda: logs.open)
    assert {each.state for each in feed.value("status").machines} == {"running"}
    assert [each.name for each in feed.value("picture").services] == [
        "queue",
        "migrate",
        "site",
    ]
    assert feed.value("problem") is None
    assert logs.open == [tuple(each.name for each in feed.value("status").machines)]
    look.release()
    assert logs.closed == 1


def test_a_lab_without_machines_has_no_logs_to_follow(outside: Outside, logs: Logs) -> None:
    feed = Feed()
    look = collector(feed)
    look.look()
    look.release()
    assert logs.open == []
    assert {each.state for each in feed.value("status").machines} == {"not created"}


def test_broken_files_are_shown_until_they_are_fixed(
    outside: Outside, logs: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Options) -> None:
        raise ConfigError([Problem("compose.yaml", 3, "unknown key 'imag'", "image")])

    feed = Feed()
    look = collector(feed)
    monkeypatch.setattr(Options, "world", broken)
    look.look()
    assert "unknown key 'imag'" in feed.value("problem")["what"]
    assert feed.value("looked") is None
    monkeypatch.setattr(Options, "world", lambda self: outside.world())
    look.look()
    look.release()
    assert feed.value("problem") is None
    assert feed.value("looked") is not None


def test_machines_are_left_alone_while_nobody_looks(
    outside: Outside, logs: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    running(outside)
    monkeypatch.setattr(collecting, "IDLE_SECONDS", 0.01)
    monkeypatch.setattr(collecting, "EVERY_SECONDS", 0.01)
    feed = Feed()
    look = collector(feed)
    looks: list[int] = []
    monkeypatch.setattr(look, "look", lambda: looks.append(1))
    thread = threading.Thread(target=look.run)
    thread.start()
    until(lambda: looks)
    assert len(looks) == 1
    feed.enter()
    until(lambda: len(looks) > 3)
    feed.leave()
    look.close()
    thread.join(5)
    assert not thread.is_alive()
    look.check()


def test_a_bug_in_a_look_ends_the_command(
    outside: Outside, logs: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bug() -> None:
        raise ZeroDivisionError

    look = collector(Feed())
    monkeypatch.setattr(look, "look", bug)
    look.run()
    with pytest.raises(ZeroDivisionError):
        look.check()


def test_a_point_has_what_machines_and_running_replicas_use() -> None:
    idle = ReplicaUsage("db", 1, "web", None, None, None, None, None)
    busy = ReplicaUsage("site", 2, "web", 0.12345, 2_000_000, None, None, None)
    machine = MachineUsage("web", 1.0, 2.0, None, 100, 500, 10, 4, None, None, True)
    assert point_of(Usage((machine,), (idle, busy)), 1000.04) == {
        "time": 1000.0,
        "machines": {"web": [None, 100]},
        "services": {"site 2": [0.123, 2_000_000]},
    }


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("plain", "plain"),
        ('{"level": "warn", "message": "late", "ms": 7}', "WARN late ms=7"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("<img src=x onerror=alert(1)>", "<img src=x onerror=alert(1)>"),
    ],
)
def test_lines_are_shown_as_a_person_reads_them(message: str, expected: str) -> None:
    assert shown_text(message) == expected


def test_a_very_long_line_is_cut_and_says_so() -> None:
    shown = shown_text("x" * (MOST_TEXT + 7))
    assert shown.endswith("x … 7 more characters: hashlab logs")


def test_what_happens_to_a_machine_is_a_notice() -> None:
    feed = Feed()
    LogFeed(feed).notice("machine web does not answer")
    batch = feed.batch(Cursor(), 0)
    assert batch is not None
    assert batch["notices"]["items"] == ["machine web does not answer"]
