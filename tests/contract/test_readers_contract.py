"""Readers of a lab's events beside its runs, with real processes on a lab without machines."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from daemon_bench import SECONDS, Bench, Engine, until

import hashlab
from hashlab.daemon import client
from hashlab.daemon.stream import MOST_WAITING

pytestmark = pytest.mark.skipif(
    not Path("/proc/self").exists(), reason="processes are seen in /proc"
)
READER = """
import json, sys
from pathlib import Path
from hashlab.daemon.reader import Outdated, Reader
from hashlab.run.events import event_json
try:
    for event in Reader(Path(sys.argv[1])):
        print(json.dumps(event_json(event)), flush=True)
except Outdated:
    print('{"event": "outdated"}', flush=True)
"""


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    made = Engine()
    yield made
    made.close()


@pytest.fixture
def lab(tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.delenv("HASHLAB_DAEMON", raising=False)
    made = Bench(tmp_path / "lab", engine)
    try:
        yield made
    finally:
        made.close()


def connected(lab: Bench, request: dict[str, object]) -> socket.socket:
    sock = client.connected(str(lab.folder / ".hashlab"))
    assert sock is not None
    sock.settimeout(SECONDS)
    client.send(sock, client.body({"code": client.fingerprint(), **request}))
    return sock


class Connection:
    """A reader: its connection, and the events that it received."""

    def __init__(self, lab: Bench) -> None:
        self.sock = connected(lab, {"kind": client.EVENTS})
        self._lines = self.sock.makefile("rb")
        assert json.loads(self._lines.readline()) == {"reading": True}
        self.events: list[dict[str, Any]] = []

    def until(self, kind: str, **fields: object) -> dict[str, Any]:
        """Read until an event of this kind with these fields."""
        while True:
            line = self._lines.readline()
            assert line, f"{kind} did not come, but {self.events}"
            self.events.append(json.loads(line))
            event = self.events[-1]
            if event["event"] == kind and fields.items() <= event.items():
                return event

    def close(self) -> None:
        self._lines.close()
        self.sock.close()


@pytest.fixture
def reader(lab: Bench) -> Iterator[Callable[[], Connection]]:
    made: list[Connection] = []

    def connect() -> Connection:
        made.append(Connection(lab))
        return made[-1]

    yield connect
    for each in made:
        each.close()


def of_kind(events: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [event for event in events if event["event"] == kind]


def start_reader(lab: Bench) -> subprocess.Popen[str]:
    """A process that prints the events of the lab."""
    script = lab.folder.parent / "read_events.py"
    script.write_text(READER)
    process = subprocess.Popen(
        [sys.executable, "-P", str(script), str(lab.folder)],
        env=lab.environ,
        stdout=subprocess.PIPE,
        text=True,
    )
    lab._started.append(process)
    return process


def next_event(process: subprocess.Popen[str], kind: str) -> dict[str, Any]:
    assert process.stdout is not None
    for line in process.stdout:
        event: dict[str, Any] = json.loads(line)
        if event["event"] == kind:
            return event
    raise AssertionError(f"{kind} did not come")


def test_fifty_readers_receive_each_event_of_a_run(
    lab: Bench, reader: Callable[[], Connection]
) -> None:
    lab.status()
    readers = [reader() for _ in range(50)]
    process = lab.start("refresh")
    assert process.wait(SECONDS) == 4
    for each in readers:
        each.until("run-ended")
    events = readers[0].events
    assert all(each.events == events for each in readers)
    started, ended = events[0], events[-1]
    assert (started["event"], started["command"]) == ("run-started", "refresh")
    assert (started["pid"], started["client"]) == (lab.daemon, process.pid)
    [saved] = (lab.folder / ".hashlab/runs").glob("*-refresh.json")
    assert ended["record"] == json.loads(saved.read_text())
    rows = of_kind(events, "row")
    begun = [row["row"] for row in rows if row["change"] == "begin"]
    assert sorted(begun) == sorted(row["row"] for row in rows if row["change"] == "end")
    assert {"artifacts", "connect"} <= {row["name"] for row in rows}


def test_a_reader_that_comes_during_a_run_learns_of_it(
    lab: Bench, reader: Callable[[], Connection]
) -> None:
    lab.status()
    with lab.engine.holding():
        process = lab.in_the_middle()
        late = reader()
        late.until("run-started", command="refresh")
        late.until("row", name="artifacts", change="begin")
        process.send_signal(signal.SIGINT)
    assert process.wait(SECONDS) == 130
    assert late.until("run-ended")["record"]["error"]["exit_code"] == 130


def row_event(number: int) -> bytes:
    event = {
        **{"event": "row", "run": "x", "row": str(number), "parent": None, "change": "update"},
        **{"name": "containers", "machine": None, "service": None, "detail": "d" * 200},
        **{"done": 0.0, "total": None, "unit": "", "status": None, "seconds": None},
    }
    return json.dumps(event).encode() + b"\n"


def test_a_reader_that_reads_nothing_slows_no_run_and_learns_what_it_lost(
    lab: Bench, reader: Callable[[], Connection]
) -> None:
    lab.status()
    slow = reader()
    quick = reader()
    with connected(lab, {"kind": client.PUBLISH}) as publisher:
        for number in range(5 * MOST_WAITING):
            publisher.sendall(row_event(number))
            if number % 100 == 0:
                quick.until("row", row=str(number))
    assert lab.run("refresh").returncode == 4
    quick.until("run-ended")
    slow.until("run-ended")
    received = of_kind(slow.events, "row")
    lost = sum(event["count"] for event in of_kind(slow.events, "lost"))
    sent = 5 * MOST_WAITING + len([e for e in quick.events if e.get("run") != "x"])
    assert lost > 0
    assert len(slow.events) - len(of_kind(slow.events, "lost")) + lost == sent
    assert received[-1]["run"] != "x"  # the newest events stay


def test_a_killed_reader_is_no_trouble_for_a_run(lab: Bench) -> None:
    lab.status()
    pid = lab.daemon
    before = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    process = start_reader(lab)
    until(lambda: len(list(Path(f"/proc/{pid}/fd").iterdir())) > before, "it is connected")
    with lab.engine.holding():
        run = lab.in_the_middle()
        next_event(process, "run-started")
        process.kill()
        process.wait(SECONDS)
        assert lab.building
        run.send_signal(signal.SIGINT)
    assert run.wait(SECONDS) == 130
    until(lambda: len(list(Path(f"/proc/{pid}/fd").iterdir())) <= before, "it is forgotten")
    assert lab.daemon == pid


def test_the_server_lives_while_it_has_a_reader_and_ends_after_it(
    lab: Bench, reader: Callable[[], Connection]
) -> None:
    idle = 1.0
    server = lab.serve(idle=idle, check=0.02)
    only = reader()
    began = time.monotonic()
    lab.run("refresh")
    only.until("run-ended")
    until(lambda: time.monotonic() - began > 2 * idle, "without a reader it would have ended")
    assert server.poll() is None
    lab.run("refresh")
    only.until("run-ended")
    assert [event["pid"] for event in of_kind(only.events, "run-started")] == [server.pid] * 2
    only.close()
    assert server.wait(SECONDS) == 0


def test_an_upgrade_does_not_cut_a_run_and_readers_are_told_to_reconnect(
    lab: Bench, tmp_path: Path
) -> None:
    own = tmp_path / "code/hashlab"
    shutil.copytree(Path(hashlab.__file__).parent, own)
    lab.environ["PYTHONPATH"] = str(own.parent)
    lab.status()
    first = lab.daemon
    process = start_reader(lab)
    with lab.engine.holding():
        run = lab.in_the_middle()
        next_event(process, "run-started")
        lab.engine.let_others()
        with (own / "errors.py").open("a") as file:
            file.write("# a newer version\n")
        second = lab.run("refresh", "--json")
        assert (second.returncode, json.loads(second.stdout)["ok"]) == (5, False)
        assert f"refresh (process {first})" in second.stderr
        lab.status()  # without the server
        assert lab.daemons() == [first]
        assert lab.building
        run.send_signal(signal.SIGINT)
    assert run.wait(SECONDS) == 130
    assert next_event(process, "run-ended")["record"]["error"]["exit_code"] == 130
    assert "code has changed" in next_event(process, "restarting")["reason"]
    until(lambda: first not in lab.daemons(), "the older server is gone")
    lab.status()
    assert lab.daemon != first
    next_event(process, "outdated")  # its own code is the older one


def test_a_reader_connects_to_the_next_server(lab: Bench) -> None:
    lab.status()
    first = lab.daemon
    process = start_reader(lab)
    with lab.engine.holding():
        lab.in_the_middle()
        next_event(process, "run-started")
        os.kill(first, signal.SIGKILL)
    until(lambda: lab.daemons() == [], "the first server is gone")
    lab.status()
    assert next_event(process, "lost")["count"] == 0
    lab.run("refresh")
    assert next_event(process, "run-ended")["pid"] == lab.daemon != first


def test_a_reader_starts_the_server(lab: Bench) -> None:
    start_reader(lab)
    until(lambda: len(lab.daemons()) == 1, "the server is started")


def test_readers_see_a_run_of_another_process(lab: Bench, reader: Callable[[], Connection]) -> None:
    lab.status()
    each = reader()
    process = lab.start("destroy")
    assert process.wait(SECONDS) == 0
    started = each.until("run-started", command="destroy")
    assert (started["pid"], started["client"]) == (process.pid, process.pid)
    assert each.until("run-ended")["record"]["command"] == "destroy"
    assert of_kind(each.events, "row")
    each.until("ending")
    assert lab.daemons() == []


def test_a_run_whose_process_was_killed_has_ended_for_readers(
    lab: Bench, reader: Callable[[], Connection]
) -> None:
    lab.status()
    each = reader()
    started = {"run": "x", "command": "dev", "pid": 4711, "client": 4711, "since": "now"}
    with connected(lab, {"kind": client.PUBLISH}) as publisher:
        publisher.sendall(json.dumps({"event": "run-started", **started}).encode() + b"\n")
        each.until("run-started", run="x")
    assert each.until("run-ended", run="x")["record"] is None


def test_rubbish_from_a_publisher_reaches_no_reader(
    lab: Bench, reader: Callable[[], Connection]
) -> None:
    lab.status()
    each = reader()
    for rubbish in (b"[]\n", b"{}\n", b"\xff\n", b'{"event": "run-started"}\n', b"[" * 99999):
        with connected(lab, {"kind": client.PUBLISH}) as publisher:
            publisher.sendall(rubbish)
            publisher.shutdown(socket.SHUT_WR)
            assert publisher.recv(1) == b""
    with connected(lab, {"kind": client.PUBLISH}) as publisher:
        publisher.sendall(b'{"event": "of a newer version"}\n' + row_event(1))
        each.until("row", row="1")
    assert len(each.events) == 1
    assert "Traceback" not in lab.log


def test_watch_refreshes_in_the_server_and_reports_other_commands(lab: Bench) -> None:
    watch = lab.start("watch")
    assert watch.stdout is not None
    lines = iter(watch.stdout.readline, "")
    assert next(line for line in lines if "(start" in line)
    pid = lab.daemon
    assert "refresh: 4" in lab.log
    (lab.folder / "page.txt").write_text("edited")
    assert next(line for line in lines if "page.txt" in line)
    assert lab.run("refresh").returncode == 4
    other = next(line for line in lines if "another command ran" in line)
    assert "hashlab refresh, failed after" in other
    assert lab.log.count("refresh: 4") >= 3
    os.kill(pid, signal.SIGKILL)
    until(lambda: lab.daemons() == [], "the server is gone")
    (lab.folder / "page.txt").write_text("edited again")
    assert next(line for line in lines if "page.txt" in line)
    assert lab.daemon != pid
    watch.send_signal(signal.SIGINT)
    assert watch.wait(SECONDS) == 0


def test_ctrl_c_during_a_refresh_of_watch_ends_it_in_order(lab: Bench) -> None:
    with lab.engine.holding():
        watch = lab.in_the_middle("watch")
        pid = lab.daemon
        watch.send_signal(signal.SIGINT)
        until(lambda: not lab.building, "the build is ended")
    out, err = watch.communicate(timeout=SECONDS)
    assert watch.returncode == 130, (out, err)
    assert "Half done" in out + err
    assert lab.daemon == pid


def test_watch_starts_again_after_an_upgrade(lab: Bench, tmp_path: Path) -> None:
    own = tmp_path / "code/hashlab"
    shutil.copytree(Path(hashlab.__file__).parent, own)
    lab.environ["PYTHONPATH"] = str(own.parent)
    watch = lab.start("watch", stderr=subprocess.STDOUT)
    assert watch.stdout is not None
    lines = iter(watch.stdout.readline, "")
    assert next(line for line in lines if "(start" in line)
    first = lab.daemon
    with (own / "errors.py").open("a") as file:
        file.write("# a newer version\n")
    lab.status()
    assert lab.daemon != first
    (lab.folder / "page.txt").write_text("edited")
    assert next(line for line in lines if "was upgraded" in line)
    assert next(line for line in lines if "(start" in line)
    (lab.folder / "page.txt").write_text("edited again")
    assert next(line for line in lines if "page.txt" in line)
    watch.send_signal(signal.SIGINT)
    assert watch.wait(SECONDS) == 0
