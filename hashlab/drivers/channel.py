"""HTTP over channels of an SSH connection, for docker-py."""

from __future__ import annotations

import queue
from collections.abc import Callable
from typing import Any

import urllib3.connection
import urllib3.connectionpool
from docker.transport.basehttpadapter import BaseHTTPAdapter


class _ChannelConnection(urllib3.connection.HTTPConnection):
    """HTTP over one channel instead of a socket of its own."""

    def __init__(self, connect: Callable[[], Any], timeout: float) -> None:
        super().__init__("machine", timeout=timeout)
        self._open = connect

    def connect(self) -> None:
        """Open the channel."""
        self.sock = self._open()
        self.sock.settimeout(self.timeout)

    @property
    def is_connected(self) -> bool:
        """True while the channel is open. urllib3's own test calls the channel's fileno(), which
        costs a pipe for every request.
        """
        return self.sock is not None and not getattr(self.sock, "closed", False)


class _ChannelPool(urllib3.connectionpool.HTTPConnectionPool):
    def __init__(self, connect: Callable[[], Any], seconds: float) -> None:
        super().__init__("machine", maxsize=16)
        self._open = connect
        self._seconds = seconds

    def _new_conn(self) -> _ChannelConnection:
        return _ChannelConnection(self._open, self._seconds)

    def _get_conn(self, timeout: float | None = None) -> Any:
        try:
            conn = self.pool.get(block=False)  # type: ignore[union-attr]
        except (queue.Empty, AttributeError):  # no idle connection, or the pool was closed
            conn = None
        if conn is not None and not conn.is_connected:
            conn.close()
            conn = None
        return conn or self._new_conn()


class ChannelAdapter(BaseHTTPAdapter):
    """Lets Requests use HTTP over channels, one channel for each connection."""

    def __init__(self, connect: Callable[[], Any], seconds: float) -> None:
        super().__init__()
        self._pool = _ChannelPool(connect, seconds)

    def get_connection(self, url: str | bytes, proxies: object = None) -> _ChannelPool:
        """Return the pool of channels. Requests calls this for every request."""
        return self._pool

    def close(self) -> None:
        """Close the idle channels."""
        self._pool.close()
        super().close()
