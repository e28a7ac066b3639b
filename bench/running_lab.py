"""The lab that is running: its machines and containers, over one SSH connection each."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edits import SERVICES, answer
from measure import HASHLAB, timed

SETTLE_SECONDS = 120.0
CONTAINERS = (
    "docker ps -q --filter label=hashlab.service | xargs -r docker inspect --format "
    '\'{{index .Config.Labels "hashlab.service"}} {{.Name}} {{.Config.Image}} {{.Id}} '
    "{{.State.StartedAt}} {{.State.Health.Status}}'"
)


@dataclass(frozen=True)
class Container:
    """One container of the application. ``process`` changes with each start of it."""

    service: str
    machine: str
    name: str
    image: str
    process: str
    health: str


class RunningLab:
    """A lab that is up. ``scratch``: a folder with a short path, for sockets."""

    def __init__(self, folder: Path, scratch: Path) -> None:
        self.folder = folder.resolve()
        self.scratch = scratch
        _, said = timed([str(HASHLAB), "status", "--json", "--lab", str(self.folder)])
        status: dict[str, Any] = json.loads(said)
        down = [m["name"] for m in status["machines"] if m["state"] != "running"]
        missing = [s["name"] for s in status["services"] if s["state"] != "running"]
        if down or missing:
            sys.exit(f"the lab is not up: {', '.join(down + missing)}. Type: hashlab dev")
        self.provider: str = status["provider"]
        self.machines = {m["name"]: m["ssh"] for m in status["machines"]}
        self.place = {s["name"]: s["machine"] for s in status["services"]}
        self.url: str = status["urls"]["web"]
        self._ssh = self.folder / ".hashlab" / self.provider / "ssh"

    @property
    def ssh_words(self) -> list[str]:
        """Options of OpenSSH that reach a machine by its name, over one connection kept open."""
        path = self.scratch / "%n"
        kept = ["ControlMaster=auto", "ControlPersist=yes", f"ControlPath={path}"]
        return ["-F", str(self._ssh / "config"), *(word for o in kept for word in ("-o", o))]

    def plain_ssh_config(self) -> tuple[Path, Path]:
        """OpenSSH configuration and known hosts, for whoever knows no aliases of hosts."""
        known, config = self.scratch / "known_hosts", self.scratch / "ssh_config"
        keys = dict(
            line.split(" ", 1) for line in (self._ssh / "known_hosts").read_text().splitlines()
        )
        told = [
            (f"[{at['host']}]:{at['port']}", key)
            for name, at in self.machines.items()
            for alias, key in keys.items()
            if alias.endswith(f"-{name}")
        ]
        known.write_text("".join(f"{host} {key}\n" for host, key in told))
        lines = (self._ssh / "config").read_text().splitlines()
        config.write_text("\n".join(line for line in lines if "HostKeyAlias" not in line) + "\n")
        return config, known

    def ssh(self, machine: str, command: str, stdin: bytes = b"") -> str:
        """Run a shell command on a machine, which must end well; return its stdout."""
        words = ["ssh", *self.ssh_words, machine, command]
        done = subprocess.run(words, input=stdin, capture_output=True, check=False)
        if done.returncode != 0:
            sys.exit(f"{machine}: {command} failed:\n{done.stderr.decode(errors='replace')}")
        return done.stdout.decode()

    def containers(self) -> dict[str, Container]:
        """The application's containers by service, as the machines themselves tell."""
        found = {}
        for machine in self.machines:
            for line in self.ssh(machine, CONTAINERS).splitlines():
                service, name, image, identity, started, health = line.split()
                found[service] = Container(
                    service, machine, name.lstrip("/"), image, f"{identity} {started}", health
                )
        return found

    def answers(self) -> None:
        """Wait until every service answers its health path through the web server."""
        deadline = time.monotonic() + SETTLE_SECONDS
        for service in SERVICES:
            while '"ok"' not in answer(f"{self.url}/api/{service}/health"):
                if time.monotonic() > deadline:
                    sys.exit(f"service {service} does not answer")
                time.sleep(0.05)

    def settle(self) -> None:
        """Wait until every container is healthy in its engine's own words, too."""
        self.answers()
        deadline = time.monotonic() + SETTLE_SECONDS
        while unwell := [c.name for c in self.containers().values() if c.health != "healthy"]:
            if time.monotonic() > deadline:
                sys.exit(f"not healthy: {', '.join(unwell)}")
            time.sleep(0.5)

    def engine(self, machine: str) -> Path:
        """A socket on this laptop that is the machine's Docker Engine."""
        path = self.scratch / f"{machine}.engine"
        if not path.exists():
            self.ssh(machine, "true")
            forward = ["-O", "forward", "-L", f"{path}:/run/docker.sock", machine]
            timed(["ssh", *self.ssh_words, *forward])
        return path

    def close(self) -> None:
        """End the connections that were kept open."""
        for machine in self.machines:
            if (self.scratch / machine).exists():
                timed(["ssh", *self.ssh_words, "-O", "exit", machine])


class Engine(http.client.HTTPConnection):
    """The API of a Docker Engine behind a socket of this laptop."""

    def __init__(self, path: Path) -> None:
        super().__init__("engine", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))

    def post(self, path: str) -> None:
        """Ask for something to be done, and wait until it is."""
        self.request("POST", path)
        reply = self.getresponse()
        said = reply.read()
        if reply.status >= 300:
            sys.exit(f"the engine refused {path}: {said.decode(errors='replace')}")


def use_variant_of(containers: dict[str, Container]) -> bool:
    """Keep the runtime image that the lab runs, whatever this shell's environment says; return
    whether it is the one with the debugger.
    """
    debug = containers["user"].image.endswith("-debug")
    os.environ["JRE_VARIANT"] = "-debug" if debug else ""
    return debug
