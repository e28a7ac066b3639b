"""Commands on the laptop, run under supervision, and Vagrant."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from hashlab.pipeline import CancelToken, Track


@dataclass(frozen=True)
class Completed:
    """Exit code and output of a finished command."""

    code: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class KvmProbe:
    """The result of testing whether guests really run under KVM on this laptop.

    ``why``: the evidence; ``next_step``: how to enable KVM, "" if no way is known.
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
        """Run ``command`` (a list of words) with ``stdin`` as its input.

        A command of the user (``users``) gets the user's whole environment. A tool gets an
        environment without the user's variables that would change its behaviour. ``env`` is added
        to either.

        Both streams are kept and passed line by line to ``on_line``. The whole process group is
        killed on cancel and after ``timeout`` seconds. Raises LaptopError if the command does not
        exist, LabError on a timeout, Cancelled; an exit code other than 0 is only returned.
        """

    def end_orphans(self) -> list[str]:
        """End commands that a killed run left running; return them. Call it while holding the lab's
        lock.
        """


class StreamingRunner(Runner, Protocol):
    """Runs commands to their end, and others beside them that print without end."""

    def stream(
        self,
        command: Sequence[str],
        *,
        cancel: CancelToken,
        on_lines: Callable[[Sequence[bytes]], None],
    ) -> Completed:
        """Run a tool that may print without end. Pass on its output as whole lines without their
        ends, as they arrive, in this thread; keep none of it.

        Its input is open, and ends with this process. A run of another command does not end it, as
        ``end_orphans`` would. Raises LaptopError if the command does not exist, Cancelled.
        """


class Vagrant(Protocol):
    """Vagrant with one rendered Vagrantfile, or without one for box commands."""

    def up(self, machines: Sequence[str], *, track: Track) -> None:
        """Boot the machines in one call, in parallel if the provider supports it. Raises
        LabError.
        """

    def destroy(self, *, track: Track) -> None:
        """Destroy all machines of this folder's Vagrant state. Raises LabError."""

    def box_add(self, metadata: Path, *, track: Track) -> None:
        """Register the box that a metadata.json describes. Raises LabError."""

    def box_remove(self, name: str, *, version: str, track: Track) -> None:
        """Remove one version of a box. Raises LabError."""


class Download(Protocol):
    """Downloads files over HTTP."""

    def __call__(self, url: str, target: Path, *, limit: int, track: Track) -> None:
        """Download ``url`` (http or https) to a new file of at most ``limit`` bytes.

        An incomplete file is removed. Raises LabError; LaptopError if the disk is full.
        """
