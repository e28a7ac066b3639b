"""Links to machines that stay open between the runs of one process."""

from __future__ import annotations

import threading
from collections import defaultdict
from contextlib import suppress
from dataclasses import replace
from typing import Any, cast

from hashlab.protocols import Connector, Endpoint, Engine, Link, Shell

# Seconds to wait for an answer. A running machine answers at once; a removed one may never answer.
ALIVE_SECONDS = 2.0


class KeptLinks:
    """Keeps one open link for each machine.

    A link is closed if it no longer answers, or if the machine has a new endpoint or host key.
    """

    def __init__(self) -> None:
        self._links: dict[str, tuple[tuple[Endpoint, str], Link]] = {}
        self._turns: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._lock = threading.Lock()

    def through(self, connector: Connector) -> Connector:
        """Return the same connector, but with links that stay open and are used again."""
        return cast(Connector, _Keeping(self, connector))

    def open(self, connector: Connector, machine: str, endpoint: Endpoint, host_key: str) -> Link:
        """Return the open link, or a new one. Raises LabError as ``connector`` does."""
        with self._turn(machine):
            wanted = endpoint, host_key
            open_for, link = self._links.get(machine, (None, None))
            if link is not None and open_for == wanted and link.engine.answers(ALIVE_SECONDS):
                return replace(link, kept=True)
            if link is not None:
                del self._links[machine]
                _close(link)
            link = connector.connect(machine, endpoint, host_key)
            self._links[machine] = wanted, link
            return link

    def shell(self, machine: str, endpoint: Endpoint, host_key: str) -> Shell | None:
        """Return the shell of the link that is open to a machine; None if there is none, or if it
        no longer answers.
        """
        with self._turn(machine):
            open_for, link = self._links.get(machine, (None, None))
            if link is None or open_for != (endpoint, host_key):
                return None
            return link.shell if link.engine.answers(ALIVE_SECONDS) else None

    def _turn(self, machine: str) -> threading.Lock:
        with self._lock:
            return self._turns[machine]

    def close(self) -> None:
        """Close all links."""
        while self._links:
            _, (_, link) = self._links.popitem()
            _close(link)


def _close(link: Link) -> None:
    """Close a link whose connection may already be lost."""
    for part in (link.engine, link.shell):
        with suppress(EOFError, OSError):
            part.close()


class _Keeping:
    """A Connector whose links outlive their users."""

    def __init__(self, kept: KeptLinks, connector: Connector) -> None:
        self._kept = kept
        self._connector = connector

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connector, name)

    def connect(self, machine: str, endpoint: Endpoint, host_key: str) -> Link:
        """See protocols.Connector."""
        link = self._kept.open(self._connector, machine, endpoint, host_key)
        shell, engine = cast(Shell, _Lent(link.shell)), cast(Engine, _Lent(link.engine))
        return replace(link, shell=shell, engine=engine)

    def open_shell(self, machine: str, endpoint: Endpoint, host_key: str) -> Shell:
        """See protocols.Shells: the shell of an open link, or a new one."""
        kept = self._kept.shell(machine, endpoint, host_key)
        if kept is not None:
            return cast(Shell, _Lent(kept))
        made: Shell = self._connector.open_shell(machine, endpoint, host_key)  # type: ignore[attr-defined]
        return made


class _Lent:
    """Wraps an object and ignores close(); its owner closes it."""

    def __init__(self, own: object) -> None:
        self._own = own

    def __getattr__(self, name: str) -> Any:
        return getattr(self._own, name)

    def close(self) -> None:
        """Do nothing: the owner closes the object."""
