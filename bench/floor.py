"""The floor of a round trip: compiling, copying and starting one class, nothing round it."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from contenders import ON_MACHINE
from edits import ONE_CLASS
from measure import Measured, timed
from project import Project
from running_lab import Engine, RunningLab

SERVICE = "user"
COMPILE, COPY, RESTART, START = PARTS = (
    "floor: javac of one class",
    "floor: copy of its class file",
    "floor: docker restart",
    "floor: JVM to healthy",
)
SUM = "floor: sum"
# Asked inside the container's network, 50 times a second, by a shell that is already there. The
# process' start and the first good answer are told by one clock, the machine's.
FIRST_ANSWER = """
set -e
eval "$(docker inspect --format 'pid={{{{.State.Pid}}}} at={{{{.State.StartedAt}}}}' {name})"
answered=$(sudo nsenter -t "$pid" -n timeout 60 bash -c '
until {{ exec 3<>/dev/tcp/127.0.0.1/8080; }} 2>/dev/null \
   && printf "GET /api/{service}/health HTTP/1.0\\r\\n\\r\\n" >&3 \
   && read -r line <&3 && [[ $line == *" 200 "* ]]; do sleep 0.02; done
echo $EPOCHREALTIME')
echo "$answered $(date --date "$at" +%s.%N)"
"""


def measure_floor(measured: Measured, lab: RunningLab, project: Project) -> None:
    """Measure each part alone, once, on the lab's own container."""
    container = lab.containers()[SERVICE]
    with tempfile.TemporaryDirectory() as folder:
        parts = [_compile(project, Path(folder))]
        [compiled] = Path(folder).rglob(f"{Path(ONE_CLASS).stem}.class")
        parts.append(_copy(lab, container.machine, compiled.read_bytes()))
    engine = Engine(lab.engine(container.machine))
    engine.connect()
    started = time.monotonic()
    engine.post(f"/containers/{container.name}/restart?t=2")
    parts.append(time.monotonic() - started)
    engine.close()
    asked = FIRST_ANSWER.format(name=container.name, service=SERVICE)
    answered, began = lab.ssh(container.machine, asked).split()
    parts.append(float(answered) - float(began))
    for name, seconds in zip(PARTS, parts, strict=True):
        measured.add(name, seconds)
    measured.add(SUM, sum(parts))


def _compile(project: Project, target: Path) -> float:
    """One class by a compiler that starts for it."""
    path = ":".join(map(str, project.class_path(SERVICE)))
    words = ["javac", "-proc:none", "-cp", path, "-d", str(target), str(project.folder / ONE_CLASS)]
    seconds, _ = timed(words)
    return seconds


def _copy(lab: RunningLab, machine: str, content: bytes) -> float:
    """The file over a connection that is already open, by the command that takes it."""
    folder = f"{ON_MACHINE}/floor"
    lab.ssh(machine, f"sudo mkdir -p {folder} && sudo chmod 777 {folder}")
    started = time.monotonic()
    lab.ssh(machine, f"cat > {folder}/One.class", content)
    seconds = time.monotonic() - started
    if lab.ssh(machine, f"stat -c %s {folder}/One.class").strip() != str(len(content)):
        sys.exit("the class file did not arrive whole")
    return seconds
