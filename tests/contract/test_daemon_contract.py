"""A lab's daemon and its clients as real processes, on a lab without machines."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import resource
import select
import shutil
import signal
import socket
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from daemon_bench import HASHLAB, SECONDS, Bench, Engine, until

import hashlab
from hashlab.daemon import client
from hashlab.run.lock import held

pytestmark = pytest.mark.skipif(
    not Path("/proc/self").exists(), reason="processes are seen in /proc"
)


def values(*, json: bool = False) -> dict[str, object]:
    """The values of `hashlab status`."""
    common: dict[str, object] = {"lab": "", "file": (), "profile": (), "provider": "", "json": json}
    return {**common, "follow": False, "services": False}


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    made = Engine()
    yield made
    made.close()


@pytest.fixture
def lab(tmp_path: Path, engine: Engine) -> Iterator[Bench]:
    made = Bench(tmp_path / "lab", engine)
    try:
        yield made
    finally:
        made.close()


def test_the_first_call_starts_a_daemon_and_the_next_ones_use_it(lab: Bench) -> None:
    direct = lab.direct("status", "--json")
    assert lab.daemons() == []
    assert lab.status() == json.loads(direct.stdout)
    first = lab.daemon
    assert lab.status() == json.loads(direct.stdout)
    assert lab.daemon == first
    assert lab.socket.stat().st_mode & 0o777 == 0o600
    assert (lab.folder / ".hashlab/daemon.log").stat().st_mode & 0o777 == 0o600


def test_every_exit_code_and_both_streams_are_those_of_the_command(lab: Bench) -> None:
    lab.status()
    pid = lab.daemon
    failed = lab.run("refresh", "--json")
    assert failed.returncode == lab.direct("refresh", "--json").returncode == 4
    assert json.loads(failed.stdout)["error"]["exit_code"] == 4
    assert "the machine is not there" in failed.stderr
    people = lab.run("refresh")
    assert "the machine is not there" in people.stdout
    assert people.stderr == ""
    no_engine = {"DOCKER_HOST": "unix:///nowhere.sock"}
    assert lab.run("status", cwd=None, **no_engine).returncode == 3
    with held(lab.folder / ".hashlab/lock", "dev"):
        locked = lab.run("verify", "--json")
    assert (locked.returncode, json.loads(locked.stdout)["ok"]) == (5, False)
    (lab.folder / "hashlab.toml").write_text("[lab]\nnam = 1\n")
    for command in ("status", "seed"):
        wrong, message = lab.run(command), lab.direct(command)
        assert (wrong.returncode, wrong.stdout, wrong.stderr) == (2, message.stdout, message.stderr)
        assert "hashlab.toml:2" in wrong.stderr
    assert lab.daemon == pid


def test_the_lab_is_resolved_from_the_clients_folder(lab: Bench, tmp_path: Path) -> None:
    lab.status()
    pid, wanted = lab.daemon, lab.direct("status").stdout
    (lab.folder / "sub").mkdir()
    for words, cwd in (
        (["--lab", "lab"], tmp_path),
        (["--lab=../lab/."], lab.folder),
        (["-llab"], tmp_path),
        ([], lab.folder / "sub"),
    ):
        done = lab.run("status", *words, cwd=cwd)
        assert (done.returncode, done.stdout) == (0, wanted), done.stderr
    # From inside one lab another one is named, in a form that the client does not parse.
    (tmp_path / "other").mkdir()
    done = lab.run("status", "-l../other")
    assert (done.returncode, done.stdout) == (2, "")
    assert lab.daemon == pid


def test_from_a_folder_that_was_removed_a_lab_can_still_be_named(
    lab: Bench, tmp_path: Path
) -> None:
    (tmp_path / "gone").mkdir()
    script = f'rmdir ../gone; "$@" status --lab {lab.folder}'
    done = subprocess.run(
        ["sh", "-c", script, "sh", *HASHLAB],
        cwd=tmp_path / "gone",
        env=lab.environ,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, lab.direct("status").stdout), done.stderr


def test_the_environment_is_the_clients_however_long_it_is(lab: Bench) -> None:
    long = {f"LONG_{number}": "x" * 100_000 for number in range(8)}
    builds = {tag: lab.status(TAG=tag, **long)["services"][0]["build"] for tag in ("a", "b")}
    assert builds["a"] != builds["b"]
    for tag, build in builds.items():
        direct = json.loads(lab.direct("status", "--json", TAG=tag).stdout)
        assert direct["services"][0]["build"] == build
    assert lab.status()["services"][0]["build"] not in builds.values()


@pytest.mark.parametrize("mask", [0o077, 0o022])
def test_files_of_a_run_have_the_mode_that_the_client_would_give_them(
    lab: Bench, mask: int
) -> None:
    lab.status()
    with lab.engine.holding():
        process = lab.start("refresh", umask=mask)
        until((lab.folder / "out/page.txt").exists, "it is built")
    assert process.wait(SECONDS) == 4
    assert (lab.folder / "out").stat().st_mode & 0o777 == 0o777 & ~mask


def on_terminal(lab: Bench, columns: int, *words: str, **environ: str) -> str:
    """Return the output of a command on a terminal; no stream is a pipe."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    process = lab.start(*words, stdin=theirs, stdout=theirs, stderr=theirs, environ=environ)
    os.close(theirs)
    output = b""
    with suppress(OSError):  # the last process with the terminal has ended
        while piece := os.read(ours, 65536):
            output += piece
    os.close(ours)
    assert process.wait(SECONDS) == 0
    return output.decode()


def test_the_run_uses_the_clients_terminal(lab: Bench) -> None:
    lab.status()
    pid = lab.daemon
    pages = {width: on_terminal(lab, width, "status") for width in (24, 160)}
    assert "\x1b[" in pages[160]
    assert pages[24] != pages[160]
    for width, page in pages.items():
        assert page == on_terminal(lab, width, "status", HASHLAB_DAEMON="0")
    # The terminal belongs to the client alone again at once.
    assert not [fd for fd in Path(f"/proc/{pid}/fd").iterdir() if "/pts/" in str(fd.readlink())]
    assert "\x1b[" not in lab.run("status").stdout


def test_a_question_is_asked_and_answered_on_the_clients_terminal(lab: Bench) -> None:
    lab.status()
    pid = lab.daemon
    compose = lab.folder / "compose.yaml"
    compose.write_text(f"{compose.read_text()}    privileged: true\n")
    for answer, code in ((b"n\ny\n", 130), (b"y\n", 4), (b"", 4)):
        ours, theirs = pty.openpty()
        process = lab.start("refresh", stdin=theirs, stdout=theirs, stderr=theirs)
        os.close(theirs)
        output = b""
        with suppress(OSError):  # the last process with the terminal has ended
            while piece := os.read(ours, 65536):
                output += piece
                if output.endswith(b"[y/N] "):
                    os.write(ours, answer)
        os.close(ours)
        assert process.wait(SECONDS) == code, output.decode()
        assert (b"is privileged" in output) is (b"[y/N]" in output)
    assert b"[y/N]" not in output
    assert lab.daemon == pid


@pytest.mark.parametrize("how", ["typed Ctrl-C", "hangup"])
def test_terminal_events_reach_the_run(lab: Bench, how: str) -> None:
    ours, theirs = pty.openpty()
    with lab.engine.holding():
        process = lab.in_the_middle(
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        pid = lab.daemon
        os.close(theirs)
        if how == "hangup":
            os.close(ours)
        else:
            os.write(ours, b"\x03")
        until(lambda: not lab.building, "the build is ended")
    output = b""
    with suppress(OSError):  # no process has the terminal any more
        while how != "hangup" and (piece := os.read(ours, 65536)):
            output += piece
    if how == "hangup":
        assert process.wait(SECONDS) == -signal.SIGHUP
    else:
        os.close(ours)
        assert process.wait(SECONDS) == 130
        assert b"interrupted. Half done" in output
        assert output.count(b"\x1b[?25l") == output.count(b"\x1b[?25h") > 0  # the cursor is back
    until(lambda: "refresh: 130" in lab.log, "the daemon is free")
    lab.status()
    assert lab.daemon == pid


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_client_interrupts_the_run_and_the_daemon_lives_on(
    lab: Bench, number: signal.Signals
) -> None:
    with lab.engine.holding():
        process = lab.in_the_middle("refresh", "--json")
        pid = lab.daemon
        process.send_signal(number)
        until(lambda: not lab.building, "the build is ended")
    out, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 130, err
    assert "interrupted. Half done" in json.loads(out)["error"]["what"]
    lab.status()
    assert lab.daemon == pid


def test_a_run_in_the_background_of_a_script_ignores_ctrl_c(lab: Bench) -> None:
    with lab.engine.holding():
        process = lab.in_the_middle(preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
        status = Path(f"/proc/{process.pid}/status").read_text()
        ignored = int(status.split("SigIgn:")[1].split()[0], 16)
        assert ignored & 1 << signal.SIGINT - 1
        process.send_signal(signal.SIGTERM)
        until(lambda: not lab.building, "the build is ended")
    assert process.wait(SECONDS) == 130


def test_the_run_of_a_client_that_was_killed_is_interrupted_and_the_daemon_lives_on(
    lab: Bench,
) -> None:
    with lab.engine.holding():
        process = lab.in_the_middle()
        pid = lab.daemon
        process.kill()
        until(lambda: not lab.building, "the build is ended")
    until(lambda: "refresh: 130" in lab.log, "the daemon is free")
    lab.status()
    assert lab.daemon == pid


def test_a_daemon_killed_midway_is_reported_and_the_next_call_works(lab: Bench) -> None:
    with lab.engine.holding():
        process = lab.in_the_middle("refresh", "--json")
        pid = lab.daemon
        os.kill(pid, signal.SIGKILL)
        _, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 4
    assert "background process is gone" in err
    assert "daemon.log" in err
    assert lab.socket.exists()  # no process was left to remove it
    done = lab.run("refresh")
    assert "left at work by a run that was killed" in done.stdout
    assert not lab.building
    assert lab.daemon != pid


def test_during_a_run_a_second_one_learns_at_once_who_holds_the_lock(lab: Bench) -> None:
    with lab.engine.holding():
        process = lab.in_the_middle()
        pid = lab.daemon
        lab.engine.let_others()
        lab.status()  # needs no lock: the client does it itself
        second = lab.run("refresh", "--json", PYTHONPROFILEIMPORTTIME="1")
        assert second.returncode == 5
        assert f"refresh (process {pid})" in second.stderr
        refusal = json.loads(second.stdout)
        assert (refusal["ok"], refusal["error"]["exit_code"]) == (False, 5)
        assert "hashlab.daemon.client" in second.stderr
        assert "hashlab.run.execution" not in second.stderr, "it tried again by itself"
        people = lab.run("refresh")
        assert (people.returncode, people.stdout) == (5, "")
        assert "wait for it, or end it" in people.stderr
        assert lab.daemon == pid
        process.send_signal(signal.SIGINT)
        until(lambda: not lab.building, "the build is ended")
    assert process.wait(SECONDS) == 130


def test_changed_code_ends_the_daemon_and_a_bug_is_shown(lab: Bench, tmp_path: Path) -> None:
    own = tmp_path / "code/hashlab"
    shutil.copytree(Path(hashlab.__file__).parent, own)
    lab.environ["PYTHONPATH"] = str(own.parent)
    lab.status()
    first = lab.daemon
    lab.status()
    assert lab.daemon == first
    module = own / "phases/status.py"
    good = module.read_text()
    bad = good.replace("lab=world.lab.name,", "lab=1 // 0,")
    assert bad != good
    module.write_text(bad)
    for _ in range(2):  # after a bug the daemon may be in any state, so it is not used again
        broken = lab.run("status", "--json")
        assert (broken.returncode, broken.stdout) == (1, "")
        assert "Traceback" in broken.stderr
        assert "ZeroDivisionError" in broken.stderr
        assert first not in lab.daemons()
        # The client gets its answer a moment before the daemon logs its end.
        until(lambda: "ZeroDivisionError" in lab.log, "the bug is in the log")
        assert "Traceback" not in lab.log
    module.write_text(good)
    lab.status()
    assert lab.daemon != first


@pytest.mark.parametrize("word", ["0", "no", "OFF", "false"])
def test_a_daemon_that_is_not_wanted_is_not_started(lab: Bench, word: str) -> None:
    lab.status(HASHLAB_DAEMON=word)
    assert lab.daemons() == []


def test_a_lab_without_any_run_has_no_daemon(lab: Bench) -> None:
    (lab.folder / ".hashlab").rmdir()
    lab.status()
    assert lab.daemons() == []


def test_a_daemon_ends_with_the_folder_of_its_lab(lab: Bench) -> None:
    process = lab.serve(check=0.02)
    lab.status()
    shutil.rmtree(lab.folder / ".hashlab")
    assert process.wait(SECONDS) == 0


def test_a_daemon_whose_socket_was_replaced_ends_and_leaves_the_new_one(lab: Bench) -> None:
    process = lab.serve(check=0.02)
    other = lab.folder / "other.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(other))
        other.rename(lab.socket)
        assert process.wait(SECONDS) == 0
    assert lab.socket.exists()


def test_a_daemon_without_requests_ends(lab: Bench) -> None:
    process = lab.serve(idle=0.05)
    assert process.wait(SECONDS) == 0
    assert not lab.socket.exists()


def test_a_polite_kill_ends_an_idle_daemon_and_ctrl_c_does_not(lab: Bench) -> None:
    process = lab.serve()
    process.send_signal(signal.SIGINT)
    lab.status()
    assert lab.daemons() == [process.pid]
    process.send_signal(signal.SIGTERM)
    assert process.wait(SECONDS) == 0
    assert not lab.socket.exists()


def test_stop_waits_until_the_daemon_has_ended(lab: Bench) -> None:
    lab.status()
    client.stop(str(lab.folder))
    assert lab.daemons() == []
    assert not lab.socket.exists()
    client.stop(str(lab.folder))


def test_destroy_ends_the_daemon(lab: Bench) -> None:
    lab.status()
    done = lab.run("destroy")
    assert done.returncode == 0, done.stdout
    assert lab.daemons() == []


def test_a_daemon_that_is_stopped_during_a_run_ends_after_it(lab: Bench) -> None:
    with lab.engine.holding():
        process = lab.in_the_middle()
        client.stop(str(lab.folder))
        assert lab.building
        process.send_signal(signal.SIGINT)
        until(lambda: not lab.building, "the build is ended")
    assert process.wait(SECONDS) == 130
    until(lambda: lab.daemons() == [], "the daemon is gone")


def test_a_path_longer_than_a_sockets_limit_works(tmp_path: Path, engine: Engine) -> None:
    lab = Bench(tmp_path / ("long-" * 20) / ("path-" * 20), engine)
    try:
        lab.status()
        pid = lab.daemon
        lab.status()
        assert lab.daemon == pid
    finally:
        lab.close()


def test_clients_that_start_at_once_have_one_daemon(lab: Bench) -> None:
    clients = [lab.start("status", "--json") for _ in range(4)]
    documents = [json.loads(process.communicate(timeout=SECONDS)[0]) for process in clients]
    assert documents == [documents[0]] * 4
    until(lambda: len(lab.daemons()) == 1, "one daemon is left")
    lab.status()


def test_a_closed_or_broken_stream_is_no_problem(lab: Bench) -> None:
    lab.status()
    pid, wanted = lab.daemon, lab.direct("status").stdout
    line = '"$@" status'

    def shell(script: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", "-c", script, "sh", *HASHLAB],
            cwd=lab.folder,
            env=lab.environ,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    closed = shell(f"{line} <&-")
    assert (closed.returncode, closed.stdout) == (0, wanted), closed.stderr
    assert shell(f"{line} >&-").returncode == 0
    assert shell(f"{line} <&- >&- 2>&-").returncode == 0
    # The reader closes before anything is written; refresh still ends with its own code.
    broken = shell('{ "$@" refresh; echo code $? >&2; } | true')
    assert broken.stderr == "code 4\n"
    assert lab.status()
    assert lab.daemon == pid
    assert "machine" not in lab.log  # unread output of a client is discarded


def test_the_daemon_holds_nothing_its_first_client_had_open(lab: Bench) -> None:
    ours, theirs = os.pipe()
    process = lab.start("status", pass_fds=(theirs,))
    os.close(theirs)
    assert process.wait(SECONDS) == 0
    with os.fdopen(ours, "rb") as stream:
        assert select.select([stream], [], [], SECONDS)[0], "somebody can still write"
        assert stream.read() == b""
    assert lab.daemon


def test_files_of_the_lab_named_like_modules_of_python_are_not_imported(lab: Bench) -> None:
    for name in ("docker.py", "queue.py", "hashlab.py"):
        (lab.folder / name).write_text("raise SystemExit('imported')\n")
    lab.status()
    assert lab.daemon


def test_the_log_shows_the_work_and_no_secret(lab: Bench) -> None:
    lab.status(SECRET="hunter2")
    lab.run("refresh", SECRET="hunter2")
    lines = lab.log.splitlines()
    assert [line.split(" ", 1)[1] for line in lines] == [
        f"process {lab.daemon} listens",
        "status: 0",
        "refresh: 4",
    ]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file away")
def test_another_users_daemon_is_not_used(lab: Bench) -> None:
    lab.status()
    os.chown(lab.socket, 12345, -1)
    lab.status()
    assert "status" not in lab.log.split("status: 0", 1)[1]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can listen as another user")
def test_another_users_listener_gets_no_data(lab: Bench) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(lab.socket))
        os.seteuid(12345)  # the kernel records which process called listen()
        try:
            listener.listen()
        finally:
            os.seteuid(0)
        lab.status(SECRET="hunter2")
        listener.settimeout(SECONDS)
        sock, _ = listener.accept()
        with sock:
            assert sock.recv(1) == b""


def descriptors(pid: int) -> list[str]:
    return sorted(str(fd.readlink()) for fd in Path(f"/proc/{pid}/fd").iterdir())


def test_neither_fifty_requests_nor_malformed_ones_leak_a_descriptor(
    lab: Bench, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DOCKER_HOST", lab.environ["DOCKER_HOST"])
    monkeypatch.delenv("HASHLAB_DAEMON", raising=False)
    monkeypatch.chdir(lab.folder)
    assert client.ask("status", values()) == 0
    pid = lab.daemon
    before = len(descriptors(pid))
    for _ in range(50):
        assert client.ask("status", values(json=True)) == 0
    for rubbish in (b"", b"\0", b"\0\0\0\4", b"\0\0\0\4rub", b"\0\0\0\4rubb", b"\0\0\0\0"):
        sock = client.connected(str(lab.folder / ".hashlab"))
        assert sock is not None
        with sock:
            if rubbish:
                socket.send_fds(sock, [rubbish], [0, 1, 2])
            sock.shutdown(socket.SHUT_WR)
            sock.recv(100)
    assert client.ask("status", values()) == 0
    until(lambda: len(descriptors(pid)) <= before, "descriptors are closed")
    assert lab.daemon == pid
    capfd.readouterr()


def connected(lab: Bench) -> socket.socket:
    sock = client.connected(str(lab.folder / ".hashlab"))
    assert sock is not None
    return sock


def asked(lab: Bench) -> dict[str, object]:
    """Return the request of a client in the lab's folder."""
    return {
        "kind": client.RUN,
        "pid": os.getpid(),
        "command": "status",
        "values": values(json=True),
        "folder": str(lab.folder),
        "code": client.fingerprint(),
        "cwd": str(lab.folder),
        "umask": 0o022,
        "environ": dict(lab.environ),
        "streams": [["utf-8", "strict"], ["utf-8", "strict"]],
    }


VALUES = values()
WRONG: dict[str, dict[str, object]] = {
    "the command is a number": {"command": 1},
    "the command does not exist": {"command": "statsu"},
    "the command is not for a daemon": {"command": "destroy"},
    "values are a number": {"values": 1},
    "a value is a number": {"values": {**VALUES, "lab": 1}},
    "a value is missing": {"values": {}},
    "a value is one too many": {"values": {**VALUES, "verbose": True}},
    "the folder is missing": {"folder": None},
    "the folder has a NUL": {"folder": "/\0"},
    "the folder to stand in is gone": {"cwd": "/nowhere/at/all"},
    "the mask is a text": {"umask": "022"},
    "the mask is too large": {"umask": 1 << 70},
    "the environment is a list": {"environ": []},
    "a variable is a number": {"environ": {"A": 1}},
    "a variable has no name": {"environ": {"": "x"}},
    "a variable cannot be encoded": {"environ": {"A": "\ud900"}},
    "streams are missing": {"streams": []},
    "an encoding is not known": {"streams": [["klingon", "strict"], ["utf-8", "strict"]]},
    "an encoding is a number": {"streams": [[8, "strict"], ["utf-8", "strict"]]},
}


def test_no_request_ends_the_daemon(lab: Bench) -> None:
    lab.status()
    pid = lab.daemon
    for name, wrong in WRONG.items():
        with connected(lab) as sock:
            client.send(sock, client.body({**asked(lab), **wrong}))
            stream = sock.makefile()
            message = json.loads(stream.readline())
            if "give" in message:
                socket.send_fds(sock, [b"."], [0, 1, 2])
                message = json.loads(stream.readline())
            assert set(message) == {"refused"}, (name, message)
    for fds in ([], [0], [0, 1]):
        with connected(lab) as sock:
            client.send(sock, client.body(asked(lab)))
            assert b"give" in sock.recv(1000)
            socket.send_fds(sock, [b"."], fds)
            assert b"refused" in sock.recv(1000)
    for body in (
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"[]",
        b'"x"',
        b"\xff\xfe",
        b"NaN",
        b"1" * 9999,
    ):
        with connected(lab) as sock:
            client.send(sock, body)
            assert b"refused" in sock.recv(100), body[:20]
    with connected(lab) as sock:  # larger than the limit: none of it is read
        sock.sendall((client.REQUEST_LIMIT + 1).to_bytes(4, "big"))
        assert b"refused" in sock.recv(100)
    lab.status()
    assert lab.daemon == pid
    assert "Traceback" not in lab.log


def test_an_environment_larger_than_a_request_may_be_is_used_without_the_daemon(lab: Bench) -> None:
    lab.status()
    large = {f"LARGE_{number}": "x" * 100_000 for number in range(12)}
    build = lab.status(TAG="large", **large)["services"][0]["build"]
    assert build == lab.status(TAG="large")["services"][0]["build"]
    assert lab.log.count("status: 0") == 2


def test_half_a_request_delays_others_only_until_they_do_the_work_themselves(lab: Bench) -> None:
    lab.status()
    pid = lab.daemon
    with connected(lab) as first, connected(lab) as second:
        first.sendall(b"\0\0\1\0half")
        second.sendall(b"\0\0")
        assert lab.status()["services"]
        assert first.recv(100) == b""  # after its time limit
    lab.status()
    assert lab.daemon == pid


def test_a_client_does_not_wait_for_a_daemon_that_does_not_answer(lab: Bench) -> None:
    lab.status()
    pid = lab.daemon
    os.kill(pid, signal.SIGSTOP)
    try:
        done = lab.run("status", "--json")
    finally:
        os.kill(pid, signal.SIGCONT)
    assert (done.returncode, bool(json.loads(done.stdout)["services"])) == (0, True)
    assert "does not answer" in done.stderr
    lab.status()
    assert lab.daemon == pid


def test_without_a_free_descriptor_clients_do_the_work_and_the_daemon_survives(
    lab: Bench,
) -> None:
    lab.status()
    pid = lab.daemon
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    for spare in range(5):  # fails at another step each time
        most = max(int(fd.name) for fd in Path(f"/proc/{pid}/fd").iterdir()) + 1 + spare
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (most, before[1]))
        lab.status()
        assert lab.daemon == pid
    busy = cpu_seconds(pid)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
    answered = lab.log.count("status: 0")
    lab.status()
    assert lab.log.count("status: 0") == answered + 1
    assert lab.daemon == pid
    assert busy < 5, "it does not try again and again at once"


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("switch", ["1", "0"])
def test_a_second_ctrl_c_leaves_at_once_even_if_something_hangs(lab: Bench, switch: str) -> None:
    if switch == "1":
        lab.status()
    with lab.engine.holding():
        process = lab.in_the_middle(environ={"HASHLAB_DAEMON": switch})
        process.send_signal(signal.SIGINT)
        until(lambda: not lab.building, "the build is ended")
        time.sleep(0.2)
        assert process.poll() is None  # it waits for the engine
        process.send_signal(signal.SIGINT)
        assert process.wait(5) == 130
        until(lambda: lab.daemons() == [], "a run that hangs does not stay in the background")
    assert process.stderr is not None
    assert "left at once" in process.stderr.read()
    done = lab.run("refresh", "--json")
    assert json.loads(done.stdout)["error"]["exit_code"] == 4, "the lock is free again"
