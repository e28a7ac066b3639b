"""Open ways to machines: a shell, files and an engine over one SSH connection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from hashlab.pipeline import Track
from hashlab.protocols.engine import Engine
from hashlab.protocols.laptop import Completed


@dataclass(frozen=True)
class Endpoint:
    """Where a machine's sshd answers, from the laptop."""

    host: str
    port: int
    user: str


class Shell(Protocol):
    """An open SSH connection to one machine."""

    def run(self, command: Sequence[str], *, stdin: bytes = b"", timeout: float = 30) -> Completed:
        """Run a command (list of words, quoted here). Bytes of its output that are not UTF-8 come
        as surrogates. Raises LabError when the wire is cut, or the output passes all bounds.
        """

    def save(self, command: Sequence[str], target: IO[bytes], *, track: Track) -> int:
        """Run a command and write what it prints to ``target``; returns the bytes. Raises LabError
        when the command fails or the wire is cut, OSError when ``target`` cannot be written.
        """

    def feed(self, command: Sequence[str], source: IO[bytes], *, track: Track) -> int:
        """Run a command that reads all of ``source``; returns the bytes. Raises LabError when the
        command fails or the wire is cut.
        """

    def close(self) -> None:
        """Close the connection."""


@dataclass(frozen=True)
class Link:
    """An open way to one machine: its shell and its engine over the same SSH connection.
    ``kept``: it has been open since an earlier run, so the machine was not started anew meanwhile.
    """

    machine: str
    shell: Shell
    engine: Engine
    kept: bool = False


class Connector(Protocol):
    """Opens links to machines and copies files to them."""

    def answers(self, endpoint: Endpoint) -> bool:
        """Whether an sshd greets there at this moment."""

    def connect(self, machine: str, endpoint: Endpoint, host_key: str) -> Link:
        """Open a connection that accepts only ``host_key``. Raises LabError; EngineStopped where
        waiting for the machine's engine would not help, EngineHangs if it runs all the same.
        """

    def start_engine(
        self, machine: str, endpoint: Endpoint, host_key: str, *, hangs: bool = False
    ) -> None:
        """Start the engine of a machine on which it is stopped; kill it first if it ``hangs``.
        Raises LabError with its log.
        """

    def copy(
        self,
        machine: str,
        endpoint: Endpoint,
        *,
        root: Path,
        files: Sequence[str],
        target: str,
        like: str,
        scratch: str,
        track: Track,
    ) -> int:
        """Copy regular ``files`` (relative to ``root``) below ``target``, which is there, whatever
        their names, with their modes and times. Of a file that lies below the folder ``like`` in
        another version only the difference travels. ``scratch``: a folder for unfinished ones.

        Returns the bytes that travelled to the machine. Raises LabError.
        """
