"""Drives labs as a person would: the console script in a process of its own, and plain HTTP."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import tomllib
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]
HASHLAB = Path(sys.executable).with_name("hashlab")
COMMAND_SECONDS = 900
# By how much longer than on machines in containers things may take here.
TIME_FACTOR = {"docker": 1, "libvirt": 6, "hosts": 1}


@dataclass
class Outcome:
    """How a command ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def document(self) -> dict[str, Any]:
        """The one JSON document on stdout."""
        value = json.loads(self.stdout)
        assert isinstance(value, dict)
        return value

    def ok(self) -> Outcome:
        """Fail the test with everything the command said unless it ended well."""
        assert self.code == 0, f"exit code {self.code}\n{self.stdout}\n{self.stderr}"
        return self


@dataclass
class LabFolder:
    """A lab of its own in a copy of an example."""

    folder: Path
    environ: dict[str, str] = field(default_factory=dict)
    provider: str = "docker"

    @property
    def time_factor(self) -> int:
        """By how much longer than on the docker provider anything may take."""
        return TIME_FACTOR[self.provider]

    @property
    def state(self) -> Path:
        """Where hashlab keeps what speaks of this lab's machines."""
        return self.folder / ".hashlab" / self.provider

    def run(
        self,
        *words: str,
        timeout: float = COMMAND_SECONDS,
        input: str | None = None,
        **environ: str,
    ) -> Outcome:
        """Run one hashlab command to its end. ``input``: what it reads."""
        done = subprocess.run(
            self._command(words),
            env={**os.environ, **self.environ, **environ},
            capture_output=True,
            text=True,
            input=input,
            timeout=timeout * self.time_factor,
            check=False,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    def _command(self, words: Sequence[str]) -> list[str]:
        # In front: behind `exec SERVICE` options belong to the command in the container.
        return [str(HASHLAB), "--lab", str(self.folder), "--provider", self.provider, *words]

    def json(self, *words: str, **environ: str) -> dict[str, Any]:
        """Run a command that must end well; return its JSON document."""
        return self.run(*words, "--json", timeout=COMMAND_SECONDS, **environ).ok().document

    def status(self, **environ: str) -> dict[str, Any]:
        """What the machines say, whether or not all runs that should."""
        done = self.run("status", "--json", timeout=COMMAND_SECONDS, **environ)
        assert done.code in (0, 4), done.stderr
        return done.document

    def start(self, *words: str, **environ: str) -> Running:
        """Start a command and return at once."""
        return Running(
            subprocess.Popen(
                self._command(words),
                env={**os.environ, **self.environ, **environ},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )

    def on(self, machine: str, command: str) -> str:
        """Run a command on a machine through ``hashlab ssh``; return what it printed."""
        return self.run("ssh", machine, "--command", command).ok().stdout

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace text in a file of the lab, which must contain it."""
        path = self.folder / name
        text = path.read_text(encoding="utf-8")
        assert old in text, f"{old!r} is not in {name}"
        path.write_text(text.replace(old, new), encoding="utf-8")

    def containers(self, machine: str) -> dict[str, str]:
        """Ids of the lab's containers on a machine by name: another id means: it was replaced."""
        shown = "--no-trunc --filter label=hashlab.service --format '{{.Names}} {{.ID}}'"
        listing = self.on(machine, f"docker ps {shown}")
        return dict(line.split() for line in listing.splitlines() if line)


def everything(lab: LabFolder) -> dict[str, str]:
    """Ids of all containers of the lab."""
    machines = [machine["name"] for machine in lab.status()["machines"]]
    return {name: id_ for machine in machines for name, id_ in lab.containers(machine).items()}


def replaced(before: dict[str, str], after: dict[str, str]) -> set[str]:
    """Services whose container is another one."""
    return {name.split("-")[-2] for name in after if before.get(name) != after[name]}


class Running:
    """A command at work, whose lines can be waited for."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._news:
                self.lines.append(line)
                self._news.notify_all()
        with self._news:
            self._news.notify_all()

    def wait_for(self, text: str, *, timeout: float = 120) -> None:
        """Wait until a line holds ``text``; fails when the command ends without one."""
        self.wait_until(lambda line: text in line, timeout=timeout, what=text)

    def wait_until(
        self, fits: Callable[[str], bool], *, timeout: float = 120, what: str = "such line"
    ) -> str:
        """Wait until a line fits and return it; fails when the command ends without one."""

        def seen() -> list[str]:
            return [line for line in self.lines if fits(line)]

        with self._news:
            self._news.wait_for(lambda: seen() or not self._reader.is_alive(), timeout)
        assert seen(), f"no {what!r} in:\n{''.join(self.lines)}"
        return seen()[0]

    def signal(self, number: signal.Signals) -> int:
        """Send a signal and wait for the end; returns the exit code."""
        self.process.send_signal(number)
        code = self.process.wait(60)
        self._reader.join(10)
        return code


def copy_example(name: str, target: Path, provider: str = "docker") -> LabFolder:
    """Copy an example into a folder of its own; what was built there stays behind."""
    source = REPOSITORY / "examples" / name
    ignore = shutil.ignore_patterns(".hashlab", "__pycache__")
    shutil.copytree(source, target, ignore=ignore)
    # A request takes half a second where machines are emulated: three topics of the sample do.
    for topic in sorted(target.glob("data/questions/*.toml"))[3:] if provider == "libvirt" else []:
        topic.unlink()
    return LabFolder(target, provider=provider)


def fetch(url: str, *, timeout: float = 30) -> str:
    """GET a page, trying again while the server is not there yet."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return str(answer.read().decode())
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def docker(*words: str) -> str:
    """Ask the laptop's own Docker Engine, which must do it."""
    done = try_docker(*words)
    assert done.returncode == 0, f"docker {' '.join(words)}: {done.stderr}"
    return done.stdout.strip()


def try_docker(*words: str) -> subprocess.CompletedProcess[str]:
    """Ask the laptop's own Docker Engine."""
    return subprocess.run(["docker", *words], capture_output=True, text=True, check=False)


def virsh(*words: str) -> str:
    """Ask the laptop's own libvirt."""
    command = ["virsh", "--connect", "qemu:///system", "--quiet", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def kill_machine(lab: LabFolder, machine: str) -> None:
    """Cut a machine's power."""
    name = f"{id_of(lab)}-{machine}"
    docker("kill", name) if lab.provider == "docker" else virsh("destroy", name)


def power_on(lab: LabFolder, machine: str) -> None:
    """Give a machine its power back, past hashlab and Vagrant."""
    name = f"{id_of(lab)}-{machine}"
    docker("start", name) if lab.provider == "docker" else virsh("start", name)


def lose_machine(lab: LabFolder, machine: str) -> None:
    """Remove a machine behind hashlab's back; its disk too, where that is a thing of its own."""
    name = f"{id_of(lab)}-{machine}"
    if lab.provider == "docker":
        docker("rm", "--force", name)
        return
    virsh("destroy", name)
    virsh("undefine", name)
    virsh("vol-delete", f"{name}.img", "--pool", "hashlab")


def everything_of(lab: LabFolder) -> list[str]:
    """Whatever of a lab exists on the laptop, snapshots aside, asked past hashlab."""
    if lab.provider == "docker":
        mark = f"label=hashlab.lab={id_of(lab)}"
        return [
            *daemons_of(lab),
            *docker("ps", "--all", "--quiet", "--filter", mark).split(),
            *docker("volume", "ls", "--quiet", "--filter", mark).split(),
            *docker("network", "ls", "--quiet", "--filter", mark).split(),
        ]
    volumes = virsh("vol-list", "hashlab") if "hashlab" in virsh("pool-list", "--name") else ""
    things = [
        *virsh("list", "--all", "--name").split(),
        *virsh("net-list", "--all", "--name").split(),
        *(line.split()[0] for line in volumes.splitlines() if line.strip()),
    ]
    return [*daemons_of(lab), *(thing for thing in things if thing.startswith(id_of(lab)))]


def daemons_of(lab: LabFolder) -> list[str]:
    """Background processes that wait for work on the lab, by number."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has ended meanwhile
            words = entry.read_bytes().split(b"\0")
            if b"hashlab.daemon" in words and os.fsencode(lab.folder) in words:
                found.append(f"daemon {entry.parent.name}")
    return found


def id_of(lab: LabFolder) -> str:
    """``lab_id`` of a lab, by the name in its settings, or without them by that of its folder."""
    path = lab.folder / "hashlab.toml"
    settings = tomllib.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    name = settings.get("lab", {}).get("name", lab.folder.name)
    return lab_id({"lab": name}, lab.folder)


def lab_id(document: Mapping[str, Any], folder: Path) -> str:
    """The name under which everything of a lab lies on the laptop's engine."""
    digest = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()
    return f"{document['lab']}-{digest[:6]}"


def rows(document: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """The rows of one phase."""
    return [row for row in document["phases"] if row["name"] == name]
