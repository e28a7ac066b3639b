"""Links to machines that stay open between runs of one process."""

from __future__ import annotations

import threading
from collections import defaultdict
from contextlib import suppress
from dataclasses import replace
from typing import Any, cast

from hashlab.protocols import Connector, Endpoint, Engine, Link, Shell

# A machine that runs answers at once; one that is gone may never.
ALIVE_SECONDS = 2.0


class KeptLinks:
    """One open link for each machine. It is closed when it does not answer any more, and when the
    machine is found somewhere else or has another host key.
    """

    def __init__(self) -> None:
        self._links: dict[str, tuple[tuple[Endpoint, str], Link]] = {}
        self._turns: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._lock = threading.Lock()

    def through(self, connector: Connector) -> Connector:
        """The same connector, but links it opens stay open and are used again."""
        return cast(Connector, _Keeping(self, connector))

    def open(self, connector: Connector, machine: str, endpoint: Endpoint, host_key: str) -> Link:
        """The link that is open, or a new one. Raises LabError as ``connector`` does."""
        with self._turn(machine):
            wanted = endpoint, host_key
            led_to, link = self._links.get(machine, (None, None))
            if link is not None and led_to == wanted and link.engine.answers(ALIVE_SECONDS):
                return replace(link, kept=True)
            if link is not None:
                del self._links[machine]
                _close(link)
            link = connector.connect(machine, endpoint, host_key)
            self._links[machine] = wanted, link
            return link

    def _turn(self, machine: str) -> threading.Lock:
        with self._lock:
            return self._turns[machine]

    def close(self) -> None:
        """Close them all."""
        while self._links:
            _, (_, link) = self._links.popitem()
            _close(link)


def _close(link: Link) -> None:
    """Close a link whose wire may be cut already."""
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


class _Lent:
    """Something that whoever uses it does not close."""

    def __init__(self, own: object) -> None:
        self._own = own

    def __getattr__(self, name: str) -> Any:
        return getattr(self._own, name)

    def close(self) -> None:
        """Nothing: its owner closes it."""
