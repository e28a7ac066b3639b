"""Links stay open between runs: they are used while they answer, and closed by their owner
alone.
"""

from __future__ import annotations

import threading
from typing import Any, cast

import pytest

from hashlab.drivers.keptlinks import ALIVE_SECONDS, KeptLinks
from hashlab.errors import LabError
from hashlab.protocols import Connector, Endpoint, Engine, Link, Shell

WEB = Endpoint("127.0.0.1", 2201, "core")
MOVED = Endpoint("127.0.0.1", 2202, "core")


class Part:
    """One half of a link, which a test may disconnect."""

    def __init__(self) -> None:
        self.closed = 0
        self.cut = False
        self.breaks_when_closed = False

    def answers(self, seconds: float) -> bool:
        assert seconds == ALIVE_SECONDS
        return not self.cut

    def close(self) -> None:
        self.closed += 1
        if self.breaks_when_closed:
            raise EOFError("the wire is cut already")


class Dialler:
    """A connector that counts the links it opened."""

    def __init__(self) -> None:
        self.opened: list[tuple[str, Endpoint, str]] = []
        self.links: list[tuple[Part, Part]] = []
        self.refuses = False
        self.slow: threading.Barrier | None = None

    def connect(self, machine: str, endpoint: Endpoint, host_key: str) -> Link:
        if self.refuses:
            raise LabError("connection refused", where=machine)
        if self.slow:
            self.slow.wait(5)
        self.opened.append((machine, endpoint, host_key))
        shell, engine = Part(), Part()
        self.links.append((shell, engine))
        return Link(machine, cast(Shell, shell), cast(Engine, engine))

    def open_shell(self, machine: str, endpoint: Endpoint, host_key: str) -> Shell:
        self.opened.append((machine, endpoint, host_key))
        return cast(Shell, Part())

    def answers(self, endpoint: Endpoint) -> bool:
        return endpoint == WEB

    @property
    def closed(self) -> list[tuple[int, int]]:
        return [(shell.closed, engine.closed) for shell, engine in self.links]


class Kept:
    def __init__(self) -> None:
        self.dialler = Dialler()
        self.kept = KeptLinks()
        self.connector = self.kept.through(cast(Connector, self.dialler))

    def connect(self, machine: str = "web", endpoint: Endpoint = WEB, key: str = "key") -> Any:
        return self.connector.connect(machine, endpoint, key)


@pytest.fixture
def kept() -> Kept:
    return Kept()


def test_a_link_that_answers_is_used_again(kept: Kept) -> None:
    assert [kept.connect().kept for _ in range(3)] == [False, True, True]
    assert kept.dialler.opened == [("web", WEB, "key")]


def test_links_are_the_same_for_another_connector_of_a_later_run(kept: Kept) -> None:
    kept.connect()
    later = Dialler()
    kept.kept.through(cast(Connector, later)).connect("web", WEB, "key")
    assert later.opened == []


def test_a_link_that_does_not_answer_is_closed_and_opened_again(kept: Kept) -> None:
    kept.connect()
    kept.dialler.links[0][1].cut = True
    assert not kept.connect().kept
    assert len(kept.dialler.opened) == 2
    assert kept.dialler.closed == [(1, 1), (0, 0)]


def test_a_lost_link_that_cannot_be_closed_is_opened_again(kept: Kept) -> None:
    kept.connect()
    shell, engine = kept.dialler.links[0]
    engine.cut = shell.breaks_when_closed = engine.breaks_when_closed = True
    kept.connect()
    assert kept.dialler.closed == [(1, 1), (0, 0)]


@pytest.mark.parametrize(
    "other", [{"endpoint": MOVED}, {"key": "other"}], ids=["endpoint", "host key"]
)
def test_a_machine_with_another_endpoint_or_key_gets_another_link(
    kept: Kept, other: dict[str, Any]
) -> None:
    kept.connect()
    kept.connect(**other)
    assert len(kept.dialler.opened) == 2
    assert kept.dialler.closed == [(1, 1), (0, 0)]


def test_each_machine_has_a_link_of_its_own(kept: Kept) -> None:
    kept.connect("web")
    kept.connect("broker")
    kept.connect("web")
    assert [machine for machine, _, _ in kept.dialler.opened] == ["web", "broker"]


def test_a_user_of_a_link_cannot_close_it(kept: Kept) -> None:
    link = kept.connect()
    link.shell.close()
    link.engine.close()
    assert kept.dialler.closed == [(0, 0)]
    assert link.engine.answers(ALIVE_SECONDS)


def test_close_closes_all_links_and_later_ones_are_opened_again(kept: Kept) -> None:
    kept.connect("web")
    kept.connect("broker")
    kept.dialler.links[0][1].breaks_when_closed = True
    kept.kept.close()
    assert kept.dialler.closed == [(1, 1), (1, 1)]
    kept.kept.close()
    kept.connect("web")
    assert len(kept.dialler.opened) == 3


def test_a_refused_connection_is_reported_and_nothing_is_kept(kept: Kept) -> None:
    kept.dialler.refuses = True
    with pytest.raises(LabError, match="refused"):
        kept.connect()
    kept.dialler.refuses = False
    kept.connect()
    assert len(kept.dialler.opened) == 1


def together(*works: Any) -> None:
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()


def test_two_threads_that_want_one_machine_share_a_link(kept: Kept) -> None:
    start = threading.Barrier(8)

    def connect() -> None:
        start.wait(5)
        kept.connect()

    together(*[connect] * 8)
    assert len(kept.dialler.opened) == 1


def test_two_machines_are_connected_in_parallel(kept: Kept) -> None:
    kept.dialler.slow = threading.Barrier(2)  # breaks unless both threads arrive
    together(lambda: kept.connect("web"), lambda: kept.connect("broker"))
    assert len(kept.dialler.opened) == 2


def test_all_other_methods_are_the_connectors_own(kept: Kept) -> None:
    assert kept.connector.answers(WEB)
    assert not kept.connector.answers(MOVED)


def test_a_shell_is_that_of_an_open_link_and_stays_open() -> None:
    dialler, kept = Dialler(), KeptLinks()
    through: Any = kept.through(cast(Connector, dialler))
    through.connect("web", WEB, "KEY")
    through.open_shell("web", WEB, "KEY").close()
    assert len(dialler.opened) == 1
    assert dialler.links[0][0].closed == 0


@pytest.mark.parametrize("change", ["another host key", "cut", "another machine"])
def test_without_such_a_link_a_shell_is_opened(change: str) -> None:
    dialler, kept = Dialler(), KeptLinks()
    through: Any = kept.through(cast(Connector, dialler))
    through.connect("web", WEB, "KEY")
    dialler.links[0][1].cut = change == "cut"
    key = "OTHER" if change == "another host key" else "KEY"
    machine = "db" if change == "another machine" else "web"
    through.open_shell(machine, WEB, key)
    assert dialler.opened[1:] == [(machine, WEB, key)]
