"""The proxy of `hashlab intercept` answers real clients, on 127.0.0.1 and unix sockets only."""

from __future__ import annotations

import shutil
import socket
import socketserver
import struct
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from hashlab.run.proxy import Proxy

SECONDS = 10


class Echo(socketserver.StreamRequestHandler):
    """Stands for the machine: reads "HOST PORT", then answers as an HTTP server that names it."""

    def handle(self) -> None:
        target = self.rfile.readline().decode().strip()
        head = []
        while (line := self.rfile.readline()) not in (b"", b"\r\n"):
            head.append(line)
        if not head:
            return
        request = head[0].decode().rstrip()
        body = f"{target} got {request}".encode()
        self.wfile.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)


class Outside(BaseHTTPRequestHandler):
    """A server that is not of the lab."""

    def do_GET(self) -> None:
        body = f"outside {self.path} {self.headers['Proxy-Connection']}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""


@contextmanager
def serving(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def proxy() -> Iterator[int]:
    """The port of a proxy to the names "qa" and "lab-qa-1"."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "any"
        with serving(socketserver.ThreadingUnixStreamServer(str(path), Echo)):
            made = Proxy(frozenset({"qa", "lab-qa-1"}), path)
            try:
                yield made.start()
            finally:
                made.end()


@pytest.fixture
def outside() -> Iterator[int]:
    """The port of a server on 127.0.0.1."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Outside)
    with serving(server):
        yield server.server_port


def fetched(proxy: int, url: str) -> str:
    handler = urllib.request.ProxyHandler({"http": f"http://127.0.0.1:{proxy}"})
    with urllib.request.build_opener(handler).open(url, timeout=SECONDS) as answer:
        return str(answer.read().decode())


def test_a_name_of_the_lab_leads_there_by_http(proxy: int) -> None:
    assert fetched(proxy, "http://qa:8080/page?n=1") == "qa 8080 got GET /page?n=1 HTTP/1.1"
    assert fetched(proxy, "http://LAB-QA-1/") == "lab-qa-1 80 got GET / HTTP/1.1"


def test_other_names_lead_out_of_the_laptop(proxy: int, outside: int) -> None:
    assert fetched(proxy, f"http://127.0.0.1:{outside}/x") == "outside /x None"


def test_a_host_that_is_not_reached_is_named(proxy: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(urllib.error.HTTPError) as caught:
        fetched(proxy, f"http://127.0.0.1:{port}/")
    assert caught.value.code == 502
    assert f"127.0.0.1:{port} is not reached" in caught.value.read().decode()
    caught.value.close()


@pytest.mark.parametrize("line", ["GET /page HTTP/1.1", "GET ftp://qa/ HTTP/1.1", "CONNECT :x y"])
def test_what_is_not_a_request_to_a_proxy_is_refused(proxy: int, line: str) -> None:
    with socket.create_connection(("127.0.0.1", proxy), timeout=SECONDS) as client:
        client.sendall(f"{line}\r\nHost: qa\r\n\r\n".encode())
        assert client.makefile("rb").read().startswith(b"HTTP/1.1 400 ")


def socks(proxy: int, target: bytes, port: int, command: int = 1) -> tuple[socket.socket, int]:
    """Ask as a SOCKS client; return the connection and the answer's code."""
    client = socket.create_connection(("127.0.0.1", proxy), timeout=SECONDS)
    client.sendall(b"\x05\x02\x00\x02")
    assert client.recv(2) == b"\x05\x00"
    client.sendall(bytes([5, command, 0]) + target + struct.pack("!H", port))
    answer = b""
    while len(answer) < 10:
        answer += client.recv(10 - len(answer))
    return client, answer[1]


def name(text: str) -> bytes:
    return bytes([3, len(text)]) + text.encode()


def test_a_name_of_the_lab_leads_there_by_socks(proxy: int) -> None:
    client, code = socks(proxy, name("qa"), 5432)
    with client:
        client.sendall(b"hello\r\n\r\n")
        assert code == 0
        assert client.makefile("rb").read().endswith(b"qa 5432 got hello")


def test_an_address_leads_out_by_socks(proxy: int, outside: int) -> None:
    client, code = socks(proxy, b"\x01" + socket.inet_aton("127.0.0.1"), outside)
    with client:
        client.sendall(b"GET /y HTTP/1.0\r\n\r\n")
        assert code == 0
        assert client.makefile("rb").read().endswith(b"outside /y None")


def test_what_socks_cannot_do_here_is_refused(proxy: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    for target, at, command, expected in (
        (b"\x01" + socket.inet_aton("127.0.0.1"), port, 1, 4),
        (name("qa"), 80, 2, 7),
    ):
        client, code = socks(proxy, target, at, command)
        client.close()
        assert code == expected


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl here")
@pytest.mark.parametrize(
    "words", [["-x", "socks5h://"], ["-x", "http://"], ["-p", "-x", "http://"]]
)
def test_curl_reaches_the_lab_in_each_way(proxy: int, words: list[str]) -> None:
    *options, scheme = words
    done = subprocess.run(
        [
            "curl",
            "-sS",
            "--max-time",
            "10",
            *options,
            f"{scheme}127.0.0.1:{proxy}",
            "http://qa:81/",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "qa 81 got GET / HTTP/1.1"


def test_the_end_closes_port_and_connections() -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "any"
        with serving(socketserver.ThreadingUnixStreamServer(str(path), Echo)):
            made = Proxy(frozenset({"qa"}), path)
            port = made.start()
            client, _ = socks(port, name("qa"), 1)
            made.end()
            assert client.recv(1) == b""
            client.close()
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port), timeout=SECONDS)
