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
from hashlab.state.files import remove, write_text

URI = "qemu:///system"
CALL_SECONDS = 60.0
UPLOAD_SECONDS = 600.0
AGENT_SECONDS = 30.0
AGENT_POLL_SECONDS = 0.1
POOL = "hashlab"
POOL_FOLDER = "/var/lib/libvirt/hashlab"
# Messages of virsh for a missing object.
ABSENT = ("not found", "failed to get", "no domain with", "no network with", "no storage vol")

NOT_RUNNING = "domain is not running"


class Virsh:
    """The commands of virsh that hashlab needs. All methods raise LabError if libvirt refuses."""

    def __init__(self, runner: Runner, *, pool: str = POOL, folder: str = POOL_FOLDER) -> None:
        """``pool``: the pool of hashlab's volumes, in ``folder``. Volumes of other pools are never
        touched.
        """
        self._runner = runner
        self.pool = pool
        self.folder = folder

    def call(self, *arguments: str, timeout: float = CALL_SECONDS) -> str:
        """Run one command; return its output."""
        done = self._run(arguments, timeout)
        if done.code != 0:
            raise LabError(
                f"virsh {arguments[0]} failed with exit code {done.code}",
                where=" ".join(arguments[1:2]),
                output=done.stderr.strip(),
                next_step="hashlab doctor shows whether libvirt works",
            )
        return done.stdout

    def ask(self, *arguments: str) -> str | None:
        """Run one command about one object; return None if the object does not exist."""
        done = self._run(arguments, CALL_SECONDS)
        if done.code == 0:
            return done.stdout
        if any(sign in done.stderr for sign in ABSENT):
            return None
        raise LabError(f"virsh {arguments[0]} failed", output=done.stderr.strip())

    def _run(self, arguments: Sequence[str], timeout: float) -> Completed:
        return self._runner.run(
            ["virsh", "--connect", URI, "--quiet", *arguments],
            timeout=timeout,
            cancel=CancelToken(),
        )

    def names(self, *listing: str) -> list[str]:
        """Return the names that a listing command (``net-list --all --name``) prints, one per
        line.
        """
        return [line.strip() for line in self.call(*listing).splitlines() if line.strip()]

    def domain_states(self) -> dict[str, str]:
        """Return the state of every domain by its name ("running", "shut off", "paused", …)."""
        rows = (line.split(None, 2) for line in self.call("list", "--all").splitlines())
        return {row[1]: row[2].strip() for row in rows if len(row) == 3}

    def domain(self, name: str) -> ElementTree.Element | None:
        """Return a domain's description; None if it does not exist."""
        text = self.ask("dumpxml", name)
        return None if text is None else parse(text)

    def network(self, name: str) -> ElementTree.Element | None:
        """Return a network's description; None if it does not exist."""
        text = self.ask("net-dumpxml", name)
        return None if text is None else parse(text)

    def define(self, command: str, description: str, folder: Path) -> None:
        """Run a command that reads an XML file, such as ``net-define``."""
        path = folder / f"{command}.xml"
        write_text(path, description)
        try:
            self.call(command, str(path))
        finally:
            remove(path)

    def power_off(self, name: str) -> None:
        """Stop a domain at once. A stopped domain is not an error."""
        done = self._run(["destroy", name], CALL_SECONDS)
        if done.code != 0 and not any(sign in done.stderr for sign in (*ABSENT, NOT_RUNNING)):
            raise LabError(f"cannot stop {name}", output=done.stderr.strip())

    def remove_domain(self, name: str) -> None:
        """Stop and undefine a domain; its disk stays."""
        self.power_off(name)
        self.ask("undefine", name, "--managed-save", "--snapshots-metadata")

    def remove_network(self, name: str) -> None:
        """Stop and undefine a network. A missing one is not an error."""
        if name in self.names("net-list", "--name"):
            self.ask("net-destroy", name)
        self.ask("net-undefine", name)

    def ensure_pool(self) -> None:
        """Make sure that the pool exists, the folder for all of hashlab's files on libvirt's
        side.
        """
        if not self._start_pool():
            self.call("pool-define-as", self.pool, "dir", "--target", self.folder)
            self._start_pool()

    def _start_pool(self) -> bool:
        """Start the pool if it is stopped, as after a restart of the laptop; return False if it
        does not exist.
        """
        if self.ask("pool-info", self.pool) is None:
            return False
        if self.pool not in self.names("pool-list", "--name"):
            self.call("pool-build", self.pool)
            self.call("pool-start", self.pool)
        return True

    def volumes(self) -> list[str]:
        """Return the names of the volumes in hashlab's pool; empty if the pool does not exist."""
        if not self._start_pool():
            return []
        rows = (line.split() for line in self.call("vol-list", self.pool).splitlines())
        return [row[0] for row in rows if row]

    def remove_volume(self, name: str) -> None:
        """Remove a volume. A missing one is not an error."""
        self.ask("vol-delete", name, "--pool", self.pool)

    def upload(self, source: Path, name: str, *, kind: str) -> bool:
        """Create a volume from a file, completely; return False if it already exists. ``kind``: its
        format.
        """
        size = source.stat().st_size
        if self.stored_size(name) == size:
            return False
        self.remove_volume(name)
        # Created empty, so that its size shows whether an upload was cut off. qcow2 is never empty.
        room = 0 if kind == "raw" else size
        self.call("vol-create-as", self.pool, name, str(room), "--format", kind)
        arguments = ["vol-upload", name, str(source), "--pool", self.pool, "--sparse"]
        self.call(*arguments, timeout=UPLOAD_SECONDS)
        return True

    def download(self, name: str, target: Path) -> None:
        """Copy a volume's file as it is. A paused machine may be using it."""
        arguments = ["vol-download", name, str(target), "--pool", self.pool, "--sparse"]
        self.call(*arguments, timeout=UPLOAD_SECONDS)

    def stored_size(self, name: str) -> int:
        """Return the bytes of a volume's file, -1 if it does not exist.

        After an upload that was cut off, it is smaller than the source.
        """
        text = self.ask("vol-dumpxml", name, "--pool", self.pool)
        physical = None if text is None else parse(text).findtext("physical")
        return int(physical or -1)

    def remove_empty_pool(self) -> bool:
        """Remove the pool if it is empty; return whether it was removed."""
        if not self._start_pool() or self.volumes():
            return False
        for command in ("pool-destroy", "pool-delete", "pool-undefine"):
            self.call(command, self.pool)
        return True

    def agent(self, domain: str, command: str, **arguments: object) -> Any:
        """Send a command to the agent inside a machine; return its answer. Raises LabError while it
        does not answer.
        """
        request = {"execute": command, "arguments": arguments}
        return json.loads(self.call("qemu-agent-command", domain, json.dumps(request)))["return"]

    def read_file(self, domain: str, path: str) -> str:
        """Return the text of a small file inside a machine, read by its agent."""
        handle = self.agent(domain, "guest-file-open", path=path, mode="r")
        try:
            answer = self.agent(domain, "guest-file-read", handle=handle, count=65536)
        finally:
            self.agent(domain, "guest-file-close", handle=handle)
        return base64.b64decode(answer["buf-b64"]).decode()

    def set_clock(self, domain: str) -> None:
        """Set the clock of a machine that was just resumed to the laptop's time, once its agent
        answers.
        """
        deadline = time.monotonic() + AGENT_SECONDS
        while True:
            try:
                self.call("domtime", domain, "--now")
                return
            except LabError:
                if time.monotonic() > deadline:
                    raise
            CancelToken().wait(AGENT_POLL_SECONDS)

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


def parse(text: str) -> ElementTree.Element:
    """Parse libvirt's own output, which is trusted."""
    return ElementTree.fromstring(text)  # noqa: S314


def _decoded(text: str) -> str:
    return base64.b64decode(text).decode(errors="replace")
