"""The contract of a runner: the fake and the real one; then what only the real one can do."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from fakes import FakeRunner, Faults

from hashlab.drivers import process
from hashlab.drivers.process import ProcessRunner
from hashlab.errors import LabError, LaptopError
from hashlab.pipeline import Cancelled, CancelToken
from hashlab.protocols import Completed, Runner, StreamingRunner

SPEAKS = ["sh", "-c", "echo out; echo err >&2; exit 3"]
PATIENCE = 20.0


@pytest.fixture(params=["fake", "real"])
def runner(request: pytest.FixtureRequest, tmp_path: Path) -> StreamingRunner:
    if request.param == "real":
        return ProcessRunner(children=tmp_path / "children")
    fake = FakeRunner(Faults())
    fake.prepare(*SPEAKS, code=3, stdout="out\n", stderr="err\n")

    def speak(_: object, on_lines: Callable[[Sequence[bytes]], None], __: object) -> Completed:
        on_lines([b"out"])
        return Completed(3, "", "err\n")

    fake.prepare_stream(*SPEAKS, streaming=speak)
    return fake


@pytest.fixture
def real(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ProcessRunner:
    """The real runner, with a short delay before it kills."""
    monkeypatch.setattr(process, "KILL_AFTER_SECONDS", 0.3)
    monkeypatch.setattr(process, "DRAIN_SECONDS", 0.3)
    return ProcessRunner(children=tmp_path / "children")


def test_an_exit_code_and_both_streams_are_returned(runner: Runner) -> None:
    done = runner.run(SPEAKS, timeout=PATIENCE, cancel=CancelToken())
    assert done == Completed(3, "out\n", "err\n")


def test_lines_of_both_streams_are_passed_on_at_once(runner: Runner) -> None:
    lines: list[str] = []
    runner.run(SPEAKS, timeout=PATIENCE, cancel=CancelToken(), on_line=lines.append)
    assert sorted(lines) == ["err", "out"]


def test_nothing_runs_after_a_cancellation(runner: Runner) -> None:
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(Cancelled):
        runner.run(SPEAKS, timeout=PATIENCE, cancel=cancel)


def test_a_command_with_input_gives_the_same_output(runner: Runner) -> None:
    done = runner.run(SPEAKS, stdin='{"a": 1}', timeout=PATIENCE, cancel=CancelToken())
    assert done == Completed(3, "out\n", "err\n")


def test_without_orphans_there_is_nothing_to_end(runner: Runner) -> None:
    runner.run(SPEAKS, timeout=PATIENCE, cancel=CancelToken())
    assert runner.end_orphans() == []


def test_a_stream_passes_on_lines_and_returns_exit_code_and_errors(runner: StreamingRunner) -> None:
    lines: list[bytes] = []
    done = runner.stream(SPEAKS, cancel=CancelToken(), on_lines=lines.extend)
    assert (lines, done) == ([b"out"], Completed(3, "", "err\n"))


def say(real: ProcessRunner, script: str, **how: object) -> Completed:
    """Run a shell script to its end."""
    return real.run(["sh", "-c", script], timeout=PATIENCE, cancel=CancelToken(), **how)  # type: ignore[arg-type]


def test_a_users_command_runs_in_its_folder_with_the_users_environment_and_more(
    real: ProcessRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FROM_LAPTOP", "1")
    words, more = 'echo "$PWD|$FROM_LAPTOP|$ADDED"', {"ADDED": "2"}
    done = say(real, words, cwd=tmp_path, env=more, users=True)
    assert done.stdout == f"{tmp_path}|1|2\n"
    # A tool does not get variables that are not meant for it.
    assert say(real, words, cwd=tmp_path, env=more).stdout == f"{tmp_path}||2\n"


@pytest.mark.parametrize("text", ["{}", "a b\nü ☃\n", "no line's end", "x" * 1_000_000])
def test_a_command_reads_its_input_to_the_end(real: ProcessRunner, text: str) -> None:
    assert say(real, "cat; echo; echo end", stdin=text).stdout == f"{text}\nend\n"


def test_unread_input_is_not_a_failure(real: ProcessRunner) -> None:
    done = say(real, "head -c 3; exit 3", stdin="x" * 1_000_000)
    assert (done.code, done.stdout) == (3, "xxx")


def test_input_is_in_no_file_that_others_could_find(
    real: ProcessRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    assert say(real, f"cat; ls -A '{folder}'", stdin="s3cret\n").stdout == "s3cret\n"
    assert list(folder.iterdir()) == []


def test_arguments_are_passed_unchanged(real: ProcessRunner) -> None:
    words = ["a b", "$HOME", "'", '"', "*", "new\nline", "ü", ""]
    done = real.run(
        ["sh", "-c", 'for w; do printf "[%s]" "$w"; done', "sh", *words],
        timeout=PATIENCE,
        cancel=CancelToken(),
    )
    assert done.stdout == "".join(f"[{word}]" for word in words)


def test_a_command_never_waits_for_the_keyboard(real: ProcessRunner) -> None:
    assert say(real, "read -r line; echo $?").stdout == "1\n"


def test_output_that_is_not_text_is_not_a_failure(real: ProcessRunner) -> None:
    assert say(real, r"printf '\377ok\n'").stdout == "\ufffdok\n"


def test_large_output_on_both_streams_is_read_completely(real: ProcessRunner) -> None:
    done = say(real, "seq 1 40000; seq 1 40000 >&2")
    assert done.stdout == done.stderr
    assert len(done.stdout.splitlines()) == 40000


def test_a_last_line_without_a_newline_is_passed_on_too(real: ProcessRunner) -> None:
    lines: list[str] = []
    assert say(real, "printf 'one\ntwo'", on_line=lines.append).stdout == "one\ntwo"
    assert lines == ["one", "two"]


def test_a_missing_command_is_an_error_of_the_laptop(real: ProcessRunner) -> None:
    with pytest.raises(LaptopError, match="command not found: no-such-command") as failure:
        real.run(["no-such-command", "-x"], timeout=1, cancel=CancelToken())
    assert failure.value.next_step == "hashlab doctor"


def test_a_file_that_is_not_executable_is_an_error_of_the_laptop(
    real: ProcessRunner, tmp_path: Path
) -> None:
    (tmp_path / "script").write_text("#!/bin/sh\n")
    with pytest.raises(LaptopError, match="not executable"):
        real.run([str(tmp_path / "script")], timeout=1, cancel=CancelToken())


def lives(pid: int) -> bool:
    """Return whether a process is still running."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.01)


def pids(path: Path, count: int) -> list[int]:
    """Return the ids that processes wrote to a file, once all have."""
    until(lambda: path.exists() and len(path.read_text().split()) == count)
    return [int(word) for word in path.read_text().split()]


# A command with a child and a grandchild, as build tools have them.
FAMILY = (
    'echo $$ >> "$0"; '
    'sh -c \'echo $$ >> "$0"; {trap} sleep 60 & echo $! >> "$0"; wait\' "$0" & wait'
)
POLITE = FAMILY.replace("{trap}", "")
STUBBORN = FAMILY.replace("{trap}", 'trap "" TERM;')


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="reads /proc to see what lives")
@pytest.mark.parametrize("script", [POLITE, STUBBORN], ids=["polite", "stubborn"])
def test_after_its_time_limit_a_command_ends_with_all_its_children(
    real: ProcessRunner, tmp_path: Path, script: str
) -> None:
    began = time.monotonic()
    with pytest.raises(LabError, match=r"sh did not finish within 0\.5 s"):
        real.run(["sh", "-c", script, str(tmp_path / "pids")], timeout=0.5, cancel=CancelToken())
    assert time.monotonic() - began < 10
    until(lambda: not any(lives(pid) for pid in pids(tmp_path / "pids", 3)))


def test_a_timeout_reports_the_output_so_far(real: ProcessRunner) -> None:
    with pytest.raises(LabError) as failure:
        real.run(["sh", "-c", "echo so far; sleep 60"], timeout=0.5, cancel=CancelToken())
    assert failure.value.output == "so far\n"


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="reads /proc to see what lives")
@pytest.mark.parametrize("script", [POLITE, STUBBORN], ids=["polite", "stubborn"])
def test_a_cancelled_command_ends_with_all_its_children(
    real: ProcessRunner, tmp_path: Path, script: str
) -> None:
    cancel = CancelToken()
    outcome: list[Cancelled] = []

    def work() -> None:
        try:
            real.run(["sh", "-c", script, str(tmp_path / "pids")], timeout=60, cancel=cancel)
        except Cancelled as error:
            outcome.append(error)

    worker = threading.Thread(target=work)
    worker.start()
    family = pids(tmp_path / "pids", 3)
    cancel.cancel()
    worker.join(PATIENCE)
    assert len(outcome) == 1
    until(lambda: not any(lives(pid) for pid in family))


def test_a_command_gets_time_to_end_cleanly(
    tmp_path: Path,
) -> None:
    """Maven and Vagrant clean up when they get SIGTERM."""
    runner = ProcessRunner(children=tmp_path / "children")
    script = 'trap "sleep 0.3; echo cleaned > \\"$0\\"; exit" TERM; sleep 60 & wait'
    with pytest.raises(LabError):
        runner.run(["sh", "-c", script, str(tmp_path / "done")], timeout=0.3, cancel=CancelToken())
    assert (tmp_path / "done").read_text() == "cleaned\n"


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Path]:
    """The file in which a daemon writes its process id; the daemon is ended afterwards."""
    path = tmp_path / "daemon"
    yield path
    if path.exists():
        os.kill(int(path.read_text()), 9)


def test_a_daemon_left_by_a_command_is_neither_awaited_nor_ended(
    real: ProcessRunner, daemon: Path
) -> None:
    """Build tools keep daemons, some of which keep the pipes."""
    began = time.monotonic()
    done = say(real, f"sleep 60 & echo $! > '{daemon}'; echo built")
    assert time.monotonic() - began < 10
    assert done == Completed(0, "built\n", "")
    assert lives(int(daemon.read_text()))


def test_a_command_is_recorded_while_it_runs(real: ProcessRunner, tmp_path: Path) -> None:
    children = tmp_path / "children"
    waits = f"until ls '{children}' | grep .; do sleep 0.01; done 2> /dev/null; echo $$"
    note, own = say(real, waits).stdout.split()
    assert note == own
    assert list(children.iterdir()) == []


KILLED = """
import sys
from pathlib import Path
from hashlab.drivers import process
from hashlab.drivers.process import ProcessRunner
from hashlab.pipeline import CancelToken
ProcessRunner(children=Path(sys.argv[1])).run(
    ["sh", "-c", 'echo $$ >> "$0"; sleep 60 & echo $! >> "$0"; wait', sys.argv[2]],
    timeout=60, cancel=CancelToken(),
)
"""


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="reads /proc to see what lives")
def test_commands_left_by_a_killed_run_are_ended_by_the_next(
    real: ProcessRunner, tmp_path: Path
) -> None:
    children, numbers = tmp_path / "children", tmp_path / "pids"
    run = subprocess.Popen([sys.executable, "-c", KILLED, str(children), str(numbers)])
    family = pids(numbers, 2)
    until(lambda: children.exists() and any(note.stat().st_size for note in children.iterdir()))
    run.kill()
    run.wait()
    assert all(lives(pid) for pid in family)
    assert real.end_orphans() == ["sh"]
    until(lambda: not any(lives(pid) for pid in family))
    assert real.end_orphans() == []


@pytest.mark.parametrize("started", ["", "1", "0"])
def test_another_process_with_the_id_of_an_orphan_is_left_alone(
    real: ProcessRunner, tmp_path: Path, started: str
) -> None:
    children = tmp_path / "children"
    children.mkdir()
    (children / str(os.getpid())).write_text(f"{started}\nmvn\n")
    assert real.end_orphans() == []
    assert list(children.iterdir()) == []


def test_of_very_large_output_only_the_end_is_kept(
    real: ProcessRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "OUTPUT_LIMIT", 10_000)
    monkeypatch.setattr(process, "LINE_LIMIT", 100)
    lines: list[str] = []
    done = say(
        real, "seq 1 40000; head -c 1000 /dev/zero | tr '\\0' x; exit 3", on_line=lines.append
    )
    assert done.code == 3
    assert 9_000 < len(done.stdout) <= 10_000
    assert done.stdout.endswith("x" * 1000)
    assert max(map(len, lines)) <= 100


def streamed(real: ProcessRunner, script: str, cancel: CancelToken | None = None) -> list[bytes]:
    """Return the lines that a shell script prints as a stream."""
    lines: list[bytes] = []
    real.stream(["sh", "-c", script], cancel=cancel or CancelToken(), on_lines=lines.extend)
    return lines


def test_a_large_stream_is_whole_but_for_a_line_that_was_cut_off(real: ProcessRunner) -> None:
    lines = streamed(real, "seq 1 200000; printf '\\377\\nhalf'")
    assert lines == [*(str(n).encode() for n in range(1, 200_001)), b"\xff"]


def test_a_cancelled_stream_ends_its_program(real: ProcessRunner, tmp_path: Path) -> None:
    cancel = CancelToken()
    script = f"trap 'echo ended > {tmp_path}/ended; exit' TERM; echo on; sleep 60 & wait"
    with pytest.raises(Cancelled):
        real.stream(
            ["sh", "-c", script],
            cancel=cancel,
            on_lines=lambda _: threading.Thread(target=cancel.cancel).start(),
        )
    assert (tmp_path / "ended").read_text() == "ended\n"


def test_a_stream_ends_if_its_reader_fails(real: ProcessRunner) -> None:
    def fail(lines: Sequence[bytes]) -> None:
        raise LabError("no")

    with pytest.raises(LabError, match="no"):
        real.stream(["sh", "-c", "yes"], cancel=CancelToken(), on_lines=fail)


def test_another_run_does_not_end_a_stream(real: ProcessRunner) -> None:
    ended: list[str] = []
    real.stream(
        ["sh", "-c", "echo on; echo off"],
        cancel=CancelToken(),
        on_lines=lambda _: ended.extend(real.end_orphans()),
    )
    assert ended == []


def test_the_input_of_a_stream_stays_open(real: ProcessRunner) -> None:
    assert streamed(real, "timeout 0.2 cat; echo $?") == [b"124"]


def test_a_missing_command_cannot_be_streamed(real: ProcessRunner) -> None:
    with pytest.raises(LaptopError, match="command not found: no-such-command"):
        real.stream(["no-such-command"], cancel=CancelToken(), on_lines=lambda _: None)
