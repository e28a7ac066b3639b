"""A lab folder without machines, an engine that answers on demand, clients, and their daemon."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

# -P, as in the console script: Python does not import modules from the current folder.
HASHLAB = [sys.executable, "-P", "-m", "hashlab"]
SECONDS = 30.0
TOML = """\
[lab]
name     = "alone"
provider = "docker"

[machines.web]
address = "192.168.60.5"

[artifacts.page]
command = ["./build.sh"]
inputs  = ["page.txt"]
output  = "out"
"""
COMPOSE = """\
services:
  web:
    image: web:${TAG:-none}
    volumes: ["./out:/srv:ro"]
"""
BUILD = """\
#!/bin/sh
mkdir -p out && cp page.txt out
if [ -e slow ]; then
    echo $$ > building.new && mv building.new building
    exec sleep 60
fi
"""


def until(true: Callable[[], Any], what: str = "") -> Any:
    """Wait for a condition; fail if it is not met in time."""
    deadline = time.monotonic() + SECONDS
    while not (value := true()):
        assert time.monotonic() < deadline, f"in vain: {what or true}"
        time.sleep(0.005)
    return value


class Engine:
    """The API of an empty Docker Engine. While it holds, requests wait for their release."""

    def __init__(self) -> None:
        self._holding: threading.Event | None = None
        self.waiting = False
        engine = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                engine.answer(self)

            def log_message(self, format: str, *args: Any) -> None:
                return None

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"tcp://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        path = urlsplit(request.path).path
        holding = self._holding
        if holding is not None and "/containers/" in path:
            self.waiting = True
            holding.wait(SECONDS)
        lists = ("/containers/json", "/images/json", "/networks")
        answers: dict[str, object] = {
            "/version": {"ApiVersion": "1.41"},
            "/v1.41/volumes": {"Volumes": []},
        }
        known = answers.get(path, [] if path.endswith(lists) else None)
        body = json.dumps({"message": "not here"} if known is None else known).encode()
        with suppress(OSError):
            request.send_response(404 if known is None else 200)
            request.send_header("Content-Type", "application/json")
            request.send_header("Content-Length", str(len(body)))
            request.end_headers()
            request.wfile.write(body)

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Requests for containers wait for the end of the block, or for ``let_others``."""
        event = self._holding = threading.Event()
        self.waiting = False
        try:
            yield
        finally:
            self._holding = None
            event.set()

    def let_others(self) -> None:
        """Answer new requests from now on; waiting ones continue to wait."""
        self._holding = None

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Bench:
    """One lab without machines, and everything that was started for it."""

    def __init__(self, folder: Path, engine: Engine) -> None:
        self.folder = folder
        self.engine = engine
        folder.mkdir(parents=True)
        (folder / ".hashlab").mkdir()
        (folder / "hashlab.toml").write_text(TOML)
        (folder / "compose.yaml").write_text(COMPOSE)
        (folder / "page.txt").write_text("hello")
        (folder / "build.sh").write_text(BUILD)
        (folder / "build.sh").chmod(0o755)
        self.environ = {**os.environ, "DOCKER_HOST": engine.url, "TERM": "xterm"}
        self.environ.pop("HASHLAB_DAEMON", None)
        self._started: list[subprocess.Popen[str]] = []

    @property
    def socket(self) -> Path:
        return self.folder / ".hashlab/daemon.sock"

    @property
    def log(self) -> str:
        return (self.folder / ".hashlab/daemon.log").read_text()

    def start(self, *words: str, cwd: Path | None = None, **given: Any) -> subprocess.Popen[str]:
        """Start a client. ``environ``: additional variables; the rest is for Popen."""
        environ = {**self.environ, **given.pop("environ", {})}
        streams = {
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
        }
        process = subprocess.Popen(
            [*HASHLAB, *words],
            cwd=cwd or self.folder,
            env=environ,
            text=True,
            **{**streams, **given},
        )
        self._started.append(process)
        return process

    def run(
        self, *words: str, cwd: Path | None = None, **environ: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a client to its end."""
        process = self.start(*words, cwd=cwd, environ=environ)
        out, err = process.communicate(timeout=SECONDS)
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    def direct(self, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run the same without a daemon."""
        return self.run(*words, cwd=None, **{**environ, "HASHLAB_DAEMON": "0"})

    def status(self, **environ: str) -> dict[str, Any]:
        """Return the document of ``status``, which must succeed."""
        done = self.run("status", "--json", cwd=None, **environ)
        assert done.returncode == 0, done.stderr
        value: dict[str, Any] = json.loads(done.stdout)
        return value

    def daemons(self) -> list[int]:
        """Return the processes that are a daemon of this lab, found without hashlab."""
        found = []
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):
                words = entry.read_bytes().split(b"\0")
                if any(b"hashlab.daemon" in word for word in words) and (
                    os.fsencode(self.folder) in words
                ):
                    found.append(int(entry.parent.name))
        return found

    @property
    def daemon(self) -> int:
        """The one daemon."""
        [pid] = self.daemons()
        return pid

    def in_the_middle(self, *words: str, **given: Any) -> subprocess.Popen[str]:
        """Start a refresh whose build has begun, and which also waits for the engine."""
        (self.folder / "slow").touch()
        (self.folder / "page.txt").write_text(str(time.time_ns()))
        process = self.start(*(words or ("refresh",)), **given)
        until((self.folder / "building").exists, "the build begins")
        until(lambda: self.engine.waiting, "the engine is asked")
        (self.folder / "slow").unlink()
        return process

    @property
    def building(self) -> bool:
        """Return whether the slow build is running."""
        pid = (self.folder / "building").read_text().strip()
        with suppress(OSError):
            return b"sleep" in Path(f"/proc/{pid}/cmdline").read_bytes()
        return False

    def serve(self, **seconds: float) -> subprocess.Popen[str]:
        """Start a daemon with other time limits than usual, and wait until it listens."""
        script = (
            "import sys; from pathlib import Path; from hashlab.daemon.server import serve\n"
            f"serve(Path(sys.argv[1]), ready=lambda: print('ready', flush=True), **{seconds})"
        )
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", script, str(self.folder)],
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    def close(self) -> None:
        """Leave no process behind, whatever happened."""
        for pid in self.daemons():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for process in self._started:
            process.kill()
            process.wait()
            for stream in (process.stdout, process.stderr):
                if stream is not None:
                    stream.close()
        if (self.folder / "building").exists() and self.building:
            os.kill(int((self.folder / "building").read_text()), signal.SIGKILL)
        until(lambda: self.daemons() == [], "the daemon is gone")
