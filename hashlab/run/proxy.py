"""A proxy on 127.0.0.1 through which programs reach the names of a lab: SOCKS 5 and HTTP."""

from __future__ import annotations

import asyncio
import ipaddress
import struct
import threading
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from hashlab.errors import LaptopError

HEAD_BYTES = 65_536
BLOCK_BYTES = 262_144
# SOCKS 5 (RFC 1928).
VERSION, CONNECT, IPV4, NAME, IPV6 = 5, 1, 1, 3, 4
DONE, UNREACHED, NOT_SUPPORTED = 0, 4, 7
# Fields of a request's head that are for the proxy alone.
OWN_FIELDS = ("proxy-connection", "proxy-authorization", "connection", "keep-alive")


@dataclass(frozen=True)
class _Stream:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


class _Refused(Exception):
    """A request that is not carried out; the client has its answer already."""


class Proxy:
    """Carries connections to names of the lab to ``lab``, a unix socket that takes "HOST PORT" and
    a newline first, and all others to where their address leads from the laptop.
    """

    def __init__(self, names: frozenset[str], lab: Path) -> None:
        self._names, self._lab = names, lab
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    def start(self) -> int:
        """Listen on a free port of 127.0.0.1, and return it. Raises LaptopError."""
        self._thread.start()
        try:
            self._server = self._await(
                asyncio.start_server(self._serve, "127.0.0.1", 0, limit=HEAD_BYTES)
            )
        except OSError as error:
            raise LaptopError(f"cannot listen on 127.0.0.1: {error.strerror}") from error
        return int(self._server.sockets[0].getsockname()[1])

    def end(self) -> None:
        """Close the port and all connections."""
        if self._thread.is_alive():
            self._await(self._close())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
        self._loop.close()

    def _await(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("asyncio runs each connection in a task")
        self._connections.add(task)
        try:
            # A client may go away at any time; the connection then ends like any other.
            with suppress(OSError, EOFError, asyncio.LimitOverrunError, _Refused):
                await self._carry(_Stream(reader, writer))
        finally:
            self._connections.discard(task)
            writer.close()

    async def _carry(self, client: _Stream) -> None:
        first = await client.reader.readexactly(1)
        begin = self._begin_socks if first[0] == VERSION else self._begin_http
        other = await begin(client, first)
        try:
            await asyncio.gather(_copy(client, other), _copy(other, client))
        finally:
            other.writer.close()

    async def _connect(self, host: str, port: int) -> _Stream:
        """Connect to a host. Raises OSError."""
        if host.lower().rstrip(".") not in self._names:
            return _Stream(*await asyncio.open_connection(host, port))
        stream = _Stream(*await asyncio.open_unix_connection(self._lab))
        stream.writer.write(f"{host} {port}\n".encode())
        return stream

    async def _begin_socks(self, client: _Stream, _: bytes) -> _Stream:
        methods = await client.reader.readexactly(1)
        await client.reader.readexactly(methods[0])
        client.writer.write(bytes([VERSION, 0]))
        request = await client.reader.readexactly(4)
        host = await _socks_host(client.reader, request[3])
        (port,) = struct.unpack("!H", await client.reader.readexactly(2))
        if request[1] != CONNECT or not host:
            client.writer.write(_socks_answer(NOT_SUPPORTED))
            raise _Refused
        try:
            other = await self._connect(host, port)
        except OSError:
            client.writer.write(_socks_answer(UNREACHED))
            raise
        client.writer.write(_socks_answer(DONE))
        return other

    async def _begin_http(self, client: _Stream, first: bytes) -> _Stream:
        head = first + await client.reader.readuntil(b"\r\n\r\n")
        request, *fields = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
        method, target, version = _words(request)
        tunnel = method == "CONNECT"
        try:
            url = urlsplit(f"//{target}" if tunnel else target)
            host, port = url.hostname, url.port or 80
        except ValueError:
            host, port = None, 0
        if not host or not (tunnel or url.scheme == "http"):
            client.writer.write(_http_answer("400 Bad Request", "not a request to a proxy"))
            raise _Refused
        try:
            other = await self._connect(host, port)
        except OSError as error:
            text = f"{host}:{port} is not reached: {error.strerror or error}"
            client.writer.write(_http_answer("502 Bad Gateway", text))
            raise
        if tunnel:
            client.writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            return other
        # The next request of this client may be to another host, so each has a connection.
        kept = [f for f in fields if f.partition(":")[0].lower() not in OWN_FIELDS]
        path = url._replace(scheme="", netloc="", fragment="").geturl() or "/"
        lines = [f"{method} {path} {version}", *kept, "Connection: close", "", ""]
        other.writer.write("\r\n".join(lines).encode("latin-1"))
        return other


async def _copy(source: _Stream, target: _Stream) -> None:
    """Copy until the source has no more; the other direction goes on."""
    while block := await source.reader.read(BLOCK_BYTES):
        target.writer.write(block)
        await target.writer.drain()
    if target.writer.can_write_eof():
        target.writer.write_eof()


async def _socks_host(reader: asyncio.StreamReader, kind: int) -> str:
    """Return the name or the address of a request; "" for a kind that does not exist."""
    if kind == NAME:
        length = (await reader.readexactly(1))[0]
        return (await reader.readexactly(length)).decode("ascii", errors="replace")
    if kind in (IPV4, IPV6):
        return str(ipaddress.ip_address(await reader.readexactly(4 if kind == IPV4 else 16)))
    return ""


def _socks_answer(code: int) -> bytes:
    return bytes([VERSION, code, 0, IPV4, 0, 0, 0, 0, 0, 0])


def _http_answer(status: str, text: str) -> bytes:
    body = f"hashlab intercept: {text}\n".encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Connection: close\r\n\r\n".encode() + body


def _words(request: str) -> tuple[str, str, str]:
    method, _, rest = request.partition(" ")
    target, _, version = rest.partition(" ")
    return method, target, version
