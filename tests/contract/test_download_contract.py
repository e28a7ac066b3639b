"""Downloads over HTTP from a server on 127.0.0.1: complete, within limits, and nothing else."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from fakes import track_of

from hashlab.drivers.download import download
from hashlab.errors import HashlabError, LabError, LaptopError
from hashlab.pipeline import Cancelled, CancelToken

CONTENT = b"box" * 1000


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/box")
        elif self.path == "/plain":
            self.send_response(302)
            self.send_header("Location", "http://192.0.2.1/box")
        elif self.path == "/file":
            self.send_response(302)
            self.send_header("Location", "file:///etc/hostname")
        elif self.path in ("/box", "/cut", "/endless"):
            self.send_response(200)
            if self.path != "/endless":
                extra = 10 if self.path == "/cut" else 0
                self.send_header("Content-Length", str(len(CONTENT) + extra))
        else:
            self.send_response(404)
        self.end_headers()
        if self.path in ("/box", "/cut", "/endless"):
            self.wfile.write(CONTENT)

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{made.server_port}"
        made.shutdown()
        thread.join()


def fetched(url: str, target: Path, limit: int = 10_000) -> bytes:
    with track_of() as track:
        download(url, target, limit=limit, track=track)
    return target.read_bytes()


@pytest.mark.parametrize("path", ["box", "moved", "endless"])
def test_a_file_arrives_completely(server: str, tmp_path: Path, path: str) -> None:
    assert fetched(f"{server}/{path}", tmp_path / "box") == CONTENT


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nothing", "404"),
        ("cut", "cut off"),
        ("file", "file"),
    ],
)
def test_a_failure_is_reported_and_leaves_no_file(
    server: str, tmp_path: Path, path: str, message: str
) -> None:
    with pytest.raises(LabError, match=message):
        fetched(f"{server}/{path}", tmp_path / "box")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", ["box", "endless"])
def test_a_file_that_is_too_large_is_refused(server: str, tmp_path: Path, path: str) -> None:
    with pytest.raises(LabError, match="larger than"):
        fetched(f"{server}/{path}", tmp_path / "box", limit=100)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_server_is_reported(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="cannot download"):
        fetched("http://127.0.0.1:9/box", tmp_path / "box")


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://127.0.0.1/box", "box"])
def test_only_http_is_supported(tmp_path: Path, url: str) -> None:
    with pytest.raises(HashlabError, match="only http"):
        fetched(url, tmp_path / "box")


def test_an_unwritable_target_is_an_error_of_the_laptop(server: str, tmp_path: Path) -> None:
    with pytest.raises(LaptopError, match="cannot write"):
        fetched(f"{server}/box", tmp_path / "missing" / "box")


def test_a_cancelled_run_ends_the_download(server: str, tmp_path: Path) -> None:
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(Cancelled), track_of(cancel=cancel) as track:
        download(f"{server}/box", tmp_path / "box", limit=10_000, track=track)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "url", ["http://192.0.2.1/box", "http://boxes.example/box", "http://127.0.0.1.example/box"]
)
def test_plain_http_is_accepted_only_on_this_laptop(url: str, tmp_path: Path) -> None:
    with track_of() as track, pytest.raises(LabError, match="plain http is refused"):
        download(url, tmp_path / "box", limit=10_000, track=track)


def test_a_server_cannot_redirect_to_plain_http(server: str, tmp_path: Path) -> None:
    with track_of() as track, pytest.raises(LabError, match="plain http is refused"):
        download(f"{server}/plain", tmp_path / "box", limit=10_000, track=track)
