"""The laptop serves an image layout to its machines: read-only, on a socket of its user."""

from __future__ import annotations

import http.client
import json
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from hashlab.drivers.layoutserver import serve_layout
from hashlab.phases.selfcontained.store import Blob, Store


class Client(http.client.HTTPConnection):
    """A connection to a unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=10)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self._path))

    def ask(self, path: str, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
        self.request(method, path)
        answer = self.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()


@pytest.fixture
def blob(tmp_path: Path) -> Blob:
    """A blob in a layout."""
    return Store(tmp_path / "oci").put({"schemaVersion": 2})


@pytest.fixture
def path(tmp_path: Path, blob: Blob) -> Iterator[Path]:
    """The socket of the layout."""
    with serve_layout(tmp_path / "oci") as found:
        yield found
    assert not found.parent.exists()


def test_only_its_user_may_open_the_socket(path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_blobs_and_manifests_are_served_by_digest_over_one_connection(
    path: Path, blob: Blob
) -> None:
    client = Client(path)
    assert client.ask("/v2/")[0] == 200
    status, headers, body = client.ask(f"/v2/lab/web/blobs/{blob.digest}")
    assert (status, json.loads(body)) == (200, {"schemaVersion": 2})
    status, headers, body = client.ask(f"/v2/lab/web/manifests/{blob.digest}", "HEAD")
    assert (status, body) == (200, b"")
    assert headers["Content-Length"] == str(blob.size)
    assert headers["Docker-Content-Digest"] == blob.digest
    assert headers["Content-Type"] == "application/vnd.oci.image.manifest.v1+json"
    client.close()


@pytest.mark.parametrize(
    "address",
    [
        "/",
        "/v2/lab/web/manifests/latest",
        "/v2/lab/web/blobs/sha256:" + "0" * 64,
        "/v2/lab/web/blobs/sha256:../../index.json",
        "/v2/../../../etc/passwd",
        "/v2/lab/web/tags/list",
    ],
)
def test_everything_else_is_not_found(path: Path, address: str) -> None:
    client = Client(path)
    assert client.ask(address)[0] == 404
    client.close()


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE", "PATCH"])
def test_nothing_can_be_written(path: Path, blob: Blob, method: str) -> None:
    client = Client(path)
    assert client.ask(f"/v2/lab/web/blobs/{blob.digest}", method)[0] == 501
    client.close()
