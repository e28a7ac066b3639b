"""What bench/soak.py counts as lost, put back and left."""

from __future__ import annotations

import random
from pathlib import Path
from types import ModuleType

import pytest

from tests.unit.test_bench import EXAMPLE, bench

__all__ = ["bench"]


@pytest.fixture
def soak(bench, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return bench("soak")


@pytest.fixture
def lab(soak: ModuleType, bench):
    """A soak of the example whose ledgers write into a set."""

    class Paper(bench("ledger").Ledger):  # type: ignore[misc]
        server = "paper"

        def __init__(self, folder: Path) -> None:
            super().__init__(folder)
            self.there: set[int] = set()

        def put(self, number: int) -> None:
            self.there.add(number)

        def stored(self) -> set[int]:
            return set(self.there)

    made = soak.Soak(EXAMPLE, random.Random(1))
    paper = Paper(EXAMPLE)
    made.ledgers = (paper,)
    paper.start()
    yield made
    paper.stop()
    assert not paper.is_alive()


def test_what_was_acknowledged_and_is_there_is_not_lost(lab):
    [paper] = lab.ledgers
    paper.write(3)
    assert lab.lost() == 0
    assert len(paper.acknowledged()) >= 3
    assert lab.faults == []


def test_what_was_acknowledged_and_is_gone_is_lost_once(lab):
    [paper] = lab.ledgers
    paper.write(3)
    paper.rest()
    paper.there.discard(2)
    assert lab.lost() == 1
    assert lab.faults == ["paper lost [2]"]
    assert lab.lost() == 0


def test_of_a_lab_made_again_nothing_is_expected_and_nothing_asked(lab, monkeypatch):
    [paper] = lab.ledgers
    paper.write(3)
    paper.rest()
    paper.forget()
    monkeypatch.delattr(type(paper), "stored")
    assert lab.lost() == 0


def test_a_restore_brings_back_what_was_before_the_snapshot_and_nothing_later(soak, lab):
    [paper] = lab.ledgers
    paper.write(3)
    paper.rest()
    before = paper.acknowledged()
    lab.snapshot = {"paper": (before, paper.begun())}
    paper.write(2)
    paper.rest()
    with pytest.raises(soak.Fault, match="written after the snapshot"):
        lab.put_back()
    paper.write(1)
    paper.rest()
    paper.there.intersection_update(before)
    lab.put_back()
    assert paper.acknowledged() == before
    assert lab.lost() == 0


def test_a_kill_of_the_daemon_touches_no_other_process(soak, lab, monkeypatch):
    killed: list[int] = []
    monkeypatch.setattr(soak.os, "kill", lambda number, signal: killed.append(number))
    daemon = ["python", "-m", "hashlab.daemon", str(EXAMPLE)]
    listed = [
        (1, ["python", "-m", "hashlab.daemon", "/elsewhere"]),
        (2, daemon),
        (3, daemon[2:3]),
    ]
    monkeypatch.setattr(soak, "processes", lambda: iter(listed))
    assert lab.kill_daemon()
    assert killed == [2]
