"""`hashlab watch` between saves: when it refreshes, what it tells, how it waits and ends."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from fakes import small_lab, write_files
from fakes.watching import NOON, FakeClock, FakeWatcher

from hashlab.config.model import Artifact, Lab
from hashlab.documents import to_json
from hashlab.documents.run import Cause, run_record
from hashlab.errors import (
    ConfigError,
    HashlabError,
    Interrupted,
    LabError,
    LaptopError,
    LockedError,
    Problem,
)
from hashlab.pipeline import Row, RunResult
from hashlab.report import Rounds
from hashlab.run.execution import Run
from hashlab.watch.loop import Watch

Effect = Callable[[], object]
NOTHING: tuple[Row, ...] = ()
LOCKED = LockedError("another run is at work on this lab: dev (process 1)")
AWAY = LabError("the machine is stopped", where="web", next_step="hashlab dev")


def row(name: str, detail: str, **where: str) -> Row:
    return Row(name, where.get("machine"), where.get("service"), NOON, 0.1, "ok", detail)


SENT = row("upload", "1 sent", machine="web")
REPLACED = row("container", "replaced: its build changed", service="site", machine="web")


@dataclass
class Scene:
    """A lab that is watched, with a refresh that takes ``seconds`` and ends as was prepared."""

    lab: Lab
    clock: FakeClock = field(default_factory=FakeClock)
    seconds: float = 0.5
    began: list[float] = field(default_factory=list)
    outcomes: list[HashlabError | Sequence[Row] | None] = field(default_factory=list)
    during: dict[int, Effect] = field(default_factory=dict)
    causes: tuple[Cause, ...] = ()
    notes: tuple[str, ...] = ()
    broken: ConfigError | None = None
    away: list[str] = field(default_factory=list)
    unasked: list[HashlabError] = field(default_factory=list)
    people: io.StringIO = field(default_factory=io.StringIO)
    lines: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.watcher = FakeWatcher(self.clock)

    def path(self, name: str) -> Path:
        return self.lab.folder / name

    def read(self) -> Lab:
        if self.broken:
            raise self.broken
        return self.lab

    def refresh(self) -> Run:
        number = len(self.began)
        self.began.append(self.clock.since)
        outcome = self.outcomes.pop(0) if self.outcomes else NOTHING
        if isinstance(outcome, LockedError):
            raise outcome
        self.clock.value += self.seconds
        if number in self.during:
            self.during[number]()
        error = outcome if isinstance(outcome, HashlabError) else None
        rows = () if isinstance(outcome, HashlabError) or outcome is None else tuple(outcome)
        result = RunResult(rows, NOON, self.seconds, error)
        return Run(
            result, run_record("refresh", "small", "docker", result), self.notes, {}, self.causes
        )

    def watch(self, end: float = 60.0) -> Scene:
        """Watch until Ctrl-C at ``end``."""
        self.watcher.end = end
        with pytest.raises(KeyboardInterrupt):
            self.watching().run()
        return self

    def watching(self) -> Watch:
        return Watch(
            read=self.read,
            refresh=self.refresh,
            silent=self.silent,
            watcher=self.watcher,
            rounds=Rounds(self.people, document=self.lines.append),
            clock=self.clock,
            now=self.clock,
        )

    def silent(self) -> list[str]:
        if self.unasked:
            raise self.unasked.pop()
        return self.away

    @property
    def told(self) -> str:
        return self.people.getvalue()

    @property
    def documents(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(small_lab(tmp_path / "lab"))


def test_it_refreshes_at_once_and_says_what_is_watched_and_how_to_leave(scene: Scene) -> None:
    scene.watch()
    assert scene.began == [0.0]
    first, second = scene.told.splitlines()[:2]
    assert first.startswith("small: watching queue, site, static, conf/site.conf, src")
    assert "Ctrl-C" in first
    assert second.endswith("0.50 s  nothing changed  (start)")


def test_a_save_is_brought_to_the_lab_and_told_in_one_line(scene: Scene) -> None:
    scene.outcomes = [None, [SENT, REPLACED]]
    scene.causes = (Cause("artifact app", ("src/main.txt",)),)
    scene.watcher.save(scene.path("src/main.txt"), at=10)
    scene.watch()
    assert 10 < scene.began[1] <= 10.1
    assert scene.told.splitlines()[-1].endswith(
        " 0.54 s  1 file sent to web, site replaced  (src/main.txt)"
    )


def test_a_burst_of_saves_is_one_refresh_right_after_its_end(scene: Scene) -> None:
    for number in range(20):
        scene.watcher.save(scene.path(f"src/{number}"), at=10 + number * 0.03)
    scene.watch()
    assert len(scene.began) == 2
    assert 10.57 < scene.began[1] <= 10.67


def test_a_burst_without_end_is_refreshed_after_a_second_and_once_more(scene: Scene) -> None:
    for number in range(60):
        scene.watcher.save(scene.path("src/main.txt"), at=10 + number * 0.03)
    scene.watch()
    assert len(scene.began) == 3
    assert scene.began[1] == pytest.approx(11.0, abs=0.02)
    assert 11.77 < scene.began[2] <= 11.9


def test_a_save_during_a_refresh_leads_to_one_more_right_after(scene: Scene) -> None:
    scene.seconds = 3.0
    scene.watcher.save(scene.path("src/main.txt"), at=10)
    for moment in (11.0, 11.5, 12.0):
        scene.watcher.save(scene.path("static/index.html"), at=moment)
    scene.outcomes = [None, [REPLACED], [SENT]]
    scene.watch()
    assert len(scene.began) == 3
    assert scene.began[2] - (scene.began[1] + 3.0) <= 0.1
    assert [d["seconds"] for d in scene.documents[1:]] == [3.04, pytest.approx(5.08, abs=0.02)]


def test_that_nothing_was_missed_meanwhile_is_no_news(scene: Scene) -> None:
    scene.watcher.save(scene.path("src/main.txt"), at=10)
    scene.watcher.save(scene.path("src/main.txt"), at=10.2)
    scene.outcomes = [None, [REPLACED], None]
    scene.watch()
    assert len(scene.began) == 3
    assert len(scene.documents) == 2


def test_a_save_that_changes_nothing_is_told_as_that(scene: Scene) -> None:
    scene.watcher.save(scene.path("static/index.html"), at=10)
    scene.watch()
    assert scene.told.splitlines()[-1].endswith("nothing changed  (static/index.html)")


def test_what_a_run_writes_itself_starts_no_refresh(scene: Scene) -> None:
    for name in ("out/app/main.bin", ".hashlab/runs/x.json", ".git/index", "notes.txt"):
        scene.watcher.save(scene.path(name), at=10)
    scene.watch()
    assert len(scene.began) == 1


def test_a_build_that_writes_into_its_inputs_slows_down_and_is_named(scene: Scene) -> None:
    written = scene.path("src/generated.txt")
    scene.during = {
        number: lambda: scene.watcher.save(written, at=scene.clock.since - 0.1)
        for number in range(1, 1000)
    }
    scene.outcomes = [None, *[[REPLACED]] * 500]
    scene.watcher.save(scene.path("src/main.txt"), at=1)
    scene.watch(end=300)
    assert len(scene.began) < 25
    assert "src/generated.txt changes at each refresh" in scene.told


def test_typing_faster_than_refreshes_run_is_not_slowed_down(scene: Scene) -> None:
    """Each refresh has a save in it, but the next save ends whatever pause that leads to."""
    for number in range(51):
        scene.watcher.save(scene.path("src/main.txt"), at=10 + number * 0.4)
    scene.watch()
    gaps = [b - a for a, b in zip(scene.began[1:], scene.began[2:], strict=False)]
    assert max(gaps) < 1.5
    assert 30 < scene.began[-1] < 32


def broken(scene: Scene, message: str = "no name") -> ConfigError:
    return ConfigError([Problem("hashlab.toml", 3, message)], sources=[scene.path("hashlab.toml")])


def test_broken_files_are_told_once_and_waited_for(scene: Scene) -> None:
    scene.broken = broken(scene)
    scene.watcher.act(11, lambda: setattr(scene, "broken", None))
    scene.watcher.save(scene.path("hashlab.toml"), at=11)
    scene.watch()
    assert scene.told.count("hashlab.toml:3: no name") == 1
    assert 11 < scene.began[0] <= 11.1
    assert scene.documents[0]["error"]["exit_code"] == 2
    assert scene.documents[0]["run"] is None


def test_another_mistake_in_broken_files_is_told_too(scene: Scene) -> None:
    scene.broken = broken(scene)
    scene.watcher.act(10, lambda: setattr(scene, "broken", broken(scene, "no machines")))
    scene.watcher.save(scene.path("hashlab.toml"), at=10)
    scene.watch()
    assert "no machines" in scene.told
    assert scene.began == []


def test_what_mends_broken_files_from_elsewhere_is_noticed(scene: Scene) -> None:
    scene.broken = broken(scene, "'./data' does not exist")
    scene.watcher.act(10, lambda: setattr(scene, "broken", None))
    scene.watch()
    assert len(scene.began) == 1
    assert "the lab's files are right again" in scene.told


def test_while_files_are_broken_what_counted_before_is_still_watched(scene: Scene) -> None:
    scene.watcher.act(10, lambda: setattr(scene, "broken", broken(scene)))
    scene.watcher.act(20, lambda: setattr(scene, "broken", None))
    scene.watcher.save(scene.path("src/main.txt"), at=10)
    scene.watcher.save(scene.path("src/main.txt"), at=20)
    scene.watch()
    assert len(scene.began) == 2
    assert scene.documents[1]["ok"] is False


def test_what_the_files_name_anew_is_watched_before_the_refresh(scene: Scene) -> None:
    lab = replace(scene.lab, sources=(scene.path("hashlab.toml"),))
    scene.lab = lab
    write_files(lab.folder, {"more/x.txt": "x"})
    more = Artifact("more", inputs=("more",), output=lab.folder / "out/more", command=("make",))
    changed = replace(lab, artifacts=(*lab.artifacts, more))
    scene.watcher.act(10, lambda: setattr(scene, "lab", changed))
    scene.watcher.save(scene.path("hashlab.toml"), at=10)
    scene.watcher.save(scene.path("more/x.txt"), at=20)
    scene.watch()
    assert len(scene.began) == 3
    assert scene.path("more") in scene.watcher.watched[-1].deep
    assert len(scene.watcher.watched) == 2
    assert scene.told.count("watching") == 2


def test_a_lab_that_is_held_by_another_run_is_refreshed_when_it_is_free(scene: Scene) -> None:
    scene.watcher.save(scene.path("src/main.txt"), at=10)
    scene.outcomes = [None, *[LOCKED] * 5, [REPLACED]]
    scene.watch()
    assert scene.told.count("dev (process 1)") == 1
    assert len(scene.began) == 7
    last = scene.documents[-1]
    assert (last["because"], last["files"]) == ("the lab is free again", ["src/main.txt"])
    assert last["seconds"] > 4


def test_a_failure_is_told_with_its_output_and_watching_goes_on(scene: Scene) -> None:
    wrong = LabError("javac failed", where="artifact app", output="A.java:3: error: ';' expected")
    scene.outcomes = [None, wrong, [REPLACED]]
    scene.watcher.save(scene.path("src/main.txt"), at=10)
    scene.watcher.save(scene.path("src/main.txt"), at=20)
    scene.watch()
    assert "A.java:3: error: ';' expected" in scene.told
    assert scene.told.splitlines()[-1].endswith("site replaced  (src/main.txt)")
    assert [d["ok"] for d in scene.documents] == [True, False, True]


def test_a_machine_that_is_away_is_told_once_and_awaited(scene: Scene) -> None:
    scene.away = ["web"]
    scene.outcomes = [AWAY, [REPLACED]]
    scene.watcher.act(20, scene.away.clear)
    scene.watch()
    assert len(scene.began) == 2
    assert 20 <= scene.began[1] <= 22.5
    assert scene.told.count("the machine is stopped") == 1
    assert "waiting for the next save, or for web to answer" in scene.told
    assert scene.told.splitlines()[-1].endswith("site replaced  (web answers)")


def test_a_machine_that_is_away_is_tried_again_at_each_save(scene: Scene) -> None:
    scene.away = ["web"]
    scene.outcomes = [AWAY] * 3
    scene.watcher.save(scene.path("src/main.txt"), at=10)
    scene.watcher.save(scene.path("src/main.txt"), at=20)
    scene.watch()
    assert len(scene.began) == 3
    assert scene.told.count("the machine is stopped") == 1
    assert scene.told.count("failed as before") == 2
    assert scene.told.count("waiting for the next save") == 1


def test_a_machine_that_answers_before_it_is_ready_is_tried_a_few_times(scene: Scene) -> None:
    scene.away = ["web"]
    unready = LabError("no engine answers", where="web")
    scene.outcomes = [AWAY, unready, unready, [REPLACED]]
    scene.watcher.act(10, scene.away.clear)
    scene.watch()
    assert len(scene.began) == 4
    assert scene.told.count("no engine answers") == 1
    assert len(scene.documents) == 3


def test_it_does_not_try_for_ever(scene: Scene) -> None:
    scene.away = ["web"]
    scene.outcomes = [AWAY, *[LabError("no engine answers", where="web")] * 50]
    scene.watcher.act(10, scene.away.clear)
    scene.watch(end=3600)
    assert len(scene.began) == 6


def test_a_laptop_that_cannot_tell_who_is_away_is_asked_again(scene: Scene) -> None:
    scene.unasked = [LaptopError("no engine answers")] * 3
    scene.outcomes = [AWAY]
    scene.watch()
    assert len(scene.began) == 2


def test_ctrl_c_during_a_refresh_ends_as_a_refresh_does(scene: Scene) -> None:
    scene.outcomes = [Interrupted("interrupted. Half done: artifacts")]
    with pytest.raises(Interrupted):
        scene.watching().run()
    assert "nothing changed" not in scene.told


def test_ctrl_c_before_the_first_phase_of_a_refresh_is_an_interruption_too(scene: Scene) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    scene.during = {0: interrupted}
    with pytest.raises(Interrupted):
        scene.watching().run()


def test_notes_are_told_once_for_all_round_trips(scene: Scene) -> None:
    scene.notes = ("the box is stale",)
    scene.watcher.save(scene.path("src/main.txt"), at=10)
    scene.watch()
    assert scene.told.count("the box is stale") == 1


def test_a_document_of_each_round_trip_stands_on_a_line_of_its_own(scene: Scene) -> None:
    scene.outcomes = [None, [SENT, REPLACED]]
    for number in range(8):
        scene.watcher.save(scene.path(f"src/{number}"), at=10)
    scene.watch()
    assert all("\n" not in line for line in scene.lines)
    start, saved = scene.documents
    assert (start["because"], start["done"], start["files"]) == ("start", [], [])
    result = RunResult((SENT, REPLACED), NOON, 0.5, None)
    assert saved == {
        "ended": "2027-01-15T08:00:10.540Z",
        "seconds": 0.54,
        "because": "saved",
        "files": [f"src/{number}" for number in range(5)],
        "more": 3,
        "ok": True,
        "done": ["1 file sent to web", "site replaced"],
        "error": None,
        "run": to_json(run_record("refresh", "small", "docker", result)),
    }
