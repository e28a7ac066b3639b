"""The log store: the fake and VictoriaLogs keep lines and find them alike, and no kill makes one
missing or doubled.

VictoriaLogs runs on a port of 127.0.0.1 in a temporary folder; each test ends its own.
"""

from __future__ import annotations

import os
import signal
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fakes import make_world, small_lab
from fakes.logstore import FakeLogStore

from hashlab.documents.events import LabEvent
from hashlab.documents.logs import LogLine
from hashlab.drivers.laptop import free_port
from hashlab.drivers.logstore import HttpLogStore, log_store_answers, log_store_process
from hashlab.errors import StoreError
from hashlab.logs import feeding
from hashlab.logs.entries import Entry
from hashlab.logs.feeding import SavedPlace, Session
from hashlab.logs.selection import Selection, select
from hashlab.logs.stored import PAGE, stored_lines
from hashlab.observe.marks import Marks
from hashlab.phases.happened import record_events
from hashlab.pipeline import CancelToken
from hashlab.protocols import LogStore, StoreAddress

NOON = 1_795_939_200.0
LAB = "small"


class Bench:
    """A store that can be killed."""

    store: LogStore

    def kill(self) -> None:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError


class Fake(Bench):
    def __init__(self) -> None:
        self.store = self.fake = FakeLogStore()

    def kill(self) -> None:
        self.fake.kill()

    def close(self) -> None:
        return None


class Real(Bench):
    def __init__(self, program: Path, folder: Path) -> None:
        self._program, self._folder = program, folder
        (folder / "password").write_text("secret")
        self._start()

    def _start(self) -> None:
        self.address = StoreAddress(free_port(), "hashlab", "secret")
        self.process = log_store_process(
            self._program, folder=self._folder, address=self.address, days=3000, disk=2**30
        )
        while not log_store_answers(self.address):
            assert not self.process.ended
        self.store = HttpLogStore(self.address)

    def kill(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)
        self.close()
        self._start()

    def close(self) -> None:
        self.store.close()
        self.process.stop()


@pytest.fixture(params=["fake", "real"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    real = request.param == "real"
    made: Bench = Real(request.getfixturevalue("log_store"), tmp_path) if real else Fake()
    yield made
    made.close()


def entry(number: int, text: str, *, container: str = "small-site-1", **more: object) -> Entry:
    """Return an entry of a journal, whose time is a thousandth of a second for each number."""
    service = container.split("-")[1] if container else ""
    values = {"service": service, "build": "b1", "unit": "docker", "priority": 6, **more}
    at = round(NOON + number / 1000, 6)
    return Entry(f"s=ab;i={number:x};b=0", at, container, text=text, **values)  # type: ignore[arg-type]


def feed(bench: Bench, tmp_path: Path, *batches: list[Entry], machine: str = "web") -> None:
    """Read a journal from the saved place on, as a new reader does."""
    session = Session(LAB, machine, bench.store, SavedPlace(tmp_path / f"{machine}.json"))
    for batch in batches:
        session.take(each for each in batch if each.cursor > session.after)
    session.take([])


def found(
    bench: Bench, *, machines: tuple[str, ...] = ("broker", "web"), **how: object
) -> list[LogLine]:
    """Return the lines that the store has, as `hashlab logs` shows them."""
    selection = Selection(machines, **how)  # type: ignore[arg-type]
    lines = [line for line in stored_lines(bench.store, LAB, selection) if selection.accepts(line)]
    return lines if selection.tail is None else lines[len(lines) - selection.tail :]


def texts(bench: Bench, **how: Any) -> list[str]:
    return [line.message for line in found(bench, **how)]


def test_a_line_is_found_with_all_that_is_known_about_it(bench: Bench, tmp_path: Path) -> None:
    feed(bench, tmp_path, [entry(1, "2026-11-29 ERROR no"), entry(2, "  at x")])
    assert found(bench) == [
        LogLine(NOON + 0.001, "web", "site", 1, "b1", None, "error", "2026-11-29 ERROR no\n  at x")
    ]


ODD = ["", " ", "a\x00b\x1b[1m", "é" * 300_000, '{"a": 1}', "two\nlines", '\\d "quoted"', "😀"]


def test_no_text_is_changed(bench: Bench, tmp_path: Path) -> None:
    feed(bench, tmp_path, *([entry(1000 * n, text)] for n, text in enumerate(ODD, start=1)))
    assert texts(bench) == ODD


def test_lines_of_machines_are_found_in_the_order_of_time(bench: Bench, tmp_path: Path) -> None:
    feed(bench, tmp_path, [entry(n, f"web {n}") for n in (1, 3)])
    queue = [entry(n, f"broker {n}", container="small-queue-1") for n in (2, 4)]
    feed(bench, tmp_path, queue, machine="broker")
    assert texts(bench) == ["web 1", "broker 2", "web 3", "broker 4"]
    assert texts(bench, machines=("web",)) == ["web 1", "web 3"]
    assert texts(bench, services=("queue",)) == ["broker 2", "broker 4"]
    assert texts(bench, tail=2) == ["web 3", "broker 4"]
    assert texts(bench, tail=0) == []
    assert texts(bench, since=NOON + 0.002, until=NOON + 0.003) == ["broker 2", "web 3"]


def test_the_lines_of_units_are_found_by_their_names_only(bench: Bench, tmp_path: Path) -> None:
    unit = entry(2, "started", container="", service="", unit="ssh", priority=4)
    feed(bench, tmp_path, [entry(1, "of a service"), unit])
    assert texts(bench) == ["of a service"]
    assert found(bench, units=("ssh.service",)) == [
        LogLine(NOON + 0.002, "web", None, None, "b1", "ssh", "warn", "started")
    ]


EXPRESSIONS = [
    *(
        r"o+",
        r"(?i)WORLD",
        r"^hello",
        r"world$",
        r"h.*o|x",
        r"\[1\]",
        r"\d",
        r"[\[]1",
        r"(?=hello)",
    ),
    *(r"wor\b", r"é", r'"quoted"', r"a\\b", "two\\nlines", r"s\.", r"\w+ \w+$", r"(l)\1"),
]
TEXTS = ["hello world", "[1] x", 'é "quoted"', r"a\b", "two\nlines", "s.", "HELLO"]


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_an_expression_finds_what_python_finds(
    bench: Bench, tmp_path: Path, expression: str
) -> None:
    feed(bench, tmp_path, *([entry(1000 * n, text)] for n, text in enumerate(TEXTS, start=1)))
    words = {"services": (), "machines": (), "units": (), "follow": False, "level": ""}
    empty = {"since": "", "until": "", "tail": ""}
    lab = small_lab(tmp_path / "lab")
    selection = select(lab, **words, **empty, grep=expression, now=NOON, changed=fail)  # type: ignore[arg-type]
    assert selection.grep is not None
    expected = [text for text in TEXTS if selection.grep.search(text)]
    assert texts(bench, grep=selection.grep) == expected


def test_lines_of_a_level_and_above_are_found(bench: Bench, tmp_path: Path) -> None:
    lines = [entry(1, "INFO a"), entry(2, "WARN b"), entry(3, "FATAL c"), entry(4, "plain")]
    feed(bench, tmp_path, lines)
    assert texts(bench, level="warn") == ["WARN b", "FATAL c"]


def test_more_lines_than_a_page_are_found_in_order_once(bench: Bench, tmp_path: Path) -> None:
    count = PAGE + 500
    numbered = [
        replace(
            entry(n // 300 * 300, f"{n}", container=f"small-site-{n % 7}"),
            cursor=f"s=ab;i={n + 1:x};",
        )
        for n in range(count)
    ]
    feed(bench, tmp_path, *(numbered[at : at + 2000] for at in range(0, count, 2000)))
    assert texts(bench) == [str(n) for n in range(count)]


def test_many_long_lines_are_found_in_order(bench: Bench, tmp_path: Path) -> None:
    """The store's memory holds none of the pages."""
    lines = [entry(n, f"{n} " + "x" * 100_000) for n in range(1, 301)]
    feed(bench, tmp_path, *(lines[at : at + 50] for at in range(0, 300, 50)))
    assert [text.split()[0] for text in texts(bench)] == [str(n) for n in range(1, 301)]
    assert [text.split()[0] for text in texts(bench, tail=200)] == [str(n) for n in range(101, 301)]


def journal(count: int) -> list[Entry]:
    """Return the lines of two containers, with a stack trace now and then."""
    lines = []
    for number in range(1, count + 1):
        text = f"  at {number}" if number % 10 == 7 else f"line {number}"
        lines.append(entry(number, text, container=f"small-site-{number % 2 + 1}"))
    return lines


def all_texts(bench: Bench) -> list[str]:
    return sorted(line for text in texts(bench) for line in text.splitlines())


@pytest.mark.parametrize("on_disk", [0, 30, 55, 100])
def test_a_store_that_is_killed_has_each_line_once_afterwards(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on_disk: int
) -> None:
    """The places are saved at once, which is later than the store's disk has the rows."""
    lines = journal(100)
    expected = sorted(each.text for each in lines)
    feed(bench, tmp_path, lines[:40], lines[40:70])
    if isinstance(bench, Fake):
        bench.fake.on_disk = on_disk
    bench.kill()
    feed(bench, tmp_path, lines[:50], lines[50:])
    assert all_texts(bench) == expected
    feed(bench, tmp_path, lines)
    assert all_texts(bench) == expected


def test_a_reader_that_is_killed_stores_nothing_twice(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each place that was ever saved is one from which a reader can go on."""
    monkeypatch.setattr(feeding, "ON_DISK_SECONDS", 0.0)
    monkeypatch.setattr(feeding, "SAVE_SECONDS", 0.0)
    lines = journal(100)
    for stop in range(5, 101, 5):
        saved = SavedPlace(tmp_path / "web.json")
        session = Session(LAB, "web", bench.store, saved)
        begin = next((n + 1 for n, each in enumerate(lines) if each.cursor == session.after), 0)
        for number in range(begin, stop, 3):
            session.take(lines[number : min(number + 3, stop)])
    feed(bench, tmp_path, lines)
    assert all_texts(bench) == sorted(each.text for each in lines)


def test_rows_that_may_or_may_not_be_stored_are_stored_once(bench: Bench, tmp_path: Path) -> None:
    lines = journal(20)
    if isinstance(bench, Fake):
        for failing in ("before", "after"):
            bench.fake.failing = [failing]
            with pytest.raises(StoreError):
                feed(bench, tmp_path, lines)
    feed(bench, tmp_path, lines)
    feed(bench, tmp_path, lines)
    assert all_texts(bench) == sorted(each.text for each in lines)


def test_a_killed_place_file_costs_time_but_no_line(bench: Bench, tmp_path: Path) -> None:
    feed(bench, tmp_path, journal(50))
    (tmp_path / "web.json").unlink(missing_ok=True)
    feed(bench, tmp_path, journal(60))
    assert all_texts(bench) == sorted(each.text for each in journal(60))


def test_only_who_knows_the_password_reads_the_store(log_store: Path, tmp_path: Path) -> None:
    real = Real(log_store, tmp_path)
    try:
        feed(real, tmp_path, [entry(1, "mine")])
        stranger = HttpLogStore(StoreAddress(real.address.port, "hashlab", "guess"))
        with pytest.raises(StoreError, match="401"):
            list(stranger.query("*"))
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(real.address.page("logs"), timeout=5)
        words = Path(f"/proc/{real.process.pid}/cmdline").read_bytes()
        assert b"-httpAuth.password=file:" in words
        assert b"secret" not in words
        assert "secret" not in repr(real.address)
    finally:
        real.close()


def test_a_store_ends_with_the_process_that_started_it(log_store: Path, tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        real = Real(log_store, tmp_path)
        (tmp_path / "pid").write_text(str(real.process.pid))
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    pid = int((tmp_path / "pid").read_text())
    for _ in range(500):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return
        if state == "Z":
            return
        signal.sigtimedwait([], 0.02)
    raise AssertionError("it still runs")


def test_marks_of_events_are_stored_once_and_apart(bench: Bench, tmp_path: Path) -> None:
    world = make_world(tmp_path / "marks")
    happened = [
        LabEvent(NOON, "changed", machine="web", service="site", build="b2", text="replaced"),
        LabEvent(NOON + 1, "run", command="refresh", ok=True),
    ]
    record_events(world.state, happened)
    feed(bench, tmp_path, [entry(1, "a line")])
    for _ in range(2):
        cancel = CancelToken()
        work = Marks(world, bench.store, log=fail, cancel=cancel)
        thread = threading.Thread(target=work.run)
        thread.start()
        cancel.cancel()
        thread.join(20)
    bench.store.flush()
    found = list(bench.store.query('{lab="small"} mark:* service:in("site")'))
    assert [row["_msg"] for row in found] == ["site on web was changed, build b2: replaced"]
    assert texts(bench) == ["a line"]


def fail(text: str) -> None:
    raise AssertionError(text)
