"""Small debuggers: the JDK's own jdb, a client of the Debug Adapter Protocol, one of Node's."""

from __future__ import annotations

import base64
import json
import os
import queue
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

SECONDS = 30


class Lines:
    """A program's output as it arrives."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.seen = ""
        self._parts: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        while part := self.process.stdout.read(1):
            self._parts.put(part)
        self._parts.put("")

    def until(self, text: str) -> str:
        """Return all that was printed since the last call once it contains ``text``."""
        deadline = time.monotonic() + SECONDS
        while text not in self.seen:
            part = self._parts.get(timeout=max(0.1, deadline - time.monotonic()))
            assert part, f"it ended without {text!r}: {self.seen}"
            self.seen += part
        seen, self.seen = self.seen, ""
        return seen

    def say(self, line: str) -> None:
        """Type a line."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()


@contextmanager
def jdb(address: str) -> Iterator[Lines]:
    """Attach the JDK's own debugger to a JVM."""
    command = ["jdb", "-attach", address]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            lines = Lines(process)
            lines.until("> ")
            yield lines
        finally:
            process.kill()


def connected(address: tuple[str, int]) -> socket.socket:
    """Connect as soon as something listens there."""
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            return socket.create_connection(address, timeout=SECONDS)
        except ConnectionRefusedError:
            assert time.monotonic() < deadline, f"nothing listens at {address}"
            time.sleep(0.05)


class DebugAdapter:
    """A client of the Debug Adapter Protocol, which debugpy and delve speak."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.sock = connected(address)
        self._file = self.sock.makefile("rb")
        self._number = 0

    def send(self, command: str, **arguments: Any) -> int:
        """Send a request; return its number."""
        self._number += 1
        request = {"seq": self._number, "type": "request", "command": command}
        body = json.dumps({**request, "arguments": arguments}).encode()
        self.sock.sendall(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        return self._number

    def await_(self, fits: Callable[[Mapping[str, Any]], bool]) -> dict[str, Any]:
        """Return the body of the next message that fits."""
        while True:
            length = 0
            while (line := self._file.readline().strip()) != b"":
                length = int(line.partition(b":")[2])
            assert length, "the debugger ended the connection"
            message = json.loads(self._file.read(length))
            assert message.get("success", True), message
            if fits(message):
                body: dict[str, Any] = message.get("body") or {}
                return body

    def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Return the answer to a request."""
        number = self.send(command, **arguments)
        return self.await_(lambda message: message.get("request_seq") == number)

    def event(self, name: str) -> dict[str, Any]:
        """Return the next event of this name."""
        return self.await_(lambda message: message.get("event") == name)

    def close(self) -> None:
        """Detach."""
        self._file.close()
        self.sock.close()


def stopped_in(adapter: DebugAdapter, attach: Mapping[str, Any], file: str, line: int) -> Any:
    """Attach with a configuration of an editor, and return the frame in which a breakpoint stops
    the program.
    """
    adapter.ask("initialize", adapterID="test", pathFormat="path")
    adapter.send("attach", **attach)
    adapter.event("initialized")
    adapter.ask("setBreakpoints", source={"path": file}, breakpoints=[{"line": line}])
    adapter.ask("configurationDone")
    thread = adapter.event("stopped")["threadId"]
    frame = adapter.ask("stackTrace", threadId=thread, levels=1)["stackFrames"][0]
    adapter.ask("setBreakpoints", source={"path": file}, breakpoints=[])
    adapter.ask("continue", threadId=thread)
    return frame


class Inspector:
    """A client of Node's inspector: JSON in frames of a WebSocket."""

    def __init__(self, address: tuple[str, int]) -> None:
        connected(address).close()
        place = f"http://{address[0]}:{address[1]}/json/list"
        with urllib.request.urlopen(place, timeout=SECONDS) as answer:
            [target] = json.load(answer)
        path = target["webSocketDebuggerUrl"].split("/", 3)[3]
        self.sock = connected(address)
        key = base64.b64encode(os.urandom(16)).decode()
        self.sock.sendall(
            f"GET /{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\n"
            f"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
            "\r\n".encode()
        )
        self._file = self.sock.makefile("rb")
        assert b" 101 " in self._file.readline()
        while self._file.readline().strip():
            pass
        self._number = 0

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Return the result of a command."""
        self._number += 1
        number = self._number
        request = {"id": number, "method": method, "params": parameters}
        body = json.dumps(request).encode()
        length = len(body)
        size = bytes([0x80 | length]) if length < 126 else b"\xfe" + length.to_bytes(2, "big")
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(body))
        self.sock.sendall(b"\x81" + size + mask + masked)
        answer = self._await(lambda message: message.get("id") == number)
        assert "error" not in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    def event(self, method: str) -> dict[str, Any]:
        """Return the parameters of the next event."""
        parameters: dict[str, Any] = self._await(lambda message: message.get("method") == method)[
            "params"
        ]
        return parameters

    def _await(self, fits: Callable[[Mapping[str, Any]], bool]) -> dict[str, Any]:
        while True:
            _, size = self._file.read(2)
            if size == 126:
                size = int.from_bytes(self._file.read(2), "big")
            elif size == 127:
                size = int.from_bytes(self._file.read(8), "big")
            message: dict[str, Any] = json.loads(self._file.read(size))
            if fits(message):
                return message

    def close(self) -> None:
        """Detach."""
        self._file.close()
        self.sock.close()
