"""Serves what the metrics store collects, on 127.0.0.1 and only with the stores' password."""

from __future__ import annotations

import base64
import hmac
import http.server
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager

from hashlab.protocols.observing import USER

# The text of a path; None if it has none now, which the store takes for a target that is down.
Pages = Callable[[str], str | None]


class ExportServer(AbstractContextManager["ExportServer"]):
    """Answers GET during a block. ``pages`` is called in a thread of each connection."""

    def __init__(self, password: str, pages: Pages) -> None:
        login = base64.b64encode(f"{USER}:{password}".encode())
        self._server = http.server.ThreadingHTTPServer(
            ("127.0.0.1", 0), _handler(b"Basic " + login, pages)
        )
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True)

    @property
    def port(self) -> int:
        """The port on 127.0.0.1."""
        return int(self._server.server_address[1])

    def __enter__(self) -> ExportServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _handler(login: bytes, pages: Pages) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # The store leaves its connections open.
        timeout = 60

        def do_GET(self) -> None:
            given = (self.headers.get("Authorization") or "").encode()
            if not hmac.compare_digest(given, login):
                return self._answer(401, "")
            text = pages(self.path)
            return self._answer(503, "") if text is None else self._answer(200, text)

        def _answer(self, status: int, text: str) -> None:
            body = text.encode()
            kind = "application/json" if self.path == "/targets" else "text/plain; version=0.0.4"
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Write no line for each request."""

    return Handler
