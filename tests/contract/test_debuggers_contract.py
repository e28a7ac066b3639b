"""Each example of docs/how-to/debug.md starts a program to which a real debugger attaches.

The program runs here, in a folder that stands for its container, and the debugger uses the values
of the attach configuration that hashlab prints. Only 127.0.0.1 is used.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from debugclients import SECONDS, DebugAdapter, Inspector, connected, jdb, stopped_in

from hashlab.config.load import load_lab
from hashlab.config.model import Debugger, DebuggerKind, Service
from hashlab.run.editors import vscode

PAGE = Path(__file__).parents[2] / "docs/how-to/debug.md"
DELVE = "dlv@v1.27.2"
BUILD_SECONDS = 240
# A line of each program, which runs again and again.
TICK = "tick"
PROGRAMS = {
    "src/main/java/Main.java": """\
public class Main {
    static int tick(int n) { return n + 1; }
    public static void main(String[] words) throws Exception {
        for (int n = 0; ; n = tick(n)) Thread.sleep(20);
    }
}
""",
    "app/main.py": """\
import time

def tick(n):
    return n + 1  # tick

n = 0
while True:
    n = tick(n)
    time.sleep(0.02)
""",
    "app/main.js": """\
function tick(n) {
    return n + 1; // tick
}
let n = 0;
setInterval(() => { n = tick(n); }, 20);
""",
    "src/main.go": """\
package main

import (
\t"os"
\t"time"
)

func tick(n int) int {
\treturn n + 1 // tick
}

func main() {
\tos.WriteFile("runs", nil, 0o600)
\tfor n := 0; ; n = tick(n) {
\t\ttime.Sleep(20 * time.Millisecond)
\t}
}
""",
    "src/go.mod": "module example\n",
}


@dataclass
class Example:
    """A service of the page. ``laptop`` has its sources, ``container`` stands for ``/``."""

    service: Service
    laptop: Path
    container: Path
    port: int

    @property
    def debugger(self) -> Debugger:
        assert self.service.debugger is not None
        return self.service.debugger

    def entry(self) -> dict[str, Any]:
        """The configuration of VS Code, for the folder that stands for the container."""
        inside = f"{self.container}{self.debugger.inside}" if self.debugger.inside else ""
        own = replace(self.debugger, inside=inside)
        text = vscode.entry("test", own, self.port, self.laptop)
        return {key: _filled(value, self.laptop) for key, value in text.items()}

    def start(self, **programs: str) -> subprocess.Popen[bytes]:
        """Run the page's command. ``programs``: what runs in place of its first word."""
        assert self.service.command is not None
        first, *rest = self.service.command
        words = [
            word.replace(str(self.debugger.port), str(self.port)).replace(
                "/app", f"{self.container}/app"
            )
            for word in rest
        ]
        return subprocess.Popen(
            [programs.get(first, first), *words],
            cwd=self.container,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


def _filled(value: Any, root: Path) -> Any:
    if isinstance(value, dict):
        return {key: _filled(inner, root) for key, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, root) for inner in value]
    return value.replace("${workspaceFolder}", str(root)) if isinstance(value, str) else value


@pytest.fixture
def laptop(tmp_path: Path) -> Path:
    """The sources, and folders of the page's mounts."""
    for name, text in PROGRAMS.items():
        path = tmp_path / "laptop" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for name in ("classes", "bin"):
        (tmp_path / "laptop" / name).mkdir()
    return tmp_path / "laptop"


def example(kind: DebuggerKind, laptop: Path) -> Example:
    """Read the example of a debugger as hashlab does."""
    page = PAGE.read_text(encoding="utf-8")
    for text in re.findall(r"```yaml\n(services:.*?)```", page, re.DOTALL):
        (laptop / "compose.yaml").write_text(text)
        [service] = load_lab(laptop, environ={}).services
        if service.debugger is not None and service.debugger.kind == kind:
            with socket.create_server(("127.0.0.1", 0)) as free:
                port = free.getsockname()[1]
            container = laptop.parent / "container"
            container.mkdir()
            return Example(service, laptop, container, port)
    raise AssertionError(f"the page has no example of {kind}")


@pytest.fixture
def ended() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes that the end of the test ends."""
    processes: list[subprocess.Popen[bytes]] = []
    yield processes
    for process in processes:
        process.terminate()
        process.wait(SECONDS)


def line_of(file: Path) -> int:
    lines = file.read_text().splitlines()
    return next(n for n, line in enumerate(lines, 1) if line.endswith((" # tick", " // tick")))


@pytest.mark.skipif(shutil.which("jdb") is None, reason="no JDK here")
def test_jdb_stops_a_jvm(laptop: Path, ended: list[subprocess.Popen[bytes]]) -> None:
    found = example("jdwp", laptop)
    source = laptop / "src/main/java/Main.java"
    subprocess.run(["javac", "-g", "-d", str(found.container / "app"), str(source)], check=True)
    ended.append(found.start())
    entry = found.entry()
    assert entry["sourcePaths"] == [str(laptop / "src/main/java")]
    with jdb_of(entry) as debugger:
        debugger.say("stop in Main.tick")
        assert "Main.tick()" in debugger.until("Breakpoint hit:") + debugger.until("line=")


def jdb_of(entry: dict[str, Any]) -> Any:
    address = (entry["hostName"], entry["port"])
    with connected(address) as sock:  # it listens; this one is no debugger, and leaves
        sock.sendall(b"JDWP-Handshake")
        assert sock.recv(14) == b"JDWP-Handshake"
    return jdb(f"{address[0]}:{address[1]}")


def test_a_debug_adapter_stops_python(laptop: Path, ended: list[subprocess.Popen[bytes]]) -> None:
    found = example("debugpy", laptop)
    shutil.copytree(laptop / "app", found.container / "app")
    ended.append(found.start(python=sys.executable))
    entry = found.entry()
    source = laptop / "app/main.py"
    with closing(DebugAdapter((entry["connect"]["host"], entry["connect"]["port"]))) as adapter:
        frame = stopped_in(adapter, entry, str(source), line_of(source))
        assert (frame["name"], frame["source"]["path"]) == ("tick", str(source))


@pytest.mark.skipif(shutil.which("node") is None, reason="no Node here")
def test_an_inspector_stops_node(laptop: Path, ended: list[subprocess.Popen[bytes]]) -> None:
    found = example("inspector", laptop)
    shutil.copytree(laptop / "app", found.container / "app")
    ended.append(found.start())
    entry = found.entry()
    source = laptop / "app/main.js"
    assert str(source.parent) == entry["localRoot"]
    with closing(Inspector((entry["address"], entry["port"]))) as inspector:
        inspector.ask("Debugger.enable")
        inspector.ask(
            "Debugger.setBreakpointByUrl",
            lineNumber=line_of(source) - 1,
            url=f"file://{entry['remoteRoot']}/main.js",
        )
        frame = inspector.event("Debugger.paused")["callFrames"][0]
        assert (frame["functionName"], frame["location"]["lineNumber"]) == ("tick", 1)
        inspector.ask("Debugger.resume")


@pytest.fixture
def delve() -> str:
    """The program dlv: that of the laptop, or one that Go builds once into the user's cache, which
    takes up to a minute.
    """
    existing = shutil.which("dlv")
    if existing:
        return existing
    if shutil.which("go") is None:
        pytest.skip("no Go here")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "hashlab-tests" / DELVE.replace("@", "-")
    if not (folder / "dlv").exists():
        words = ["go", "install", f"github.com/go-delve/delve/cmd/{DELVE}"]
        try:
            subprocess.run(
                words,
                env={**os.environ, "GOBIN": str(folder)},
                check=True,
                capture_output=True,
                timeout=BUILD_SECONDS,
            )
        except subprocess.CalledProcessError as error:
            # Without a network, or with a Go that is too old for it.
            pytest.skip(f"delve cannot be built here: {error.stderr.decode()[-300:]}")
    return str(folder / "dlv")


@pytest.mark.slow  # Go builds the debugger
def test_a_debug_adapter_stops_go(
    laptop: Path, ended: list[subprocess.Popen[bytes]], delve: str
) -> None:
    found = example("delve", laptop)
    shutil.copytree(laptop / "src", found.container / "src")
    built = ["go", "build", "-gcflags=all=-N -l", "-o", str(found.container / "app/main"), "."]
    subprocess.run(built, cwd=found.container / "src", check=True)
    ended.append(found.start(dlv=delve))
    # delve starts the program a moment after it has begun to listen, and halts it for a client.
    deadline = time.monotonic() + SECONDS
    while not (found.container / "runs").exists():
        assert time.monotonic() < deadline, "the program was not started"
        time.sleep(0.02)
    entry = found.entry()
    source = laptop / "src/main.go"
    with closing(DebugAdapter((entry["host"], entry["port"]))) as adapter:
        frame = stopped_in(adapter, entry, str(source), line_of(source))
        assert (frame["name"], frame["source"]["path"]) == ("main.tick", str(source))
        # It outlives its clients, and SIGTERM, unless one of them ends the program.
        adapter.ask("disconnect", terminateDebuggee=True)
