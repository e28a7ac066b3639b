"""What runs on the laptop: commands under supervision, and Vagrant."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from hashlab.pipeline import CancelToken, Track


@dataclass(frozen=True)
class Completed:
    """What a finished command said."""

    code: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class KvmProbe:
    """Whether guests really run under KVM on this laptop, and how that is known. ``next_step``:
    what would make them run, "" where nothing is known to.
    """

    works: bool
    why: str
    next_step: str = ""


class Runner(Protocol):
    """Runs a command on the laptop under supervision."""

    def run(
        self,
        command: Sequence[str],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        stdin: str = "",
        timeout: float,
        cancel: CancelToken,
        on_line: Callable[[str], None] | None = None,
        users: bool = False,
    ) -> Completed:
        """Run ``command`` (a list of words), which reads ``stdin``.

        ``users``: it is a command of the user's, and gets the user's whole environment; a tool gets
        one in which nothing of the user's leads it elsewhere. ``env`` is added to either.

        Both streams are kept and passed line by line to ``on_line``. The whole process group is
        killed on cancel and after ``timeout`` seconds. Raises LaptopError when the command does
        not exist, LabError on a time-out, Cancelled; an exit code other than 0 is only returned.
        """

    def end_orphans(self) -> list[str]:
        """End what a killed run left at work; return the commands. Call it under the lab's lock."""


class Vagrant(Protocol):
    """Vagrant on one rendered Vagrantfile (or none, for box commands)."""

    def up(self, machines: Sequence[str], *, track: Track) -> None:
        """Boot the machines in one call, in parallel where the provider can. Raises LabError."""

    def destroy(self, *, track: Track) -> None:
        """Destroy all machines Vagrant knows in this folder. Raises LabError."""

    def box_add(self, metadata: Path, *, track: Track) -> None:
        """Register the box that a metadata.json describes. Raises LabError."""

    def box_remove(self, name: str, *, version: str, track: Track) -> None:
        """Remove one version of a box. Raises LabError."""


class Download(Protocol):
    """Fetches files over HTTP."""

    def __call__(self, url: str, target: Path, *, limit: int, track: Track) -> None:
        """Write what ``url`` (http or https) holds to a new file, ``limit`` bytes at most.

        Nothing is left of a file that did not arrive whole. Raises LabError, LaptopError when the
        disk is full.
        """
