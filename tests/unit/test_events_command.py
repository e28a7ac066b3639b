"""`hashlab events` and `status --follow`, as a person types them."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from fakes import Outside, running

from hashlab.commands import events, status
from hashlab.documents.events import LabEvent
from hashlab.errors import ConfigError, ExitCode, LabError, Problem
from hashlab.phases.happened import record_events
from hashlab.pipeline import CancelToken
from hashlab.run import following
from hashlab.run.execution import Options
from hashlab.state.files import StateFolder

NOON = 1_795_939_200.0
HAPPENED = [
    LabEvent(NOON, "changed", machine="web", service="site", build="b1", text="replaced"),
    LabEvent(NOON + 1, "run", command="refresh", ok=True, text="1.0 s: site"),
    LabEvent(NOON + 2, "ended", machine="broker", service="queue", replica=1, text="exit code 1"),
    LabEvent(NOON + 3, "away", machine="web", text="unreachable"),
    LabEvent(NOON + 4, "run", command="dev", ok=False, text="2.0 s: it broke"),
]


@pytest.fixture
def lab(outside: Outside, monkeypatch: pytest.MonkeyPatch) -> Outside:
    monkeypatch.setattr(Options, "world", lambda self: outside.world())
    for name in ("hashlab.run.following.state_of", "hashlab.run.labs.state_of"):
        monkeypatch.setattr(name, lambda _: StateFolder(outside.state.root, ""))
    return outside


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], None]]:
    """What happens while the command waits for the next look, one after the other; then Ctrl-C."""
    steps: list[Callable[[], None]] = []

    class Token(CancelToken):
        def wait(self, seconds: float) -> None:
            if not steps:
                raise KeyboardInterrupt
            steps.pop(0)()

    monkeypatch.setattr(following, "CancelToken", Token)
    return steps


def shown(
    monkeypatch: pytest.MonkeyPatch, run: Callable[[], int], code: ExitCode = ExitCode.OK
) -> list[str]:
    out = io.StringIO()
    monkeypatch.setattr("sys.stdout", out)
    assert run() == code
    return out.getvalue().splitlines()


def show(monkeypatch: pytest.MonkeyPatch, *service: str, **words: object) -> list[str]:
    options = Options(json=bool(words.pop("json", False)))
    given = {"follow": False, "tail": "", **words}
    return shown(monkeypatch, lambda: events.run(options, service=service, **given))  # type: ignore[arg-type]


def test_events_are_sentences_with_their_time(
    lab: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    record_events(lab.state, HAPPENED)
    assert [line.strip()[21:] for line in show(monkeypatch)] == [
        "site on web was changed, build b1: replaced",
        "hashlab refresh done: 1.0 s: site",
        "queue 1 on broker ended: exit code 1",
        "machine web is away: unreachable",
        "hashlab dev failed: 2.0 s: it broke",
    ]
    assert len(show(monkeypatch, tail="2")) == 2
    assert len(show(monkeypatch, "queue")) == 1


def test_events_are_json_one_on_a_line(lab: Outside, monkeypatch: pytest.MonkeyPatch) -> None:
    record_events(lab.state, HAPPENED)
    found = [json.loads(line) for line in show(monkeypatch, json=True)]
    assert [each["event"] for each in found] == ["changed", "run", "ended", "away", "run"]
    assert found[0]["build"] == "b1"


def test_without_a_record_there_is_nothing_to_show(
    lab: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert show(monkeypatch) == []


def test_a_wrong_number_is_refused(lab: Outside, monkeypatch: pytest.MonkeyPatch) -> None:
    run = lambda: events.run(Options(), service=(), follow=False, tail="x")  # noqa: E731
    shown(monkeypatch, run, ExitCode.CONFIG)


def test_following_notices_what_happens_and_shows_it(
    lab: Outside, monkeypatch: pytest.MonkeyPatch, waits: list[Callable[[], None]]
) -> None:
    running(lab)
    waits += [lambda: die(lab), lambda: None]
    lines = show(monkeypatch, follow=True)
    assert len(lines) == 1
    assert lines[0].endswith("exit code 3")


def follow(monkeypatch: pytest.MonkeyPatch, *, as_json: bool) -> list[str]:
    options = Options(json=as_json)
    return shown(monkeypatch, lambda: status.run(options, follow=True, services=False))


def test_status_is_shown_again_when_it_changes(
    lab: Outside, monkeypatch: pytest.MonkeyPatch, waits: list[Callable[[], None]]
) -> None:
    running(lab)
    waits += [lambda: None, lambda: die(lab), lambda: None]
    documents = [json.loads(line) for line in follow(monkeypatch, as_json=True)]
    assert [queue_of(document)["state"] for document in documents] == ["running", "ended"]


def test_a_failure_while_following_is_shown_once_and_followed_on(
    lab: Outside, monkeypatch: pytest.MonkeyPatch, waits: list[Callable[[], None]]
) -> None:
    running(lab)
    err = io.StringIO()
    monkeypatch.setattr("sys.stderr", err)
    waits += [
        lambda: fail(lab),
        lambda: None,
        lab.faults.disarm,
    ]
    lines = follow(monkeypatch, as_json=False)
    assert err.getvalue().count("gone") == 1
    assert sum("lab small" in line for line in lines) == 1


def queue_of(document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = next(e for e in document["services"] if e["name"] == "queue")
    return found


def die(lab: Outside) -> None:
    engine = lab.machines["broker"].engine
    engine.die("small-queue-1", code=3)
    engine.by_name("small-queue-1").finished_at = "2026-11-29T12:00:00Z"


def fail(lab: Outside) -> None:
    lab.faults.arm("provider.machines", LabError("gone"), always=True)


def test_a_failure_at_once_ends_with_its_code(
    lab: Outside, monkeypatch: pytest.MonkeyPatch, waits: list[Callable[[], None]]
) -> None:
    def broken(self: Options) -> None:
        raise ConfigError([Problem("compose.yaml", 1, "is empty")])

    monkeypatch.setattr(Options, "world", broken)
    run = lambda: status.run(Options(), follow=True, services=False)  # noqa: E731
    shown(monkeypatch, run, ExitCode.CONFIG)


def test_names_are_shown_with_what_runs(lab: Outside, monkeypatch: pytest.MonkeyPatch) -> None:
    running(lab)
    run = lambda: status.run(Options(), follow=False, services=True)  # noqa: E731
    lines = shown(monkeypatch, run)
    assert any("queue" in line and "small-queue-1 on broker" in line for line in lines)
    lab.machines["web"].engine.unheard = 100
    shown(monkeypatch, run, ExitCode.LAB)
