"""Hosts that are there already: how a person's SSH reaches them, what they are, and what hashlab
does to them before and after it runs a lab on them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from hashlab.config.model import Lab
from hashlab.pipeline import Track
from hashlab.protocols.links import Endpoint, Shell


@dataclass(frozen=True)
class HostAccess:
    """The way by which a person's OpenSSH reaches a host, as its configuration says.

    ``host_key``: "ssh-ed25519 AAAA…" from the person's known_hosts, "" if it is not there;
    ``identities``: files with keys; ``proxy``: the words of a command whose input and output are
    the connection, none for a direct one; ``options``: what OpenSSH needs to log in, as pairs of an
    option and its value.
    """

    endpoint: Endpoint
    host_key: str
    identities: tuple[str, ...]
    proxy: tuple[str, ...]
    options: tuple[tuple[str, str], ...]


Locate = Callable[[str], HostAccess]


class HostShell(Shell, Protocol):
    """An open SSH connection to one host."""

    def hold(self, command: Sequence[str]) -> AbstractContextManager[str]:
        """Run a command during the block, and yield the first line of its output.

        Its input has a line every few seconds while the connection lives, and ends with the block;
        so the command knows when the laptop is gone. Raises LabError if it prints nothing.
        """


class Shells(Protocol):
    """Opens shells on machines that need no Docker Engine yet."""

    def open_shell(self, machine: str, endpoint: Endpoint, host_key: str) -> HostShell:
        """Open a connection that accepts only ``host_key``. Raises LabError."""


@dataclass(frozen=True)
class HostCheck:
    """One check of a host, as ``documents.doctor.Check``."""

    name: str
    ok: bool
    detail: str
    next_step: str = ""
    needed: bool = True


@dataclass(frozen=True)
class HostPlan:
    """The changes that preparing a host would make: ``steps``, each as a sentence; none if nothing.
    ``notes``: what a person should know.
    """

    machine: str
    endpoint: str
    steps: tuple[str, ...]
    notes: tuple[str, ...] = ()


class Hosts(Protocol):
    """The hosts of a lab. ``recipe``: the hash of everything that preparing a host does."""

    recipe: str

    def checks(self, lab: Lab) -> Sequence[HostCheck]:
        """Check each host, and each pair of them. Raises nothing."""

    def plan(self, lab: Lab) -> Sequence[HostPlan]:
        """Return what preparing the hosts would do. Changes nothing. Raises LabError, which names
        everything that makes it impossible.
        """

    def prepare(self, lab: Lab, machine: str, *, track: Track) -> Sequence[str]:
        """Install and set up what the lab needs on a host, as planned; return what changed. Raises
        LabError.
        """

    def unprepare(self, lab: Lab, machine: str, *, track: Track) -> Sequence[str]:
        """Undo ``prepare``; return what was removed, and what stays. Raises LabError."""

    def held(
        self, lab: Lab, command: str, say: Callable[[str], None]
    ) -> AbstractContextManager[None]:
        """Hold the lab's lock on its first host during the block. The host drops it when the
        connection is lost. Raises LockedError, which names the holder, and LabError.
        """
