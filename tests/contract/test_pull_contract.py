"""Images are pulled by the laptop's real engine, from a registry of this test on 127.0.0.1."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import threading
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from contract_bench import PREFIX, real_engine
from fakes import track_of

from hashlab.drivers.engine import DockerEngine
from hashlab.errors import LabError

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


def sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class Registry(ThreadingHTTPServer):
    """A registry of one image with one tag, as much of it as an engine needs to pull."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.blobs: dict[str, bytes] = {}
        self.manifest = b""
        self.made: list[str] = []
        self.image = f"127.0.0.1:{self.server_port}/{PREFIX}pulled:1"

    def release(self, text: str) -> None:
        """Let the tag name an image of one file with this text, which no engine has yet."""
        text += uuid.uuid4().hex
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            member = tarfile.TarInfo("release")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
        layer = packed.getvalue()
        config = json.dumps(
            {
                "architecture": "amd64",
                "os": "linux",
                "created": "2026-01-01T00:00:00Z",
                "config": {},
                "rootfs": {"type": "layers", "diff_ids": [sha256(layer)]},
            }
        ).encode()
        self.blobs = {sha256(data): data for data in (layer, config)}
        parts = [
            {"mediaType": kind, "size": len(data), "digest": sha256(data)}
            for kind, data in ((CONFIG, config), (LAYER, layer))
        ]
        document = {"schemaVersion": 2, "mediaType": MANIFEST, "config": parts[0]}
        self.manifest = json.dumps({**document, "layers": parts[1:]}).encode()


class Answer(BaseHTTPRequestHandler):
    """One request of the registry's protocol."""

    server: Registry

    def do_GET(self) -> None:
        kind, _, name = self.path.rpartition("/")
        if self.path == "/v2/":
            self._answer(b"{}", "application/json")
        elif kind.endswith("/manifests"):
            self._answer(self.server.manifest, MANIFEST)
        elif name in self.server.blobs:
            self._answer(self.server.blobs[name], "application/octet-stream")
        else:
            self.send_error(404)

    do_HEAD = do_GET

    def _answer(self, data: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Docker-Content-Digest", sha256(data))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test's output free of requests."""


@pytest.fixture
def engine() -> Iterator[DockerEngine]:
    engine = real_engine()
    yield engine
    engine.close()


@pytest.fixture
def registry(engine: DockerEngine) -> Iterator[Registry]:
    with Registry() as served:
        serving = threading.Thread(target=served.serve_forever)
        serving.start()
        try:
            yield served
        finally:
            served.shutdown()
            serving.join()
            for image in {*served.made}:
                engine.remove_image(image, force=True)


def pull(engine: DockerEngine, registry: Registry) -> str:
    name = registry.image
    with track_of() as track:
        engine.pull(name, track=track)
    registry.made += engine.image_ids([name]).values()
    return engine.image_contents([name])[name]


def test_a_newer_image_of_the_same_name_has_another_content(
    engine: DockerEngine, registry: Registry
) -> None:
    assert engine.image_contents([registry.image]) == {}
    registry.release("1")
    first = pull(engine, registry)
    assert pull(engine, registry) == first
    registry.release("2")
    assert pull(engine, registry) != first


def test_the_content_is_the_same_after_an_image_went_to_an_engine(
    engine: DockerEngine, registry: Registry
) -> None:
    registry.release("1")
    content = pull(engine, registry)
    archive = list(engine.save_images([registry.image]))
    engine.remove_image(registry.image)
    engine.load_images(iter(archive))
    assert engine.image_contents([registry.image]) == {registry.image: content}


def test_a_registry_without_the_image_is_named(engine: DockerEngine, registry: Registry) -> None:
    registry.release("1")
    registry.blobs.clear()
    with pytest.raises(LabError, match=f"cannot pull image {registry.image}"):
        pull(engine, registry)
