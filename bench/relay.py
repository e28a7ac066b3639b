"""TCP relays on 127.0.0.1 that hold back every byte for a while, as a long line does."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any

CHUNK = 1 << 16
Arrived = tuple[float, bytes]


class Relays:
    """Relays to addresses, in a thread of their own. ``carried`` counts bytes, both ways."""

    def __init__(self, delay: float) -> None:
        """``delay``: seconds in each direction, so an answer comes two of them late."""
        self._delay = delay
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._servers: list[asyncio.Server] = []
        self._tasks: list[asyncio.Future[None]] = []
        self.carried = 0

    def to(self, host: str, port: int) -> int:
        """A new relay; its port on 127.0.0.1."""

        # Not a coroutine: asyncio prints a traceback for each of those that is cancelled.
        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._tasks.append(asyncio.ensure_future(self._connect(reader, writer, host, port)))

        server: asyncio.Server = self._wait(asyncio.start_server(accept, "127.0.0.1", 0))
        self._servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    def close(self) -> None:
        """Stop to listen, cut what is connected, end the thread."""
        self._wait(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        for server in self._servers:
            server.close()
        for task in self._tasks:
            task.cancel()
        for ended in await asyncio.gather(*self._tasks, return_exceptions=True):
            if ended is not None and not isinstance(ended, asyncio.CancelledError | OSError):
                raise ended

    def _wait(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _connect(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, port: int
    ) -> None:
        far_reader, far_writer = await asyncio.open_connection(host, port)
        for end in (writer, far_writer):
            end.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            await asyncio.gather(self._carry(reader, far_writer), self._carry(far_reader, writer))
        finally:
            writer.close()
            far_writer.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One direction: late, but as wide as the line; what follows does not wait in addition."""
        under_way: asyncio.Queue[Arrived] = asyncio.Queue(maxsize=1024)
        await asyncio.gather(self._take_in(reader, under_way), self._let_out(under_way, writer))

    async def _take_in(self, reader: asyncio.StreamReader, to: asyncio.Queue[Arrived]) -> None:
        """An empty chunk is the end of the stream; a cut wire is one, too."""
        chunk = b"."
        while chunk:
            try:
                chunk = await reader.read(CHUNK)
            except ConnectionError:
                chunk = b""
            await to.put((self._loop.time() + self._delay, chunk))

    async def _let_out(self, taken: asyncio.Queue[Arrived], writer: asyncio.StreamWriter) -> None:
        while True:
            due, chunk = await taken.get()
            await asyncio.sleep(max(0.0, due - self._loop.time()))
            if not chunk:
                with suppress(OSError):  # the other side may be gone already
                    writer.write_eof()
                return
            self.carried += len(chunk)
            writer.write(chunk)


@contextmanager
def relays(delay: float) -> Iterator[Relays]:
    """Relays that are closed when the block ends."""
    opened = Relays(delay)
    try:
        yield opened
    finally:
        opened.close()
