"""Workers as real processes: kept running, restarted when necessary, and never left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from hashlab.drivers import workers
from hashlab.drivers.workers import ProcessWorkers
from hashlab.errors import LabError, LaptopError
from hashlab.pipeline import Cancelled, CancelToken
from hashlab.protocols import BuildAnswer, BuildRequest

pytestmark = pytest.mark.skipif(not Path("/proc/self").exists(), reason="reads /proc")
PATIENCE = 20.0

# Does what the target says, and answers with its process id as the detail.
WORKER = """
import json, os, subprocess, sys, time
from pathlib import Path

def say(**answer):
    print(json.dumps(answer), flush=True)

for line in sys.stdin:
    asked = json.loads(line)
    word, number = asked["target"], asked["id"]
    done = {"id": number, "result": "done", "detail": str(os.getpid())}
    if word == "echo":
        say(**done, output=json.dumps([asked, os.getcwd(), os.getsid(0)]))
    elif word == "die":
        print("no memory", file=sys.stderr, flush=True)
        os._exit(3)
    elif word == "die in the middle":
        print('{"id": 1, "result": "do', end="", flush=True)
        os._exit(4)
    elif word == "never":
        child = subprocess.Popen(["sleep", "60"])
        Path("pids").write_text(f"{os.getpid()} {child.pid}")
        print("working on it", file=sys.stderr, flush=True)
        time.sleep(60)
    elif word == "close output":
        os.close(1)
        time.sleep(60)
    elif word == "lines":
        print("compiling", file=sys.stderr, flush=True)
        print("X.java: a warning ü", file=sys.stderr, flush=True)
        while not Path("heard").exists():
            time.sleep(0.005)
        say(**done)
    elif word == "two answers":
        say(**done)
        say(**done)
    elif word.startswith("say "):
        print(word[4:].replace("NUMBER", str(number)), flush=True)
    else:
        say(**done)
"""


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Iterator[ProcessWorkers]:
    """The real workers, with a short delay before they are killed; none is left."""
    monkeypatch.setattr(workers, "END_SECONDS", 0.5)
    made = ProcessWorkers()
    yield made
    made.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "worker.py").write_text(WORKER)
    return tmp_path


def ask(
    pool: ProcessWorkers,
    folder: Path,
    target: str = "",
    *,
    command: Sequence[str] = (sys.executable, "worker.py"),
    timeout: float = PATIENCE,
    cancel: CancelToken | None = None,
    on_line: Callable[[str], None] = lambda _: None,
) -> BuildAnswer:
    [answer] = pool.ask(
        command,
        [BuildRequest(target, "out", ("a.java", "ü.java"), ("b.java",))],
        cwd=folder,
        timeout=timeout,
        cancel=cancel or CancelToken(),
        on_line=on_line,
    )
    return answer


def ask_at_once(
    pool: ProcessWorkers, folder: Path, script: str, targets: Sequence[str]
) -> list[BuildAnswer]:
    """Ask a separate worker for several artifacts in one call."""
    (folder / "several.py").write_text(script)
    requests = [BuildRequest(target, "out", (), ()) for target in targets]
    command = (sys.executable, "several.py")
    return pool.ask(
        command,
        requests,
        cwd=folder,
        timeout=PATIENCE,
        cancel=CancelToken(),
        on_line=lambda _: None,
    )


def lives(pid: int) -> bool:
    """Return whether a process is still running."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.01)


def pids(folder: Path) -> list[int]:
    """Return the process ids that a worker and its child wrote to a file."""
    until(lambda: (folder / "pids").exists() and len((folder / "pids").read_text().split()) == 2)
    return [int(word) for word in (folder / "pids").read_text().split()]


def test_a_worker_gets_the_changes_in_the_labs_folder(pool: ProcessWorkers, folder: Path) -> None:
    asked, cwd, session = json.loads(ask(pool, folder, "echo").output)
    assert asked == {
        "id": 1,
        "target": "echo",
        "output": "out",
        "changed": ["a.java", "ü.java"],
        "removed": ["b.java"],
    }
    assert cwd == str(folder)
    assert session != os.getsid(0), "Ctrl-C would reach it"


def test_a_worker_stays_warm_from_one_request_to_the_next(
    pool: ProcessWorkers, folder: Path
) -> None:
    answers = [ask(pool, folder) for _ in range(4)]
    assert {answer.result for answer in answers} == {"done"}
    assert len({answer.detail for answer in answers}) == 1
    assert json.loads(ask(pool, folder, "echo").output)[0]["id"] == 5


@pytest.mark.parametrize("result", ["failed", "rebuild"])
def test_a_workers_answer_is_passed_on_and_it_stays(
    pool: ProcessWorkers, folder: Path, result: str
) -> None:
    first = ask(pool, folder).detail
    answer = json.dumps({"id": 2, "result": result, "detail": "why", "output": "A.java:3: no\n"})
    assert ask(pool, folder, f"say {answer}") == BuildAnswer(result, "why", "A.java:3: no\n")  # type: ignore[arg-type]
    assert ask(pool, folder).detail == first


def test_detail_and_output_may_be_missing(pool: ProcessWorkers, folder: Path) -> None:
    assert ask(pool, folder, 'say {"id": 1, "result": "done"}') == BuildAnswer("done", "", "")


def test_a_worker_that_died_between_two_requests_is_restarted(
    pool: ProcessWorkers, folder: Path
) -> None:
    first = int(ask(pool, folder).detail)
    os.kill(first, signal.SIGKILL)
    until(lambda: not lives(first))
    second = int(ask(pool, folder).detail)
    assert second != first
    assert int(ask(pool, folder).detail) == second


@pytest.mark.parametrize(("word", "code"), [("die", 3), ("die in the middle", 4)])
def test_a_worker_that_dies_instead_of_answering_is_a_failure_with_its_last_output(
    pool: ProcessWorkers, folder: Path, word: str, code: int
) -> None:
    first = ask(pool, folder).detail
    with pytest.raises(LabError) as failure:
        ask(pool, folder, word)
    error = failure.value
    if word == "die":
        assert error.what == f"the worker ended with exit code {code} instead of an answer"
        assert error.output == "no memory\n"
    assert error.where == f"{sys.executable} worker.py"
    assert error.next_step == "run it again: a new worker is started"
    assert ask(pool, folder).detail != first


@pytest.mark.parametrize(
    "answer",
    [
        "hello",
        "",
        "[]",
        "null",
        '"done"',
        "7",
        "{}",
        '{"id": NUMBER}',
        '{"result": "done"}',
        '{"id": NUMBER, "result": "perhaps"}',
        '{"id": NUMBER, "result": null}',
        '{"id": NUMBER, "result": ["done"]}',
        '{"id": 77, "result": "done"}',
        '{"id": "NUMBER", "result": "done"}',
    ],
)
def test_a_worker_with_an_invalid_answer_is_a_failure_and_is_not_used_again(
    pool: ProcessWorkers, folder: Path, answer: str
) -> None:
    first = int(ask(pool, folder).detail)
    with pytest.raises(LabError, match="the worker gave no answer to request 2") as failure:
        ask(pool, folder, f"say {answer}")
    assert answer.replace("NUMBER", "2")[:10] in failure.value.what
    until(lambda: not lives(first))
    assert int(ask(pool, folder).detail) != first


def test_an_unrequested_answer_is_not_used_for_the_next_request(
    pool: ProcessWorkers, folder: Path
) -> None:
    assert ask(pool, folder, "two answers").result == "done"
    with pytest.raises(LabError, match="gave no answer to request 2"):
        ask(pool, folder)
    assert ask(pool, folder).result == "done"


def test_a_worker_that_never_answers_is_ended_with_all_its_children(
    pool: ProcessWorkers, folder: Path
) -> None:
    began = time.monotonic()
    ask(pool, folder)
    with pytest.raises(LabError, match=r"the worker did not answer within 1 s") as failure:
        ask(pool, folder, "never", timeout=1)
    assert time.monotonic() - began < 10
    assert failure.value.output == "working on it\n"
    until(lambda: not any(lives(pid) for pid in pids(folder)))


def test_a_new_worker_answers_right_after_the_old_one_was_killed(
    pool: ProcessWorkers, folder: Path
) -> None:
    """A process that was killed a moment ago still looks alive."""
    for _ in range(5):
        with pytest.raises(LabError, match="did not answer"):
            ask(pool, folder, "never", timeout=0.05)
        assert ask(pool, folder).result == "done"


def test_a_worker_that_closes_its_output_and_lives_on_does_not_block(
    pool: ProcessWorkers, folder: Path
) -> None:
    first = int(ask(pool, folder).detail)
    with pytest.raises(LabError, match="instead of an answer"):
        ask(pool, folder, "close output")
    assert not lives(first)
    assert int(ask(pool, folder).detail) != first


def test_a_cancelled_run_ends_the_worker_with_all_its_children(
    pool: ProcessWorkers, folder: Path
) -> None:
    cancel = CancelToken()
    outcome: list[BaseException] = []

    def work() -> None:
        try:
            ask(pool, folder, "never", timeout=60, cancel=cancel)
        except BaseException as error:  # noqa: BLE001 - looked at below
            outcome.append(error)

    asking = threading.Thread(target=work)
    asking.start()
    family = pids(folder)
    cancel.cancel()
    asking.join(PATIENCE)
    assert [type(error) for error in outcome] == [Cancelled]
    until(lambda: not any(lives(pid) for pid in family))
    assert int(ask(pool, folder).detail) not in family


def test_a_cancelled_run_sends_no_request(pool: ProcessWorkers, folder: Path) -> None:
    first = ask(pool, folder).detail
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(Cancelled):
        ask(pool, folder, "never", cancel=cancel)
    assert not (folder / "pids").exists()
    assert ask(pool, folder).detail == first


def heard(pool: ProcessWorkers, folder: Path) -> list[str]:
    """Ask a worker that answers only once its lines were passed on."""
    lines: list[str] = []

    def hear(line: str) -> None:
        lines.append(line)
        if len(lines) == 2:
            (folder / "heard").touch()

    assert ask(pool, folder, "lines", on_line=hear).result == "done"
    return lines


def test_lines_for_people_are_passed_on_while_it_works(pool: ProcessWorkers, folder: Path) -> None:
    assert heard(pool, folder) == ["compiling", "X.java: a warning ü"]


def test_the_output_of_an_earlier_request_is_not_reported_again(
    pool: ProcessWorkers, folder: Path
) -> None:
    heard(pool, folder)
    with pytest.raises(LabError) as failure:
        ask(pool, folder, "die")
    assert failure.value.output == "no memory\n"


def test_a_flood_of_lines_does_not_block_the_worker(pool: ProcessWorkers, folder: Path) -> None:
    script = (
        "import sys, json\n"
        "for line in sys.stdin:\n"
        "    sys.stderr.write(('x' * 99 + '\\n') * 20000)\n"
        "    print(json.dumps({'id': json.loads(line)['id'], 'result': 'done'}), flush=True)\n"
    )
    (folder / "flood.py").write_text(script)
    command = (sys.executable, "flood.py")
    assert ask(pool, folder, command=command).result == "done"
    assert ask(pool, folder, command=command).result == "done"


def test_a_worker_whose_own_file_changed_is_restarted(pool: ProcessWorkers, folder: Path) -> None:
    first = int(ask(pool, folder).detail)
    (folder / "worker.py").write_text(WORKER + "\n# another one\n")
    second = int(ask(pool, folder).detail)
    assert second != first
    assert not lives(first)
    os.utime(folder / "worker.py", (1, 1))
    assert int(ask(pool, folder).detail) != second


def test_a_changed_file_next_to_the_command_does_not_restart_it(
    pool: ProcessWorkers, folder: Path
) -> None:
    first = ask(pool, folder).detail
    (folder / "other.py").write_text("")
    assert ask(pool, folder).detail == first


def test_each_command_and_each_folder_has_a_worker_of_its_own(
    pool: ProcessWorkers, folder: Path
) -> None:
    (folder / "inner").mkdir()
    (folder / "inner/worker.py").write_text(WORKER)
    other = (sys.executable, "-u", "worker.py")
    first = [ask(pool, folder), ask(pool, folder, command=other), ask(pool, folder / "inner")]
    again = [ask(pool, folder), ask(pool, folder, command=other), ask(pool, folder / "inner")]
    assert len({answer.detail for answer in first}) == 3
    assert first == again


def test_two_workers_work_in_parallel_and_one_answers_in_turn(
    pool: ProcessWorkers, folder: Path
) -> None:
    answers: list[str] = []
    commands = [(sys.executable, "worker.py"), (sys.executable, "-u", "worker.py")]

    def work(command: Sequence[str]) -> None:
        answers.extend(ask(pool, folder, command=command).detail for _ in range(20))

    threads = [threading.Thread(target=work, args=(command,)) for command in commands * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert len(answers) == 120
    assert len(set(answers)) == 2


# Answers once it has three requests, the last one first.
BACKWARDS = """
import json, sys
while True:
    asked = [json.loads(sys.stdin.readline()) for _ in range(3)]
    for one in reversed(asked):
        print(json.dumps({"id": one["id"], "result": "done", "detail": one["target"]}), flush=True)
"""


def test_several_artifacts_are_requested_at_once_and_answered_in_any_order(
    pool: ProcessWorkers, folder: Path
) -> None:
    for _ in range(2):
        answers = ask_at_once(pool, folder, BACKWARDS, ["a", "b", "c"])
        assert [answer.detail for answer in answers] == ["a", "b", "c"]


def test_a_repeated_answer_is_not_used_for_another_request(
    pool: ProcessWorkers, folder: Path
) -> None:
    twice = BACKWARDS.replace('one["id"]', 'max(1, one["id"] - 1)')
    with pytest.raises(LabError, match="gave no answer to request 3: "):
        ask_at_once(pool, folder, twice, ["a", "b", "c"])


def test_a_whole_script_can_be_the_command(pool: ProcessWorkers, folder: Path) -> None:
    script = "# " + "x" * 5000 + '\nread -r line; echo \'{"id": 1, "result": "done"}\'; cat > read'
    assert ask(pool, folder, command=("sh", "-c", script)).result == "done"


def test_closing_ends_every_worker_and_the_next_request_starts_one(
    pool: ProcessWorkers, folder: Path
) -> None:
    other = (sys.executable, "-u", "worker.py")
    first = [
        int(ask(pool, folder, command=c).detail) for c in ((sys.executable, "worker.py"), other)
    ]
    pool.close()
    assert not any(lives(pid) for pid in first)
    assert int(ask(pool, folder).detail) not in first
    pool.close()
    pool.close()


def test_closing_kills_a_worker_that_does_not_end_by_itself(
    pool: ProcessWorkers, folder: Path
) -> None:
    answer = r'{"id": 1, "result": "done", "detail": "%s"}\n'
    stubborn = f"trap '' TERM; read -r line; printf '{answer}' $$; while :; do sleep 0.1; done"
    pid = int(ask(pool, folder, command=("sh", "-c", stubborn)).detail)
    pool.close()
    assert not lives(pid)


def test_a_missing_command_is_an_error_of_the_laptop(pool: ProcessWorkers, folder: Path) -> None:
    with pytest.raises(LaptopError, match="command not found: no-such-command") as failure:
        ask(pool, folder, command=("no-such-command", "worker.py"))
    assert failure.value.next_step == "hashlab doctor"


def test_a_file_that_is_not_executable_is_an_error_of_the_laptop(
    pool: ProcessWorkers, folder: Path
) -> None:
    with pytest.raises(LaptopError, match="not executable"):
        ask(pool, folder, command=("./worker.py",))


PARENT = """
import sys, time
from pathlib import Path
from hashlab.drivers.workers import ProcessWorkers
from hashlab.pipeline import CancelToken
from hashlab.protocols import BuildRequest
pool = ProcessWorkers()
for command in ((sys.executable, "worker.py"), (sys.executable, "-u", "worker.py")):
    [answer] = pool.ask(
        command, [BuildRequest("", "out", (), ())], cwd=Path(sys.argv[1]), timeout=20,
        cancel=CancelToken(), on_line=print,
    )
    print(answer.detail, flush=True)
time.sleep(60)
"""


def test_workers_end_when_hashlab_is_killed_because_their_input_ends(folder: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(folder)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert parent.stdout is not None
        family = [int(parent.stdout.readline()) for _ in range(2)]
        assert all(lives(pid) for pid in family)
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()  # type: ignore[union-attr]
    until(lambda: not any(lives(pid) for pid in family))
