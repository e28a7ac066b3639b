"""Answers the browser: the page's files, a stream of what changes, and its buttons.

Python's own HTTP server suffices: it serves one person, on 127.0.0.1, and each connection has a
thread that may wait for the feed. The paths are a table, and everything else is refused.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from importlib import resources
from socketserver import TCPServer, ThreadingMixIn
from typing import Any, cast

from hashlab.documents import to_json
from hashlab.ui.feed import Cursor, Feed, Json
from hashlab.ui.guard import Guard

ADDRESS = "127.0.0.1"
# The page runs only its own scripts, loads and sends nothing elsewhere, is in no frame, and cannot
# make markup of text.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
}
INDEX = "index.html"
JSON = "application/json"
# The least time between two updates of a page, and the longest silence of a stream.
UPDATE_SECONDS = 0.5
SILENT_SECONDS = 10.0
# A request must be complete within this time; its body may have so many bytes.
REQUEST_SECONDS = 10.0
MOST_BYTES = 4096
# A browser opens six connections to one address, and a stream takes one for good.
MOST_CONNECTIONS = 48


@dataclass(frozen=True)
class Site:
    """The content behind the server. ``act`` starts an action with a name and returns why it is
    refused, or ""; ``get``: functions of documents, by path; each takes the query.
    """

    feed: Feed
    act: Callable[[str, str], str]
    get: Mapping[str, Callable[[str], Json | None]]


def page_files() -> dict[str, bytes]:
    """Return the files of the page, by name."""
    folder = resources.files("hashlab.ui.page")
    return {
        each.name: each.read_bytes()
        for each in folder.iterdir()
        if each.name.endswith(tuple(KINDS))
    }


class Server(ThreadingMixIn, TCPServer):
    """Listens on 127.0.0.1 alone; ``port`` 0 takes a free one. Raises OSError."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 32

    def __init__(self, site: Site, port: int = 0) -> None:
        super().__init__((ADDRESS, port), Handler)
        self.site = site
        self.guard = Guard(self.port, clock=time.monotonic)
        self.files = page_files()
        self._free = threading.BoundedSemaphore(MOST_CONNECTIONS)

    @property
    def port(self) -> int:
        """Return the port on which it listens."""
        return int(self.server_address[1])

    def address(self) -> str:
        """Return an address that lets one browser in. What follows # is not sent to any server."""
        return f"http://{ADDRESS}:{self.port}/#{self.guard.new_code()}"

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Answer requests during the block, and close it all at its end."""
        thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.1})
        thread.start()
        try:
            yield
        finally:
            self.shutdown()
            thread.join()
            self.server_close()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer a connection in a thread, or close it if there are too many."""
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer the requests of one connection."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report a bug, but not a browser that has gone."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class Refusal(Exception):
    """An answer other than 200. ``what``: a sentence for a person."""

    def __init__(self, status: HTTPStatus, what: str) -> None:
        super().__init__(what)
        self.status, self.what = status, what


class Handler(BaseHTTPRequestHandler):
    """Answers GET and POST; everything else is refused."""

    protocol_version = "HTTP/1.1"
    timeout = REQUEST_SECONDS
    disable_nagle_algorithm = True
    server: Server

    def do_GET(self) -> None:
        """Send a file of the page, a document, or the stream."""
        self._answer(self._get, change=False)

    def do_POST(self) -> None:
        """Let a browser in, or start an action."""
        self._answer(self._post, change=True)

    def _answer(self, method: Callable[[], None], *, change: bool) -> None:
        headers = cast(Mapping[str, str], self.headers)
        try:
            if refused := self.server.guard.refuses(headers, change=change):
                raise Refusal(HTTPStatus.FORBIDDEN, refused)
            if "Transfer-Encoding" in headers:
                raise Refusal(HTTPStatus.BAD_REQUEST, "a request needs a Content-Length")
            method()
        except Refusal as refusal:
            self.close_connection = True  # what follows the head may not have been read
            self._send_json({"error": refusal.what}, refusal.status)

    def _get(self) -> None:
        path, _, query = self.path.partition("?")
        name = INDEX if path == "/" else path.removeprefix("/")
        if name in self.server.files:
            kind = KINDS[name[name.rindex(".") :]]
            self._send(self.server.files[name], kind)
            return
        self._check_session()
        if path == "/stream":
            self._stream()
            return
        document = self.server.site.get.get(path)
        found = document(query) if document else None
        if found is None:
            raise Refusal(HTTPStatus.NOT_FOUND, "there is nothing at this address")
        self._send_json(found)

    def _post(self) -> None:
        values = self._body()
        if self.path == "/session":
            self._enter(values)
            return
        self._check_session()
        if self.path != "/action":
            raise Refusal(HTTPStatus.NOT_FOUND, "there is nothing at this address")
        if refused := self.server.site.act(values.get("action", ""), values.get("name", "")):
            raise Refusal(HTTPStatus.CONFLICT, refused)
        self._send_json({}, HTTPStatus.ACCEPTED)

    def _enter(self, values: Mapping[str, str]) -> None:
        guard = self.server.guard
        session = guard.enter(values.get("code", ""))
        if session is None:
            raise Refusal(HTTPStatus.FORBIDDEN, "this address has been used, or is too old")
        self._send_json({}, cookie=guard.set_cookie(session))

    def _check_session(self) -> None:
        if not self.server.guard.knows(cast(Mapping[str, str], self.headers)):
            raise Refusal(HTTPStatus.UNAUTHORIZED, "this browser was not let in")

    def _body(self) -> dict[str, str]:
        """Return the JSON object of texts that a request carries."""
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdecimal():
            raise Refusal(HTTPStatus.LENGTH_REQUIRED, "a request needs a Content-Length")
        if int(length) > MOST_BYTES:
            raise Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the request is too large")
        try:
            values = json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError):
            values = None
        if not isinstance(values, dict) or not all(isinstance(v, str) for v in values.values()):
            raise Refusal(HTTPStatus.BAD_REQUEST, "the request is not a JSON object of texts")
        return values

    def _stream(self) -> None:
        """Send what changes, at most twice a second, until the browser leaves."""
        feed, cursor = self.server.site.feed, Cursor()
        self.close_connection = True
        self._begin(HTTPStatus.OK, "text/event-stream", None)
        feed.enter()
        try:
            while (batch := feed.batch(cursor, SILENT_SECONDS)) is not None:
                text = f"data: {json.dumps(to_json(batch))}\n\n" if batch else ": still here\n\n"
                self.wfile.write(text.encode())
                time.sleep(UPDATE_SECONDS)
            self.wfile.write(b"event: end\ndata: {}\n\n")
        except OSError:
            return  # it has left
        finally:
            feed.leave()

    def _send_json(
        self, value: Json, status: HTTPStatus = HTTPStatus.OK, *, cookie: str = ""
    ) -> None:
        self._send(json.dumps(value).encode(), JSON, status, cookie=cookie)

    def _send(
        self, content: bytes, kind: str, status: HTTPStatus = HTTPStatus.OK, *, cookie: str = ""
    ) -> None:
        self._begin(status, kind, len(content), cookie=cookie)
        self.wfile.write(content)

    def _begin(
        self, status: HTTPStatus, kind: str, length: int | None, *, cookie: str = ""
    ) -> None:
        self.send_response(status)
        headers = {
            "Content-Type": kind,
            "Content-Length": "" if length is None else str(length),
            "Set-Cookie": cookie,
            "Connection": "close" if self.close_connection else "",
            **HEADERS,
        }
        for name, value in headers.items():
            if value:
                self.send_header(name, value)
        self.end_headers()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer a request that is not understood; the default's page would repeat its text."""
        self.close_connection = True
        with suppress(ValueError):
            self._send_json({"error": HTTPStatus(code).phrase}, HTTPStatus(code))

    def version_string(self) -> str:
        """Return the name of the server, without versions."""
        return "hashlab"

    def log_message(self, format: str, *args: Any) -> None:
        """Write no log: the terminal shows what the command says."""
