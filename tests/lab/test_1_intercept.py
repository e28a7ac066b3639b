"""A process on the laptop takes the place of a service, and the machine gives it back."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from labkit import LabFolder, Running, fetch, rows

# Of the lease, ten seconds, and of the start after it, five.
GIVEN_BACK_SECONDS = 15
JAVA = ["java", "-cp", "user/target/app/lib/user-libraries.jar:user/target/app/classes"]
MAIN = "hashcollision.user.UserService"
# Each reaches neighbours by name first: every program in the namespace, by a proxy without it.
BY_NAME = """\
import socket
for name, port in (("postgres", 5432), ("rabbitmq", 5672), ("qa", 8080)):
    socket.create_connection((name, port), timeout=10).close()
"""
BY_PROXY = """\
import urllib.request
assert b"ok" in urllib.request.urlopen("http://qa:8080/api/qa/health", timeout=10).read()
"""
SERVER = """\
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = f"laptop {self.path}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def answers(url: str, text: str, *, seconds: float = 60) -> float:
    """Wait until a page contains a text; return the seconds that took."""
    started = time.monotonic()
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                page = answer.read().decode()
        except (OSError, urllib.error.URLError) as error:
            page = str(error)
        took = time.monotonic() - started
        if text in page:
            return took
        assert took < seconds, f"{url} has no {text!r} after {seconds} s: {page}"
        time.sleep(0.1)


def state_of(lab: LabFolder) -> str:
    return str(next(s for s in lab.status()["services"] if s["name"] == "user")["state"])


def service(folder: Path, before: str) -> list[str]:
    """Return the command of a small service in Python that first runs some lines."""
    path = folder / "service.py"
    path.write_text(before + SERVER)
    return [sys.executable, str(path)]


@pytest.fixture
def python(tmp_path: Path) -> list[str]:
    """A small service in Python that first reaches its neighbours by name."""
    return service(tmp_path, BY_NAME)


def ssh_of(running: Running) -> int:
    """Return the process id of the SSH client that carries an intercept."""
    tasks = Path(f"/proc/{running.process.pid}/task").glob("*/children")
    children = [int(pid) for task in tasks for pid in task.read_text().split()]
    [found] = [pid for pid in children if Path(f"/proc/{pid}/comm").read_text() == "ssh\n"]
    return found


def intercepted(lab: LabFolder, port: int, *command: str) -> Running:
    return lab.start("intercept", "user", "--port", f"8080={port}", "--", *command)


@pytest.mark.skipif(shutil.which("java") is None, reason="no Java here")
def test_the_real_service_runs_on_the_laptop_and_the_application_works(
    forum_lab: LabFolder, web_url: str
) -> None:
    port = free_port()
    classes = [word.replace("user/target", f"{forum_lab.folder}/user/target") for word in JAVA]
    running = intercepted(forum_lab, port, "env", f"PORT={port}", *classes, MAIN)
    try:
        assert answers(f"{web_url}/api/user/health", '"build":"unknown"') < 60
        assert answers(f"{web_url}/api/user/health", '"status":"ok"') < 60
        assert state_of(forum_lab) == "intercepted"
        document = forum_lab.json("refresh")
        assert any("intercepted by" in row["detail"] for row in rows(document, "container"))
        assert forum_lab.run("verify").ok()
        second = forum_lab.run("intercept", "user", "--port", f"8080={free_port()}", "--", "true")
        assert second.code == 5
        assert "is intercepted by" in second.stderr
    finally:
        code = running.signal(signal.SIGTERM)
    assert code == 130
    assert answers(f"{web_url}/api/user/health", '"status":"ok"') < GIVEN_BACK_SECONDS
    assert forum_lab.run("verify").ok()


def test_the_machine_gives_the_service_back_when_hashlab_is_killed(
    forum_lab: LabFolder, web_url: str, python: list[str]
) -> None:
    port = free_port()
    running = intercepted(forum_lab, port, *python, str(port))
    answers(f"{web_url}/api/user/health", "laptop /api/user/health")
    running.signal(signal.SIGKILL)
    assert answers(f"{web_url}/api/user/health", '"status":"ok"') < GIVEN_BACK_SECONDS
    assert json.loads(fetch(f"{web_url}/api/user/health"))["build"] != "unknown"
    assert state_of(forum_lab) in ("running", "starting")
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=5)


def test_the_end_of_the_command_gives_it_back(
    forum_lab: LabFolder, web_url: str, python: list[str]
) -> None:
    port = free_port()
    running = intercepted(forum_lab, port, *python, str(port))
    answers(f"{web_url}/api/user/health", "laptop /api/user/health")
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/direct", timeout=5) as answer:
        assert answer.read() == b"laptop /direct"
    assert running.signal(signal.SIGTERM) == 130
    assert answers(f"{web_url}/api/user/health", '"status":"ok"') < GIVEN_BACK_SECONDS
    assert forum_lab.run("verify").ok()


def test_a_proxy_leads_to_the_lab_and_a_cut_connection_gives_the_service_back(
    forum_lab: LabFolder, web_url: str, tmp_path: Path
) -> None:
    port = free_port()
    command = service(tmp_path, BY_PROXY)
    running = forum_lab.start(
        *("intercept", "user", "--mode", "socks", "--port", f"8080={port}", "--"),
        *(*command, str(port)),
    )
    answers(f"{web_url}/api/user/health", "laptop /api/user/health")
    os.kill(ssh_of(running), signal.SIGKILL)
    assert running.process.wait(GIVEN_BACK_SECONDS) == 4
    assert answers(f"{web_url}/api/user/health", '"status":"ok"') < GIVEN_BACK_SECONDS
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=5)


def test_a_laptop_that_is_frozen_loses_the_service(
    forum_lab: LabFolder, web_url: str, python: list[str]
) -> None:
    port = free_port()
    running = intercepted(forum_lab, port, *python, str(port))
    answers(f"{web_url}/api/user/health", "laptop /api/user/health")
    running.process.send_signal(signal.SIGSTOP)
    try:
        assert answers(f"{web_url}/api/user/health", '"status":"ok"') < GIVEN_BACK_SECONDS
    finally:
        running.process.send_signal(signal.SIGCONT)
    assert running.process.wait(GIVEN_BACK_SECONDS) == 4
    assert forum_lab.run("verify").ok()
