"""The folder .hashlab: names of what lies in it, and reading and writing it whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# How the name of a file ends that is not yet written whole.
UNFINISHED = ".new"


@dataclass(frozen=True)
class StateFolder:
    """Paths below ``.hashlab``. All of it can be deleted; the next run makes it anew.

    What speaks of machines lies in a folder of their provider, so that one lab can run on two
    providers at a time.
    """

    root: Path
    provider: str

    @property
    def own(self) -> Path:
        """What speaks of this provider's machines."""
        return self.root / self.provider

    @property
    def vagrantfile(self) -> Path:
        """The rendered Vagrantfile."""
        return self.own / "Vagrantfile"

    @property
    def vagrant(self) -> Path:
        """Vagrant's own state of the machines."""
        return self.own / "vagrant"

    @property
    def ssh(self) -> Path:
        """Key pair, known hosts and OpenSSH configuration of this lab."""
        return self.own / "ssh"

    @property
    def key(self) -> Path:
        """The lab's private key."""
        return self.ssh / "id_ed25519"

    @property
    def ssh_config(self) -> Path:
        """OpenSSH configuration that knows every machine by its name."""
        return self.ssh / "config"

    @property
    def machines(self) -> Path:
        """Cached SSH endpoints and host keys."""
        return self.own / "machines.json"

    @property
    def secrets(self) -> Path:
        """Secrets made for this lab, one file each."""
        return self.root / "secrets"

    @property
    def runs(self) -> Path:
        """One JSON record per run."""
        return self.root / "runs"

    @property
    def page(self) -> Path:
        """The page of all runs."""
        return self.root / "report.html"

    @property
    def lock(self) -> Path:
        """Held by the run that is at work."""
        return self.root / "lock"

    @property
    def unverified(self) -> Path:
        """There from the first change to the lab until it has passed verify."""
        return self.own / "unverified"

    @property
    def disks_ready(self) -> Path:
        """There once the disks of new machines are filled; Vagrant waits for it."""
        return self.own / "disks-ready"

    @property
    def kept(self) -> Path:
        """Data of machines that are being replaced, until their successors have it."""
        return self.own / "kept"

    @property
    def snapshots(self) -> Path:
        """The manifests of snapshots. They stay when the lab is destroyed."""
        return self.own / "snapshots"

    def manifest(self, snapshot: str) -> Path:
        """What a snapshot says of itself; there once it is whole."""
        return self.snapshots / f"{snapshot}.json"

    @property
    def restoring(self) -> Path:
        """There while machines give way to those of a snapshot, whose name it holds."""
        return self.own / "restoring"

    @property
    def children(self) -> Path:
        """One note per command that a run has at work."""
        return self.root / "children"

    @property
    def engine(self) -> Path:
        """What was probed of the laptop's engine."""
        return self.root / "engine.json"

    @property
    def kvm(self) -> Path:
        """Whether guests run under KVM on this laptop, as probed."""
        return self.root / "kvm.json"

    def artifact(self, name: str) -> Path:
        """What an artifact was last built from."""
        return self.root / "artifacts" / f"{name}.json"


def read_json(path: Path) -> Any:
    """The file's JSON value; None when it is missing or broken (then it is simply made anew)."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None


def write_json(path: Path, value: object) -> None:
    """Write a JSON value so that a reader sees the old file or the new one, never half."""
    write_text(path, json_text(value) + "\n")


def json_text(value: object) -> str:
    """JSON of which each member is a line, and each object of a list that is a member. So it reads
    like a table, and the encoder in C writes it: the one that indents took 9 ms for 12 machines.
    """
    if not isinstance(value, Mapping) or not value:
        return json.dumps(value)
    members = (f"  {json.dumps(str(name))}: {_member(one)}" for name, one in value.items())
    return "{\n" + ",\n".join(members) + "\n}"


def _member(value: object) -> str:
    if not (isinstance(value, list) and value and isinstance(value[0], Mapping)):
        return json.dumps(value)
    return "[\n" + ",\n".join(f"    {json.dumps(one)}" for one in value) + "\n  ]"


def write_text(path: Path, text: str, *, mode: int = 0o644) -> None:
    """Write a text file in one step, with ``mode`` from its first byte on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}{UNFINISHED}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
    temporary.replace(path)
