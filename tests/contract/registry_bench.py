"""Real registries on 127.0.0.1 for the contract tests: Debian's docker-registry."""

from __future__ import annotations

import datetime
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address
from pathlib import Path

import bcrypt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

USER, WORD = "someone", "right horse"
START_SECONDS = 10.0


class RunningRegistry:
    """One docker-registry. ``disk``: bytes of its disk, if it has one of its own."""

    def __init__(
        self,
        folder: Path,
        *,
        login: bool = False,
        tls: tuple[Path, Path] | None = None,
        disk: int = 0,
    ) -> None:
        program = shutil.which("docker-registry")
        if program is None:
            pytest.skip("no docker-registry: apt-get install docker-registry")
        self._folder, self._disk = folder, disk
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.host = f"127.0.0.1:{self.port}"
        config = folder / "config.yml"
        config.write_text(json.dumps(self._config(login=login, tls=tls)))
        (folder / "data").mkdir(exist_ok=True)
        self._command = [program, "serve", str(config)]
        self.start()

    def _config(self, *, login: bool, tls: tuple[Path, Path] | None) -> dict[str, object]:
        http: dict[str, object] = {"addr": self.host}
        if tls:
            http["tls"] = {"certificate": str(tls[0]), "key": str(tls[1])}
        config: dict[str, object] = {
            "version": 0.1,
            "log": {"level": "error", "accesslog": {"disabled": True}},
            "storage": {"filesystem": {"rootdirectory": str(self._folder / "data")}},
            "http": http,
        }
        if login:
            hashed = bcrypt.hashpw(WORD.encode(), bcrypt.gensalt(4)).decode()
            (self._folder / "htpasswd").write_text(f"{USER}:{hashed}\n")
            config["auth"] = {"htpasswd": {"realm": "test", "path": str(self._folder / "htpasswd")}}
        return config

    def start(self) -> None:
        """Start it, and wait until it listens."""
        command = self._command
        if self._disk:
            mount = f"mount -t tmpfs -o size={self._disk} none {self._folder}/data"
            command = ["unshare", "--mount", "sh", "-c", f'{mount} && exec "$@"', "sh", *command]
        log = (self._folder / "log").open("wb")
        self.process = subprocess.Popen(command, stdout=log, stderr=log)
        log.close()
        limit = time.monotonic() + START_SECONDS
        while not self._listens():
            text = (self._folder / "log").read_text()
            if self._disk and self.process.poll() is not None:
                pytest.skip(f"no disk of its own for a test: {text}")
            assert self.process.poll() is None and time.monotonic() < limit, text
            time.sleep(0.02)

    def _listens(self) -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self.port)) == 0

    def kill(self) -> None:
        """Kill it at once."""
        self.process.kill()
        self.process.wait()


@contextmanager
def running(folder: Path, **how: object) -> Iterator[RunningRegistry]:
    """Run a registry for the block."""
    folder.mkdir(exist_ok=True)
    registry = RunningRegistry(folder, **how)  # type: ignore[arg-type]
    try:
        yield registry
    finally:
        registry.kill()


def certificate(folder: Path, *, days: int) -> tuple[Path, Path]:
    """Make a certificate of 127.0.0.1 that is valid for so many days; below 0 it has expired."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    names = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=30))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder.mkdir(exist_ok=True)
    paths = folder / "cert.pem", folder / "key.pem"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return paths
