"""Events of the lab as marks among its log lines: each once, whatever fails."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from fakes import Outside
from fakes.logstore import FakeLogStore

from hashlab.documents.events import LabEvent
from hashlab.logs.selection import Selection
from hashlab.logs.stored import stored_lines
from hashlab.observe.marks import Marks
from hashlab.phases.happened import record_events
from hashlab.pipeline import CancelToken

NOON = 1_795_939_200.0
CHANGED = LabEvent(NOON, "changed", machine="web", service="site", build="b2", text="replaced")


def marked(
    outside: Outside, store: FakeLogStore, steps: list[Callable[[], None]]
) -> tuple[list[str], list[str]]:
    """Mark events until all steps are done, each after a look; return the texts and the log."""
    log: list[str] = []

    class Token(CancelToken):
        def wait(self, seconds: float) -> None:
            steps.pop(0)() if steps else self.cancel()
            self.check()

    work = Marks(outside.world(), store, log=log.append, cancel=Token())
    thread = threading.Thread(target=work.run)
    thread.start()
    thread.join(20)
    assert not thread.is_alive()
    return [row["_msg"] for row in store.rows], log


def test_events_are_marked_once_old_ones_and_new_ones(outside: Outside) -> None:
    store = FakeLogStore()
    run = LabEvent(NOON + 1, "run", command="refresh", ok=True, text="1.0 s: site")
    record_events(outside.state, [CHANGED])
    texts = ["site on web was changed, build b2: replaced", "hashlab refresh done: 1.0 s: site"]
    new: list[Callable[[], None]] = [lambda: record_events(outside.state, [run]), lambda: None]
    assert marked(outside, store, new) == (texts, [])
    assert marked(outside, store, []) == (texts, [])
    row = store.rows[0]
    assert (row["running_build"], row["event"], row["service"]) == ("b2", "changed", "site")


@pytest.mark.parametrize("failing", ["before", "after"])
def test_a_store_that_fails_gets_each_mark_once(outside: Outside, failing: str) -> None:
    store = FakeLogStore()
    store.failing = [failing]
    record_events(outside.state, [CHANGED])
    texts, log = marked(outside, store, [lambda: None, lambda: None])
    assert len(texts) == 1
    assert log == ["marks: the log store does not answer: timed out"]


def test_a_record_that_began_again_is_marked_too(outside: Outside) -> None:
    store = FakeLogStore()
    record_events(outside.state, [CHANGED])
    marked(outside, store, [])
    outside.state.events.unlink()
    record_events(outside.state, [LabEvent(NOON + 60, "run", command="dev", ok=True)])
    assert len(marked(outside, store, [])[0]) == 2


def test_marks_are_not_among_the_lines_of_services(outside: Outside) -> None:
    store = FakeLogStore()
    record_events(outside.state, [CHANGED])
    marked(outside, store, [])
    assert list(stored_lines(store, "small", Selection(("web",)))) == []
