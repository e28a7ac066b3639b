"""Links to machines that stay open between runs of one process."""

from __future__ import annotations

import threading
from typing import Any, cast

from hashlab.errors import LabError
from hashlab.protocols import Connector, Endpoint, Engine, Link, Shell

# A machine that runs answers at once; one that is gone may never.
ALIVE_SECONDS = 2.0


class KeptLinks:
    """Open links by what they lead to. A link that does not answer any more is closed."""

    def __init__(self) -> None:
        self._links: dict[tuple[str, Endpoint, str], Link] = {}
        self._lock = threading.Lock()

    def through(self, connector: Connector) -> Connector:
        """The same connector, but links it opens stay open and are used again."""
        return cast(Connector, _Keeping(self, connector))

    def take(self, key: tuple[str, Endpoint, str]) -> Link | None:
        """The open link, if it is one; asked for a sign of life."""
        with self._lock:
            link = self._links.get(key)
        if link is None:
            return None
        try:
            if link.shell.run(["true"], timeout=ALIVE_SECONDS).code == 0:
                return link
        except LabError:
            pass  # it is opened anew
        with self._lock:
            self._links.pop(key, None)
        _close(link)
        return None

    def keep(self, key: tuple[str, Endpoint, str], link: Link) -> None:
        """Keep a link that was opened."""
        with self._lock:
            self._links[key] = link

    def close(self) -> None:
        """Close them all."""
        with self._lock:
            links = list(self._links.values())
            self._links.clear()
        for link in links:
            _close(link)


def _close(link: Link) -> None:
    link.engine.close()
    link.shell.close()


class _Keeping:
    """A Connector whose links outlive their users."""

    def __init__(self, kept: KeptLinks, connector: Connector) -> None:
        self._kept = kept
        self._connector = connector

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connector, name)

    def connect(self, machine: str, endpoint: Endpoint, host_key: str) -> Link:
        """See protocols.Connector."""
        key = machine, endpoint, host_key
        link = self._kept.take(key)
        if link is None:
            link = self._connector.connect(machine, endpoint, host_key)
            self._kept.keep(key, link)
        return Link(machine, cast(Shell, _Lent(link.shell)), cast(Engine, _Lent(link.engine)))


class _Lent:
    """Something that whoever uses it does not close."""

    def __init__(self, own: object) -> None:
        self._own = own

    def __getattr__(self, name: str) -> Any:
        return getattr(self._own, name)

    def close(self) -> None:
        """Nothing: its owner closes it."""
