"""An engine whose answers do not end: answers that are read as a whole are limited, streams are
not.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import docker
import pytest
import requests

from hashlab.drivers import answers
from hashlab.drivers.engine import DockerEngine
from hashlab.errors import LabError

MB = 1_000_000


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        if "version" not in self.path:
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for _ in range(200):
                try:
                    self.wfile.write(b"F4240\r\n" + b" " * MB + b"\r\n")
                except OSError:
                    return
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[DockerEngine]:
    monkeypatch.setattr(answers, "ANSWER_LIMIT", 3 * MB)
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"tcp://127.0.0.1:{server.server_port}"
        client = docker.APIClient(base_url=url, version="1.41", timeout=10)
        answers.limit_answers(client)
        yield DockerEngine("web", client)
        server.shutdown()
        thread.join()


def test_an_endless_answer_is_a_failure_with_a_clear_message(engine: DockerEngine) -> None:
    for ask in (engine.info, lambda: engine.container("one"), lambda: engine.containers({})):
        with pytest.raises(LabError, match="more than 3 MB arrived"):
            ask()


def test_the_output_of_a_command_in_a_container_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "OUTPUT_LIMIT", 3 * MB)
    assert answers.limited([(b"a", None), (None, b"b"), (b"c", b"")]) == (b"ac", b"b")
    with pytest.raises(requests.RequestException, match="printed more than 3 MB"):
        answers.limited((None, bytes(MB)) for _ in range(1000))
