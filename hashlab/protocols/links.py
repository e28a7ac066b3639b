"""Open connections to machines: a shell, files and an engine over one SSH connection."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from hashlab.pipeline import Track
from hashlab.protocols.engine import Engine
from hashlab.protocols.laptop import Completed


@dataclass(frozen=True)
class Endpoint:
    """The address, seen from the laptop, at which a machine's sshd answers."""

    host: str
    port: int
    user: str


class Shell(Protocol):
    """An open SSH connection to one machine."""

    def run(self, command: Sequence[str], *, stdin: bytes = b"", timeout: float = 30) -> Completed:
        """Run a command (a list of words, quoted here).

        Bytes of its output that are not UTF-8 become surrogates. Raises LabError if the connection
        is lost, or the output is too large.
        """

    def save(self, command: Sequence[str], target: IO[bytes], *, track: Track) -> int:
        """Run a command and write its output to ``target``; return the number of bytes.

        Raises LabError if the command fails or the connection is lost, OSError if ``target`` cannot
        be written.
        """

    def feed(self, command: Sequence[str], source: IO[bytes], *, track: Track) -> int:
        """Run a command that reads all of ``source``; return the number of bytes.

        Raises LabError if the command fails or the connection is lost.
        """

    def serve(self, path: Path, command: Sequence[str]) -> AbstractContextManager[None]:
        """Listen on a new unix socket of the laptop during the block. Each connection to it is
        input and output of the command, run for it on the machine; all of them end with the block.

        Raises OSError if the socket cannot be made.
        """

    def close(self) -> None:
        """Close the connection."""


@dataclass(frozen=True)
class Link:
    """An open connection to one machine: its shell and its engine over the same SSH connection.

    ``kept``: it is open since an earlier run, so the machine has not restarted since.
    """

    machine: str
    shell: Shell
    engine: Engine
    kept: bool = False


class Connector(Protocol):
    """Opens links to machines and copies files to them."""

    def answers(self, endpoint: Endpoint) -> bool:
        """Return whether an sshd answers there at this moment."""

    def login(self, machine: str) -> Sequence[tuple[str, str]]:
        """Return the options of OpenSSH, as pairs, with which it logs in to a machine."""

    def connect(self, machine: str, endpoint: Endpoint, host_key: str) -> Link:
        """Open a connection that accepts only ``host_key``.

        Raises LabError; EngineStopped if the machine's engine is stopped, so that waiting would not
        help; EngineHangs if it runs but does not answer.
        """

    def start_engine(
        self, machine: str, endpoint: Endpoint, host_key: str, *, hangs: bool = False
    ) -> None:
        """Start the stopped engine of a machine; with ``hangs``, kill the running one first.

        Raises LabError with the engine's log.
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
        """Copy regular ``files`` (relative to ``root``) below the existing folder ``target``, with
        modes and times.

        Any file names are allowed. If the folder ``like`` contains another version of a file, only
        the difference is uploaded. ``scratch``: a folder for unfinished files. Returns the bytes
        uploaded to the machine. Raises LabError.
        """
