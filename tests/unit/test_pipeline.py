"""The pipeline: order, parallel work, failures, cancellation, and the rows that record them."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import pytest

from hashlab.errors import ConfigError, ExitCode, HashlabError, Interrupted, LabError, Problem
from hashlab.pipeline import (
    Cancelled,
    CancelToken,
    Node,
    Part,
    Phase,
    Recorder,
    Row,
    RunResult,
    Step,
    Track,
    Where,
    parallel,
    run_graph,
    run_workflow,
)

MACHINES = ("broker", "web", "worker")
PATIENCE = 5.0
Work = Callable[[None, Track, str], None]


class Heard:
    """A listener that records its calls."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []
        self.rows: list[Row] = []

    def begin(self, step: Step) -> None:
        self.events.append(("begin", step.name))

    def update(self, step: Step) -> None:
        self.events.append(("update", step.detail))

    def end(self, step: Step, row: Row) -> None:
        self.events.append(("end", step.name))
        self.rows.append(row)

    def output(self, step: Step, line: str) -> None:
        self.events.append(("output", line))


class Clock:
    """Time that passes only on request."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def run(*phases: Phase[None], cancel: CancelToken | None = None) -> RunResult:
    return run_workflow(
        phases,
        None,
        machines=MACHINES,
        listener=Heard(),
        cancel=cancel or CancelToken(),
    )


def nothing(_: None, track: Track, machine: str) -> None:
    pass


def failing(error: BaseException) -> Work:
    def work(_: None, track: Track, machine: str) -> None:
        raise error

    return work


def until_cancelled(_: None, track: Track, machine: str) -> None:
    track.cancel.wait(PATIENCE)
    raise AssertionError("nobody cancelled")


def statuses(result: RunResult) -> dict[str, str]:
    return {" ".join(filter(None, (r.name, r.machine, r.service))): r.status for r in result.rows}


# --- graph


def test_a_node_runs_after_all_its_dependencies() -> None:
    order: list[str] = []
    nodes = {
        "late": Node(lambda: order.append("late"), frozenset({"left", "right"})),
        "left": Node(lambda: order.append("left"), frozenset({"first"})),
        "right": Node(lambda: order.append("right"), frozenset({"first"})),
        "first": Node(lambda: order.append("first")),
    }
    run_graph(nodes, CancelToken())
    assert order[0] == "first"
    assert order[-1] == "late"
    assert sorted(order[1:3]) == ["left", "right"]


def test_independent_nodes_run_in_parallel() -> None:
    meeting = threading.Barrier(3)

    def meet() -> None:
        meeting.wait(PATIENCE)

    run_graph({name: Node(meet) for name in MACHINES}, CancelToken())
    assert not meeting.broken


def test_an_empty_graph_is_done_at_once() -> None:
    run_graph({}, CancelToken())


def test_a_dependency_on_an_unknown_node_is_refused_before_anything_runs() -> None:
    ran: list[str] = []
    nodes = {"a": Node(lambda: ran.append("a")), "b": Node(lambda: None, frozenset({"ghost"}))}
    with pytest.raises(ValueError, match="ghost"):
        run_graph(nodes, CancelToken())
    assert ran == []


def test_nodes_that_depend_on_each_other_are_named() -> None:
    nodes = {
        "hen": Node(lambda: None, frozenset({"egg"})),
        "egg": Node(lambda: None, frozenset({"hen"})),
        "free": Node(lambda: None),
    }
    with pytest.raises(ValueError, match=r"depend on each other: \['egg', 'hen'\]"):
        run_graph(nodes, CancelToken())


def test_a_cancelled_graph_starts_nothing() -> None:
    ran: list[str] = []
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(Cancelled):
        run_graph({"a": Node(lambda: ran.append("a"))}, cancel)
    assert ran == []


# --- parallel


def test_parallel_returns_results_in_the_order_of_the_items() -> None:
    later = threading.Event()

    def work(item: int) -> int:
        if item == 1:
            assert later.wait(PATIENCE)
        if item == 3:
            later.set()
        return item * 10

    assert parallel([1, 2, 3], work, CancelToken()) == [10, 20, 30]


def test_parallel_raises_every_failure_in_one_error() -> None:
    meeting = threading.Barrier(2)

    def work(name: str) -> None:
        meeting.wait(PATIENCE)
        raise LabError(f"{name} is down", where=name, output="log", next_step="look")

    with pytest.raises(LabError) as caught:
        parallel(["broker", "web"], work, CancelToken())
    said = str(caught.value)
    assert "broker: broker is down" in said
    assert "web: web is down" in said
    assert "log" in said
    assert "Next: look" in said


def test_one_failure_keeps_its_class_and_exit_code() -> None:
    error = ConfigError([Problem("compose.yaml", 3, "unknown key")])

    def work(_: int) -> None:
        raise error

    with pytest.raises(ConfigError) as caught:
        parallel([1], work, CancelToken())
    assert caught.value is error
    assert caught.value.exit_code == ExitCode.CONFIG


def test_a_bug_is_raised_unchanged_with_a_note_of_the_other_failure() -> None:
    meeting = threading.Barrier(2)

    def work(kind: str) -> None:
        meeting.wait(PATIENCE)
        raise ZeroDivisionError("bug") if kind == "bug" else LabError("web is down")

    with pytest.raises(ZeroDivisionError) as caught:
        parallel(["failure", "bug"], work, CancelToken())
    # Neither of the two is lost, in either order.
    assert caught.value.__notes__ == ["At the same time: LabError: web is down"]


def test_parallel_of_nothing_is_nothing() -> None:
    assert parallel([], lambda item: item, CancelToken()) == []


# --- cancel token


def test_cancelling_calls_each_callback_once() -> None:
    called: list[str] = []
    cancel = CancelToken()
    with cancel.calling(lambda: called.append("stop")):
        cancel.cancel()
        cancel.cancel()
    assert called == ["stop"]


def test_a_callback_is_forgotten_after_its_block() -> None:
    called: list[str] = []
    cancel = CancelToken()
    with cancel.calling(lambda: called.append("stop")):
        pass
    cancel.cancel()
    assert called == []


def test_a_failing_callback_does_not_prevent_the_others() -> None:
    called: list[str] = []
    cancel = CancelToken()

    def gone() -> None:
        raise ProcessLookupError

    with cancel.calling(gone), cancel.calling(lambda: called.append("stop")):
        cancel.cancel()
    assert called == ["stop"]


def test_after_cancelling_nothing_new_can_block() -> None:
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(Cancelled):
        cancel.check()
    with pytest.raises(Cancelled):
        cancel.wait(PATIENCE)
    with pytest.raises(Cancelled), cancel.calling(lambda: None):
        raise AssertionError("the block must not be entered")


# --- workflow


def test_a_phase_of_each_machine_waits_only_for_its_own_machine() -> None:
    web_uploaded = threading.Event()

    def connect(_: None, track: Track, machine: str) -> None:
        if machine == "broker":
            assert web_uploaded.wait(PATIENCE)

    def upload(_: None, track: Track, machine: str) -> None:
        if machine == "web":
            web_uploaded.set()

    result = run(
        Phase("connect", connect, per="machine"),
        Phase("upload", upload, after=("connect",), per="machine"),
    )
    assert result.ok
    assert [r.machine for r in result.rows if r.name == "connect"] == list(MACHINES)


def test_a_phase_of_the_lab_waits_for_every_machine() -> None:
    connected: list[str] = []
    seen: list[list[str]] = []
    run(
        Phase("connect", lambda _, track, machine: connected.append(machine), per="machine"),
        Phase("join", lambda _, track, machine: seen.append(sorted(connected)), after=("connect",)),
    )
    assert seen == [sorted(MACHINES)]


def test_a_phase_of_each_machine_may_wait_for_a_phase_of_the_lab() -> None:
    order: list[str] = []
    run(
        Phase("boot", lambda _, track, machine: order.append("boot")),
        Phase(
            "connect",
            lambda _, track, machine: order.append(machine),
            after=("boot",),
            per="machine",
        ),
    )
    assert order[0] == "boot"
    assert sorted(order[1:]) == sorted(MACHINES)


def test_a_phase_that_waits_for_an_unknown_phase_is_refused() -> None:
    with pytest.raises(ValueError, match="ghost"):
        run(
            Phase("a", nothing, after=("ghost",)),
            Phase("b", nothing, after=("ghost",), per="machine"),
        )


def test_a_failure_cancels_running_phases_and_later_ones_are_not_reached() -> None:
    started = threading.Event()

    def long(_: None, track: Track, machine: str) -> None:
        started.set()
        until_cancelled(_, track, machine)

    def fail(_: None, track: Track, machine: str) -> None:
        assert started.wait(PATIENCE)
        raise LabError("maven failed\nsecond line", next_step="mend it")

    result = run(
        Phase("boot", long),
        Phase("build", fail),
        Phase("upload", nothing, after=("build",), per="machine"),
    )
    assert statuses(result) == {
        "boot": "cancelled",
        "build": "failed",
        "upload broker": "not-reached",
        "upload web": "not-reached",
        "upload worker": "not-reached",
    }
    assert isinstance(result.error, LabError)
    assert result.error.next_step == "mend it"
    assert next(row for row in result.rows if row.name == "build").detail == "maven failed"
    assert not result.ok


def test_two_simultaneous_failures_are_both_reported() -> None:
    meeting = threading.Barrier(len(MACHINES))

    def fail(_: None, track: Track, machine: str) -> None:
        meeting.wait(PATIENCE)
        raise LabError("no answer", where=machine)

    result = run(Phase("connect", fail, per="machine"))
    assert all(f"{machine}: no answer" in str(result.error) for machine in MACHINES)
    assert set(statuses(result).values()) == {"failed"}


def test_a_bug_leaves_the_workflow_unchanged() -> None:
    with pytest.raises(ZeroDivisionError):
        run(Phase("build", failing(ZeroDivisionError())))


# --- phases of parts

Piece = Callable[[None, Track], None]


def doing(word: object, order: list[object]) -> Piece:
    return lambda _, track: order.append(word)


def of_parts(
    parts: Mapping[Any, Part[None]], work: Work = nothing, after: tuple[str, ...] = ()
) -> Phase[None]:
    return Phase("containers", work, after, parts=lambda _: parts)


def test_the_parts_of_a_phase_wait_for_each_other_and_its_own_work_for_all() -> None:
    order: list[object] = []
    parts: dict[Hashable, Part[None]] = {
        "ready": Part(doing("ready", order), "web", after=frozenset({"start"})),
        "start": Part(doing("start", order), "web"),
    }
    result = run(of_parts(parts, lambda _, track, machine: order.append("end")))
    assert order == ["start", "ready", "end"]
    assert statuses(result) == {"containers": "ok"}


def test_a_part_waits_only_for_its_own_machine() -> None:
    started = threading.Event()

    def connect(_: None, track: Track, machine: str) -> None:
        if machine == "broker":
            assert started.wait(PATIENCE)

    parts = {name: Part[None](lambda _, track: None, name) for name in MACHINES}
    parts["web"] = Part(lambda _, track: started.set(), "web")
    result = run(Phase("connect", connect, per="machine"), of_parts(parts, after=("connect",)))
    assert result.ok


def test_a_part_waits_only_for_its_own_machines_parts_of_an_earlier_phase() -> None:
    started = threading.Event()

    def slow(_: None, track: Track) -> None:
        assert started.wait(PATIENCE)

    first: dict[Hashable, Part[None]] = {
        "broker": Part(slow, "broker"),
        "web": Part(lambda _, t: None, "web"),
    }
    result = run(
        Phase("network", nothing, parts=lambda _: first),
        of_parts({"web": Part(lambda _, track: started.set(), "web")}, after=("network",)),
    )
    assert result.ok


def test_parts_wait_for_the_phases_named_for_their_kind_where_a_condition_holds() -> None:
    started = threading.Event()

    def build(_: None, track: Track, machine: str) -> None:
        assert started.wait(PATIENCE)

    order: list[object] = []

    def ended(_: None, track: Track, machine: str) -> None:
        order.append("end")

    parts: dict[Hashable, Part[None]] = {
        "free": Part(lambda _, track: order.append("free"), "web", kind="free"),
        "broker": Part(lambda _, track: started.set(), "broker", kind="bound"),
        "web": Part(doing("web", order), "web", kind="bound"),
    }
    where = Where[None]("build", lambda _, machine: machine == "web")
    after = {"free": (), "bound": (where,)}
    containers = Phase("containers", ended, parts=lambda _: parts, parts_after=after)
    result = run(Phase("build", build), containers)
    assert result.ok
    assert order == ["free", "web", "end"]
    assert containers.earlier == {"build"}


def test_a_part_whose_kind_the_workflow_does_not_name_is_a_bug() -> None:
    parts: dict[Hashable, Part[None]] = {"web": Part(doing("web", []), "web", kind="new")}
    with pytest.raises(KeyError, match="new"):
        run(Phase("containers", nothing, parts=lambda _: parts, parts_after={"old": ()}))


@pytest.mark.parametrize("there", [True, False])
def test_a_phase_may_be_in_a_workflow_only_where_a_condition_holds(there: bool) -> None:
    order: list[object] = []
    result = run(
        Phase("build", lambda *_: order.append("build"), where=lambda _: there),
        Phase("hash", lambda *_: order.append("hash"), after=("build",)),
    )
    assert order == (["build", "hash"] if there else ["hash"])
    assert set(statuses(result)) == set(order)


def test_a_failure_of_a_phase_that_is_alone_only_prevents_later_phases() -> None:
    order: list[object] = []

    def connect(_: None, track: Track, machine: str) -> None:
        if machine == "broker":
            raise LabError("the machine is stopped", where=machine)

    def keep(_: None, track: Track, machine: str) -> None:
        order.append(machine)

    def doing_alone(name: str) -> Callable[[None, Track], None]:
        return lambda _, track: order.append(name)

    parts: dict[Hashable, Part[None]] = {
        "on broker": Part(doing_alone("on broker"), "broker"),
        "on web": Part(doing_alone("on web"), "web"),
        "needs broker": Part(doing_alone("needs broker"), "web", after=frozenset({"on broker"})),
    }
    result = run(
        Phase("connect", connect, per="machine", alone=True),
        Phase("images", keep, per="machine", after=("connect",)),
        of_parts(parts, lambda _, track, machine: order.append("end"), after=("connect",)),
        Phase("proof", lambda *_: order.append("proof"), after_end=("containers",)),
        Phase("seed", lambda *_: order.append("seed"), after=("connect", "containers")),
    )
    assert set(order) == {"web", "worker", "on web", "end", "proof"}
    assert statuses(result)["connect broker"] == "failed"
    assert statuses(result)["images broker"] == "not-reached"
    assert statuses(result)["containers"] == statuses(result)["proof"] == "ok"
    assert statuses(result)["seed"] == "not-reached"
    assert isinstance(result.error, LabError)
    assert result.error.what == "the machine is stopped"


def test_a_phase_whose_parts_were_all_dropped_was_not_reached() -> None:
    result = run(
        Phase("connect", failing(LabError("down")), per="machine", alone=True),
        of_parts({"web": Part(lambda _, track: None, "web")}, after=("connect",)),
        Phase("proof", nothing, after_end=("containers",)),
    )
    assert statuses(result)["containers"] == "not-reached"
    assert statuses(result)["proof"] == "ok"


def test_a_bug_in_a_node_that_is_alone_ends_the_run() -> None:
    with pytest.raises(ZeroDivisionError):
        run(Phase("connect", failing(ZeroDivisionError()), per="machine", alone=True))


def test_a_phase_that_waits_for_a_phase_of_parts_waits_for_all_of_it() -> None:
    order: list[object] = []
    parts = {name: Part(doing(name, order), name) for name in MACHINES}
    run(
        of_parts(parts, lambda _, track, machine: order.append("end")),
        Phase("seed", lambda _, track, machine: order.append("seed"), after=("containers",)),
    )
    assert order[-2:] == ["end", "seed"]


def test_a_part_that_fails_is_the_failure_of_its_phase() -> None:
    def fail(_: None, track: Track) -> None:
        with track.child("container", machine="web"):
            raise LabError("no image")

    result = run(
        of_parts(
            {"web": Part(fail, "web"), "broker": Part(lambda _, t: t.cancel.wait(PATIENCE), "")}
        ),
        Phase("seed", nothing, after=("containers",)),
    )
    assert statuses(result)["containers"] == "failed"
    assert statuses(result)["container web"] == "failed"
    assert statuses(result)["seed"] == "not-reached"
    assert next(row for row in result.rows if row.name == "containers").detail == "no image"


def test_parts_that_were_cut_off_leave_their_phase_cancelled() -> None:
    begun = threading.Event()

    def long(_: None, track: Track) -> None:
        begun.set()
        track.cancel.wait(PATIENCE)

    def fail(_: None, track: Track, machine: str) -> None:
        assert begun.wait(PATIENCE)
        raise LabError("maven failed")

    result = run(Phase("build", fail), of_parts({"web": Part(long, "web")}))
    assert statuses(result) == {"build": "failed", "containers": "cancelled"}


def test_a_phase_without_a_started_part_was_not_reached() -> None:
    parts = {name: Part[None](lambda _, track: None, name) for name in MACHINES}
    result = run(
        Phase("build", failing(LabError("maven failed"))), of_parts(parts, after=("build",))
    )
    assert statuses(result) == {"build": "failed", "containers": "not-reached"}


def test_a_phase_of_parts_lasts_from_its_first_part_to_its_own_work() -> None:
    clock = Clock()

    def take(_: None, track: Track) -> None:
        clock.now += 2

    def end(_: None, track: Track, machine: str) -> None:
        clock.now += 1

    parts: dict[Hashable, Part[None]] = {
        "start": Part(take, "web"),
        "ready": Part(take, "web", after=frozenset({"start"})),
    }
    result = run_workflow(
        [of_parts(parts, end)],
        None,
        machines=MACHINES,
        listener=Heard(),
        cancel=CancelToken(),
        clock=clock,
    )
    assert [(row.name, row.seconds) for row in result.rows] == [("containers", 5.0)]


def test_ctrl_c_becomes_a_result_that_names_unfinished_phases() -> None:
    def interrupted(_: None, track: Track, machine: str) -> None:
        raise KeyboardInterrupt

    result = run(
        Phase("build", interrupted),
        Phase("boot", until_cancelled),
        Phase("seed", nothing, after=("boot",)),
    )
    assert isinstance(result.error, Interrupted)
    assert result.error.exit_code == ExitCode.INTERRUPTED
    assert "boot" in result.error.what
    assert "build" in result.error.what
    assert statuses(result)["boot"] == "cancelled"
    assert statuses(result)["seed"] == "not-reached"


def test_ctrl_c_while_the_main_thread_waits_cancels_and_waits_for_the_rest() -> None:
    def press_ctrl_c(_: None, track: Track, machine: str) -> None:
        main = threading.main_thread().ident
        assert main is not None
        track.cancel.wait(0.05)
        signal.pthread_kill(main, signal.SIGINT)
        until_cancelled(_, track, machine)

    result = run(Phase("boot", press_ctrl_c), Phase("seed", nothing, after=("boot",)))
    assert isinstance(result.error, Interrupted)
    assert statuses(result) == {"boot": "cancelled", "seed": "not-reached"}


HANGING = """
import signal, threading, time
from hashlab.pipeline import CancelToken, Phase, run_workflow

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored

class Silent:
    def begin(self, step): pass
    update = end = output = lambda *_: None

def hang(context, track, machine):
    main = threading.main_thread().ident
    signal.pthread_kill(main, signal.SIGINT)
    while not track.cancel.cancelled:
        time.sleep(0.001)
    signal.pthread_kill(main, signal.SIGINT)
    threading.Event().wait()

run_workflow([Phase("boot", hang)], None, machines=[], listener=Silent(), cancel=CancelToken())
"""


def test_a_second_ctrl_c_leaves_work_that_hangs() -> None:
    done = subprocess.run(
        [sys.executable, "-c", HANGING], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == ExitCode.INTERRUPTED, done.stderr
    assert "left at once" in done.stderr


def test_a_run_cancelled_from_outside_ends_as_interrupted() -> None:
    cancel = CancelToken()

    def cancelling(_: None, track: Track, machine: str) -> None:
        cancel.cancel()

    result = run(
        Phase("build", cancelling), Phase("seed", nothing, after=("build",)), cancel=cancel
    )
    assert isinstance(result.error, Interrupted)
    assert "nothing" in result.error.what
    assert statuses(result) == {"build": "ok", "seed": "not-reached"}


# --- rows


def recorded(clock: Clock) -> tuple[Recorder, Heard]:
    heard = Heard()
    return Recorder(heard, CancelToken(), clock), heard


def test_a_row_has_start_duration_and_bytes_of_a_step() -> None:
    clock = Clock()
    recorder, _ = recorded(clock)
    with recorder.step("upload", machine="web") as track:
        clock.now += 2.5
        track.sent(100)
        track.sent(23)
        track.detail("3 sent")
    assert recorder.rows() == (Row("upload", "web", None, 1000.0, 2.5, "ok", "3 sent", 123, 0),)


def test_a_clock_set_back_gives_no_negative_time() -> None:
    clock = Clock()
    recorder, _ = recorded(clock)
    with recorder.step("boot"):
        clock.now -= 60
    assert recorder.rows()[0].seconds == 0


def test_a_step_with_nothing_to_do_is_skipped_with_a_reason() -> None:
    recorder, _ = recorded(Clock())
    with recorder.step("seed") as track:
        track.skip("hashlab.toml has no [seed]")
    row = recorder.rows()[0]
    assert (row.status, row.detail) == ("skipped", "hashlab.toml has no [seed]")


def test_a_failure_without_a_message_is_named_by_its_class() -> None:
    recorder, _ = recorded(Clock())
    with pytest.raises(HashlabError), recorder.step("boot"):
        raise LabError("")
    assert recorder.rows()[0].detail == "LabError"


def test_parts_follow_their_step_even_if_steps_run_in_parallel() -> None:
    recorder, _ = recorded(Clock())
    with recorder.step("upload", machine="broker") as first:  # noqa: SIM117 (they overlap)
        with recorder.step("upload", machine="web") as second:
            with first.child("file", service="a"), second.child("file", service="b"):
                pass
    rows = [(row.name, row.machine, row.service, row.depth) for row in recorder.rows()]
    assert rows == [
        ("upload", "broker", None, 0),
        ("file", "broker", "a", 1),
        ("upload", "web", None, 0),
        ("file", "web", "b", 1),
    ]


def test_a_part_may_be_on_another_machine_than_its_step() -> None:
    recorder, _ = recorded(Clock())
    with recorder.step("start") as track, track.child("container", machine="web", service="nginx"):
        pass
    assert [(row.machine, row.service) for row in recorder.rows()] == [
        (None, None),
        ("web", "nginx"),
    ]


def test_the_listener_gets_begin_changes_output_and_end_in_order() -> None:
    recorder, heard = recorded(Clock())
    with recorder.step("build") as track:
        track.detail("maven")
        track.progress(1, 2, "modules")
        track.output("[INFO] ok")
    assert heard.events == [
        ("begin", "build"),
        ("update", "maven"),
        ("update", "maven"),
        ("output", "[INFO] ok"),
        ("end", "build"),
    ]
    assert tuple(heard.rows) == recorder.rows()
