"""libvirt through its own client: domains, networks, volumes, and the agent inside a machine."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from hashlab.errors import LabError
from hashlab.pipeline import CancelToken
from hashlab.protocols import Completed, Runner

URI = "qemu:///system"
CALL_SECONDS = 60.0
UPLOAD_SECONDS = 600.0
AGENT_SECONDS = 30.0
AGENT_POLL_SECONDS = 0.1
POOL = "hashlab"
POOL_FOLDER = "/var/lib/libvirt/hashlab"
# What virsh says of a thing that is not there.
ABSENT = ("not found", "failed to get", "no domain with", "no network with", "no storage vol")


class Virsh:
    """The commands of virsh that hashlab needs. Everything raises LabError when libvirt refuses."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def call(self, *words: str, timeout: float = CALL_SECONDS) -> str:
        """Run one command; return what it printed."""
        done = self._run(words, timeout)
        if done.code != 0:
            raise LabError(
                f"virsh {words[0]} failed with exit code {done.code}",
                where=" ".join(words[1:2]),
                output=done.stderr.strip(),
                next_step="hashlab doctor tells whether libvirt works",
            )
        return done.stdout

    def ask(self, *words: str) -> str | None:
        """Run one command about one thing; None when there is no such thing."""
        done = self._run(words, CALL_SECONDS)
        if done.code == 0:
            return done.stdout
        if any(sign in done.stderr for sign in ABSENT):
            return None
        raise LabError(f"virsh {words[0]} failed", output=done.stderr.strip())

    def _run(self, words: Sequence[str], timeout: float) -> Completed:
        return self._runner.run(
            ["virsh", "--connect", URI, "--quiet", *words],
            env={"LC_ALL": "C"},
            timeout=timeout,
            cancel=CancelToken(),
        )

    def names(self, *listing: str) -> list[str]:
        """Names that a listing command (``net-list --all --name``) prints, one a line."""
        return [line.strip() for line in self.call(*listing).splitlines() if line.strip()]

    def domain_states(self) -> dict[str, str]:
        """State of every domain by its name ("running", "shut off", "paused", …)."""
        rows = (line.split(None, 2) for line in self.call("list", "--all").splitlines())
        return {row[1]: row[2].strip() for row in rows if len(row) == 3}

    def domain(self, name: str) -> ElementTree.Element | None:
        """A domain's description; None if there is none."""
        text = self.ask("dumpxml", name)
        return None if text is None else _parse(text)

    def network(self, name: str) -> ElementTree.Element | None:
        """A network's description; None if there is none."""
        text = self.ask("net-dumpxml", name)
        return None if text is None else _parse(text)

    def define(self, command: str, description: str, folder: Path) -> None:
        """Run a command that reads an XML file, such as ``net-define``."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{command}.xml"
        path.write_text(description, encoding="utf-8")
        try:
            self.call(command, str(path))
        finally:
            path.unlink()

    def remove_domain(self, name: str) -> None:
        """Stop a domain and forget it; its disk stays."""
        if self.domain_states().get(name, "shut off") != "shut off":
            self.ask("destroy", name)
        self.ask("undefine", name, "--managed-save", "--snapshots-metadata")

    def remove_network(self, name: str) -> None:
        """Stop a network and forget it; fine if it is gone."""
        if name in self.names("net-list", "--name"):
            self.ask("net-destroy", name)
        self.ask("net-undefine", name)

    def ensure_pool(self) -> None:
        """Make the folder in which everything of hashlab's lies on libvirt's side."""
        if self.ask("pool-info", POOL) is None:
            self.call("pool-define-as", POOL, "dir", "--target", POOL_FOLDER)
            self.call("pool-build", POOL)
        if POOL not in self.names("pool-list", "--name"):
            self.call("pool-start", POOL)

    def volumes(self) -> list[str]:
        """Names of the volumes in hashlab's pool; none where there is no pool."""
        if POOL not in self.names("pool-list", "--name"):
            return []
        rows = (line.split() for line in self.call("vol-list", POOL).splitlines())
        return [row[0] for row in rows if row]

    def remove_volume(self, name: str) -> None:
        """Remove a volume; fine if it is gone."""
        self.ask("vol-delete", name, "--pool", POOL)

    def upload(self, source: Path, name: str, *, kind: str) -> bool:
        """Make a volume from a file, whole; False if it is there already. ``kind``: its format."""
        size = source.stat().st_size
        if self._stored_size(name) == size:
            return False
        self.remove_volume(name)
        self.call("vol-create-as", POOL, name, str(size), "--format", kind)
        self.call(
            "vol-upload", name, str(source), "--pool", POOL, "--sparse", timeout=UPLOAD_SECONDS
        )
        return True

    def _stored_size(self, name: str) -> int:
        """Bytes of a volume's file: less than its source while an upload was cut off."""
        text = self.ask("vol-dumpxml", name, "--pool", POOL)
        physical = None if text is None else _parse(text).findtext("physical")
        return int(physical or -1)

    def remove_empty_pool(self) -> bool:
        """Remove the pool when nothing is in it any more."""
        if self.ask("pool-info", POOL) is None or self.volumes():
            return False
        if POOL in self.names("pool-list", "--name"):
            self.call("pool-destroy", POOL)
        self.ask("pool-delete", POOL)
        self.ask("pool-undefine", POOL)
        return True

    def agent(self, domain: str, command: str, **arguments: object) -> Any:
        """Ask the agent inside a machine. Raises LabError while it does not answer."""
        request = {"execute": command, "arguments": arguments}
        return json.loads(self.call("qemu-agent-command", domain, json.dumps(request)))["return"]

    def read_file(self, domain: str, path: str) -> str:
        """The text of a small file inside a machine, read by its agent."""
        handle = self.agent(domain, "guest-file-open", path=path, mode="r")
        try:
            answer = self.agent(domain, "guest-file-read", handle=handle, count=65536)
        finally:
            self.agent(domain, "guest-file-close", handle=handle)
        return base64.b64decode(answer["buf-b64"]).decode()

    def execute(self, domain: str, command: Sequence[str]) -> Completed:
        """Run a command as root inside a machine, by its agent."""
        path, *rest = command
        started = self.agent(domain, "guest-exec", path=path, arg=rest, **{"capture-output": True})
        deadline = time.monotonic() + AGENT_SECONDS
        cancel = CancelToken()
        while True:
            status = self.agent(domain, "guest-exec-status", pid=started["pid"])
            if status["exited"]:
                return Completed(
                    int(status.get("exitcode", -1)),
                    _decoded(status.get("out-data", "")),
                    _decoded(status.get("err-data", "")),
                )
            if time.monotonic() > deadline:
                raise LabError(f"{path} does not end", where=domain)
            cancel.wait(AGENT_POLL_SECONDS)


def _parse(text: str) -> ElementTree.Element:
    """Read libvirt's own output, which is not hostile."""
    return ElementTree.fromstring(text)  # noqa: S314


def _decoded(text: str) -> str:
    return base64.b64decode(text).decode(errors="replace")
