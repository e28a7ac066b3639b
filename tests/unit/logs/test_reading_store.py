"""`hashlab logs` where a log store runs: it answers, unless it cannot know."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest
from fakes import Outside, running
from fakes.logstore import FakeLogStore
from journals import DONE, NOON, Journals, Session, begin, entry, line

from hashlab.commands import logs
from hashlab.config.model import Observe
from hashlab.errors import ExitCode, LaptopError, StoreError
from hashlab.logs import reading
from hashlab.logs.gathering import Gathered
from hashlab.logs.stored import rows_of
from hashlab.protocols import Observation, StoreAddress, StoreState
from hashlab.run.execution import Options

ADDRESS = StoreAddress(9428, "hashlab", "secret")
WORDS = {
    "service": (),
    "follow": False,
    "machine": (),
    "since": "",
    "until": "",
    "tail": "",
    "grep": "",
    "level": "",
    "unit": (),
    "raw": False,
}


@pytest.fixture
def stored(outside: Outside, monkeypatch: pytest.MonkeyPatch) -> Outside:
    """A lab whose store has two lines, and whose machines have others."""
    running(outside)
    outside.lab = replace(outside.lab, observe=Observe(logs=True))
    (outside.state.observe / "store").mkdir(parents=True)
    outside.observer.seen = outside.observer.next = Observation(
        "", {"logs": StoreState(ADDRESS)}, {"web": ""}
    )
    outside.observer.rows = store = FakeLogStore()
    for number, text in enumerate(["stored one", "stored two"], start=1):
        each = entry(text, number)
        gathered = Gathered("web", each, 0.0, 0.0, [text], [f"s=a;i={number};"])
        store.rows += rows_of("small", gathered, pull=1)
    end: Session = [begin("c1"), line("of the machine", 1), DONE]
    none: Session = [begin(), DONE]
    names = [machine.name for machine in outside.lab.machines]
    Journals(outside, **{name: [end if name == "web" else none] for name in names})
    monkeypatch.setattr(Options, "world", lambda self: outside.world())
    monkeypatch.setattr(reading.time, "time", lambda: NOON + 60)
    return outside


def test_marks_of_a_service_are_no_lines_of_it(
    stored: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = stored.observer.rows
    assert isinstance(store, FakeLogStore)
    mark = {"_time": int((NOON + 1) * 1e9), "_msg": "site was changed", "mark": "1 1.0"}
    store.rows.append({**mark, "lab": "small", "machine": "web", "service": "site"})
    assert shown(monkeypatch, service=("site",))[0] == ["stored one", "stored two"]
    assert shown(monkeypatch)[0] == ["stored one", "stored two"]


def shown(
    monkeypatch: pytest.MonkeyPatch,
    *,
    code: ExitCode = ExitCode.OK,
    as_json: bool = True,
    **words: object,
) -> tuple[list[str], str]:
    """Run the command; return the messages, and what was written beside them."""
    out, err = io.StringIO(), io.StringIO()
    monkeypatch.setattr("sys.stdout", out)
    monkeypatch.setattr("sys.stderr", err)
    assert logs.run(Options(json=as_json), **{**WORDS, **words}) == code  # type: ignore[arg-type]
    return [json.loads(each)["message"] for each in out.getvalue().splitlines()], err.getvalue()


def test_the_store_answers_and_no_machine_is_asked(
    stored: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert shown(monkeypatch) == (["stored one", "stored two"], "")
    assert shown(monkeypatch, tail="1")[0] == ["stored two"]
    assert shown(monkeypatch, grep="o[n]e")[0] == ["stored one"]
    assert stored.runner.streamed == []


def test_what_the_store_lacks_is_said(stored: Outside, monkeypatch: pytest.MonkeyPatch) -> None:
    away = {"web": "Connection refused", "broker": ""}
    stored.observer.seen = replace(stored.observer.next, machines=away)
    lines, notices = shown(monkeypatch)
    assert lines == ["stored one", "stored two"]
    assert notices == "new lines of machine web are missing: Connection refused\n"


def test_a_store_that_ended_is_started_again(
    stored: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored.observer.seen = None
    assert shown(monkeypatch) == (["stored one", "stored two"], "")


@pytest.mark.parametrize("why", ["it starts", "process"])
def test_without_an_answer_the_machines_are_asked(
    stored: Outside, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    if why == "process":
        stored.observer.seen = None
        stored.faults.arm("observer.start", LaptopError("no"))
    else:
        stored.observer.seen = replace(stored.observer.next, stores={"logs": StoreState(None, why)})
    lines, notices = shown(monkeypatch)
    assert lines == ["of the machine"]
    assert notices.startswith("the log store does not answer (")


@pytest.mark.parametrize("case", ["not asked for", "nothing stored", "unit pattern"])
def test_where_the_store_cannot_know_the_machines_are_asked(
    stored: Outside, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    if case == "not asked for":
        stored.lab = replace(stored.lab, observe=Observe())
    elif case == "nothing stored":
        (stored.state.observe / "store").rmdir()
        stored.state.observe.rmdir()
    pattern = ("dock*",) if case == "unit pattern" else ()
    lines, notices = shown(monkeypatch, unit=pattern)
    assert lines == ([] if pattern else ["of the machine"])
    assert "store" not in notices
    assert stored.runner.streamed


def test_a_store_that_stops_in_the_middle_is_a_failure(
    stored: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored.observer.rows = Broken()
    _, notices = shown(monkeypatch, code=ExitCode.LAPTOP, as_json=False)
    assert "stopped answering" in notices


class Broken(FakeLogStore):
    def flush(self) -> None:
        raise StoreError("the log store stopped answering: reset")
