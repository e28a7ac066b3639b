"""One set of expectations against the fake registry and Debian's, and what goes wrong with real
ones. All of them listen on 127.0.0.1.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from fakes import Faults
from fakes.registry import FakeRegistry
from registry_bench import USER, WORD, RunningRegistry, certificate, running

from hashlab.drivers.registry import open_registry
from hashlab.errors import HashlabError, LabError
from hashlab.phases.selfcontained.store import CONFIG, LAYER, MANIFEST, Blob, Store
from hashlab.pipeline import CancelToken
from hashlab.protocols import Registry

MIB = 1 << 20


@dataclass(frozen=True)
class Pushed:
    """An image in a layout: its blobs, and its manifest."""

    store: Store
    layer: Blob
    config: Blob
    manifest: Blob

    @property
    def data(self) -> bytes:
        return self.store.path(self.manifest.digest).read_bytes()


def image(folder: Path, *, size: int = 100) -> Pushed:
    store = Store(folder / "oci")
    layer = store.write(lambda stream: stream.write(bytes(range(100)) * (size // 100)))
    config = store.put({"architecture": "amd64", "os": "linux", "rootfs": {"diff_ids": []}})
    described = {"mediaType": CONFIG, "digest": config.digest, "size": config.size}
    below = {"mediaType": LAYER, "digest": layer.digest, "size": layer.size}
    manifest = store.put(
        {"schemaVersion": 2, "mediaType": MANIFEST, "config": described, "layers": [below]}
    )
    return Pushed(store, layer, config, manifest)


def upload(registry: Registry, repository: str, pushed: Pushed, blob: Blob) -> int:
    sizes: list[int] = []
    path = pushed.store.path(blob.digest)
    registry.upload(repository, blob.digest, path, cancel=CancelToken(), sent=sizes.append)
    return sum(sizes)


def accepts(registry: Registry, folder: Path) -> bool:
    """Upload a blob; return whether it is there."""
    pushed = image(folder)
    upload(registry, "lab/web", pushed, pushed.layer)
    return registry.has("lab/web", pushed.layer.digest)


@pytest.fixture(params=["fake", "real"])
def registry(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Registry]:
    """Each kind of registry, one after the other."""
    if request.param == "fake":
        yield FakeRegistry("registry.test", Faults())
    else:
        with running(tmp_path / "registry") as real:
            opened = open_registry(real.host, {})
            yield opened
            opened.close()


def test_a_blob_is_there_after_its_upload_and_other_repositories_take_it_over(
    registry: Registry, tmp_path: Path
) -> None:
    pushed = image(tmp_path)
    assert not registry.has("lab/web", pushed.layer.digest)
    assert not registry.mount("lab/web", pushed.layer.digest, source="lab/none")
    assert upload(registry, "lab/web", pushed, pushed.layer) == pushed.layer.size
    assert registry.has("lab/web", pushed.layer.digest)
    assert not registry.has("lab/user", pushed.layer.digest)
    assert registry.mount("lab/user", pushed.layer.digest, source="lab/web")
    assert registry.has("lab/user", pushed.layer.digest)


def test_a_manifest_is_stored_only_after_its_blobs_and_found_by_digest_and_tag(
    registry: Registry, tmp_path: Path
) -> None:
    pushed = image(tmp_path)
    with pytest.raises(LabError, match="blob unknown"):
        registry.put_manifest("lab/web", "one", pushed.data, MANIFEST)
    assert registry.manifest("lab/web", "one") is None
    for blob in (pushed.layer, pushed.config):
        upload(registry, "lab/web", pushed, blob)
    registry.put_manifest("lab/web", pushed.manifest.digest, pushed.data, MANIFEST)
    assert registry.manifest("lab/web", "one") is None
    assert registry.manifest("lab/web", pushed.manifest.digest) == pushed.manifest.digest
    registry.put_manifest("lab/web", "one", pushed.data, MANIFEST)
    assert registry.manifest("lab/web", "one") == pushed.manifest.digest


# Real ones only


def error_of(host: str, environ: Mapping[str, str], tmp_path: Path) -> HashlabError:
    with pytest.raises(HashlabError) as failure:
        opened = open_registry(host, environ)
        try:
            accepts(opened, tmp_path)
        finally:
            opened.close()
    return failure.value


def test_a_registry_that_is_away_is_named(tmp_path: Path) -> None:
    with running(tmp_path / "registry") as real:
        pass
    error = error_of(real.host, {}, tmp_path)
    assert error.what == f"registry {real.host} does not answer: nothing listens there"
    assert error.next_step


def test_an_unknown_name_is_named(tmp_path: Path) -> None:
    error = error_of("registry.invalid", {}, tmp_path)
    assert error.what == "registry registry.invalid is unknown: its name does not resolve"


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[RunningRegistry]:
    """A registry that wants a password."""
    with running(tmp_path / "registry", login=True) as real:
        yield real


def environment(word: str) -> dict[str, str]:
    return {"HASHLAB_REGISTRY_USER": USER, "HASHLAB_REGISTRY_PASSWORD": word}


def test_the_password_comes_from_the_environment(locked: RunningRegistry, tmp_path: Path) -> None:
    opened = open_registry(locked.host, environment(WORD))
    assert accepts(opened, tmp_path)
    opened.close()


def test_the_password_comes_from_dockers_own_store(locked: RunningRegistry, tmp_path: Path) -> None:
    auth = base64.b64encode(f"{USER}:{WORD}".encode()).decode()
    (tmp_path / "config.json").write_text(json.dumps({"auths": {locked.host: {"auth": auth}}}))
    opened = open_registry(locked.host, {"DOCKER_CONFIG": str(tmp_path)})
    assert accepts(opened, tmp_path)
    opened.close()


def test_the_password_comes_from_a_credential_helper(
    locked: RunningRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    helper = tmp_path / "bin/docker-credential-test"
    helper.parent.mkdir()
    answer = json.dumps({"ServerURL": locked.host, "Username": USER, "Secret": WORD})
    helper.write_text(f"#!/bin/sh\necho '{answer}'\n")
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", str(helper.parent), prepend=":")
    (tmp_path / "config.json").write_text(json.dumps({"credHelpers": {locked.host: "test"}}))
    opened = open_registry(locked.host, {"DOCKER_CONFIG": str(tmp_path)})
    assert accepts(opened, tmp_path)
    opened.close()


def test_a_wrong_password_is_named_and_never_shown(locked: RunningRegistry, tmp_path: Path) -> None:
    error = error_of(locked.host, environment("wrong-horse"), tmp_path)
    assert (
        error.what == f"registry {locked.host} refuses the user {USER}: wrong or expired password"
    )
    assert error.next_step == f"docker login {locked.host}"
    assert "wrong-horse" not in str(error)


def test_a_missing_password_is_named(locked: RunningRegistry, tmp_path: Path) -> None:
    error = error_of(locked.host, {"DOCKER_CONFIG": str(tmp_path)}, tmp_path)
    assert error.what == f"registry {locked.host} wants a login"
    assert "HASHLAB_REGISTRY_PASSWORD" in error.next_step


def test_an_expired_certificate_is_named(tmp_path: Path) -> None:
    tls = certificate(tmp_path / "tls", days=-1)
    with running(tmp_path / "registry", tls=tls) as real:
        error = error_of(real.host, {"SSL_CERT_FILE": str(tls[0])}, tmp_path)
    assert error.what == f"the certificate of registry {real.host} has expired"


def test_an_untrusted_certificate_is_named_and_a_trusted_one_works(tmp_path: Path) -> None:
    tls = certificate(tmp_path / "tls", days=1)
    with running(tmp_path / "registry", tls=tls) as real:
        error = error_of(real.host, {}, tmp_path)
        assert f"the certificate of registry {real.host} is not trusted: self" in error.what
        assert f"/etc/docker/certs.d/{real.host}/ca.crt" in error.next_step
        opened = open_registry(real.host, {"SSL_CERT_FILE": str(tls[0])})
        assert accepts(opened, tmp_path)
        opened.close()


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    with running(tmp_path / "registry", disk=MIB) as real:
        opened = open_registry(real.host, {})
        pushed = image(tmp_path, size=4 * MIB)
        with pytest.raises(LabError, match=f"the disk of registry {real.host} is full"):
            upload(opened, "lab/web", pushed, pushed.layer)
        opened.close()


def test_a_registry_that_dies_in_the_middle_has_no_blob_and_takes_it_later(tmp_path: Path) -> None:
    with running(tmp_path / "registry") as real:
        opened = open_registry(real.host, {})
        pushed = image(tmp_path, size=64 * MIB)
        path = pushed.store.path(pushed.layer.digest)
        with pytest.raises(LabError, match="broke") as failure:
            opened.upload(
                "lab/web",
                pushed.layer.digest,
                path,
                cancel=CancelToken(),
                sent=lambda _: real.kill(),
            )
        assert "no tag was moved" in failure.value.next_step
        real.start()
        assert not opened.has("lab/web", pushed.layer.digest)
        assert upload(opened, "lab/web", pushed, pushed.layer) == pushed.layer.size
        assert opened.has("lab/web", pushed.layer.digest)
        opened.close()
