"""Serves an image layout read-only, as engines pull from a registry."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer
from typing import Any

from hashlab.state.files import is_file, open_binary

ADDRESS = re.compile(r"/v2/[a-z0-9._/-]+/(manifests|blobs)/sha256:([0-9a-f]{64})")
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
SOCKET = "registry.sock"
IDLE_SECONDS = 60.0


@contextmanager
def serve_layout(folder: Path) -> Iterator[Path]:
    """Serve the layout in ``folder`` on a unix socket that only this user may open; yield its path.

    The path of a socket may have 107 characters, so it is not in the lab folder.
    """
    with tempfile.TemporaryDirectory(prefix="hashlab-") as own:  # mode 0700
        path = Path(own) / SOCKET
        with _Server(str(path), folder) as server:
            path.chmod(0o600)
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
            thread.start()
            try:
                yield path
            finally:
                server.shutdown()
                thread.join()


class _Server(ThreadingUnixStreamServer):
    daemon_threads = True

    def __init__(self, path: str, folder: Path) -> None:
        super().__init__(path, _Handler)
        self.folder = folder


class _Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD; everything else is refused."""

    protocol_version = "HTTP/1.1"
    timeout = IDLE_SECONDS
    server: _Server

    def do_GET(self) -> None:
        """Send a manifest or a blob."""
        self._answer(body=True)

    def do_HEAD(self) -> None:
        """Send the size of a manifest or a blob."""
        self._answer(body=False)

    def _answer(self, *, body: bool) -> None:
        if self.path == "/v2/":
            self._begin(HTTPStatus.OK, 2)
            if body:
                self.wfile.write(b"{}")
            return
        match = ADDRESS.fullmatch(self.path)
        blob = self.server.folder / "blobs" / "sha256" / (match[2] if match else "none")
        if match is None or not is_file(blob):
            self._begin(HTTPStatus.NOT_FOUND, 0)
            return
        with open_binary(blob) as stream:
            kind = MANIFEST if match[1] == "manifests" else "application/octet-stream"
            size = os.fstat(stream.fileno()).st_size
            self._begin(HTTPStatus.OK, size, kind, f"sha256:{match[2]}")
            if body:
                shutil.copyfileobj(stream, self.wfile)

    def _begin(self, status: HTTPStatus, size: int, kind: str = "", digest: str = "") -> None:
        headers = {
            "Content-Type": kind or "application/json",
            "Content-Length": str(size),
            "Docker-Distribution-Api-Version": "registry/2.0",
            "Docker-Content-Digest": digest,
        }
        self.send_response(status)
        for name, value in headers.items():
            if value:
                self.send_header(name, value)
        self.end_headers()

    def address_string(self) -> str:
        """Return the client's address, which a unix socket does not have."""
        return ""

    def log_message(self, format: str, *args: Any) -> None:
        """Write no log: a run reports what it did."""
