"""The keys with which SSH logs in to machines: the lab's own, or those of the person."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from hashlab.protocols import Endpoint, HostAccess


class Login(Protocol):
    """Logs in to machines."""

    def keys(self, machine: str) -> Mapping[str, Any]:
        """Return Paramiko's arguments about keys."""

    def proxy(self, machine: str) -> str | None:
        """Return the command line whose input and output are the connection; None for a direct
        one.
        """

    def is_direct(self, endpoint: Endpoint) -> bool:
        """Return whether the laptop reaches this address without a proxy."""

    def options(self, machine: str) -> Sequence[tuple[str, str]]:
        """See protocols.Connector.login."""


class LabKey:
    """Logs in to machines that hashlab made, with the lab's own key and no other."""

    def __init__(self, key: Path) -> None:
        self._key = key

    def keys(self, machine: str) -> Mapping[str, Any]:
        """See Login."""
        return {"key_filename": str(self._key), "allow_agent": False}

    def proxy(self, machine: str) -> str | None:
        """See Login."""
        return None

    def is_direct(self, endpoint: Endpoint) -> bool:
        """See Login."""
        return True

    def options(self, machine: str) -> Sequence[tuple[str, str]]:
        """See Login."""
        return (("IdentityFile", quoted(str(self._key))), ("IdentitiesOnly", "yes"))


class PersonsKeys:
    """Logs in to hosts as the person would. ``access``: how OpenSSH reaches a machine, by name.

    Paramiko asks the agent, and reads keys without a passphrase.
    """

    def __init__(self, access: Callable[[str], HostAccess]) -> None:
        self._access = access

    def keys(self, machine: str) -> Mapping[str, Any]:
        """See Login."""
        return {"key_filename": list(self._access(machine).identities), "allow_agent": True}

    def proxy(self, machine: str) -> str | None:
        """See Login. Fabric reads the line as OpenSSH does, which begins a token by "%"."""
        words = self._access(machine).proxy
        return shlex.join(words).replace("%", "%%") if words else None

    def is_direct(self, endpoint: Endpoint) -> bool:
        """See Login."""
        return False

    def options(self, machine: str) -> Sequence[tuple[str, str]]:
        """See Login."""
        return self._access(machine).options


def quoted(path: str) -> str:
    """Return a path as OpenSSH's configuration takes it."""
    return '"{}"'.format(path.replace("%", "%%"))
