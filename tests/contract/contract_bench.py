"""The real engines for the contract tests, and a reason to skip on laptops without one."""

from __future__ import annotations

import io
import os
import shutil
import socket
import tarfile
import uuid
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from fakes import FakeEngine

from hashlab.drivers.engine import DockerEngine, channel_engine, local_engine
from hashlab.errors import HashlabError
from hashlab.protocols import Engine

PREFIX = "hashlab-contract-"
BASE = f"{PREFIX}base:1"
SOCKET = "/var/run/docker.sock"


def static_busybox() -> Path:
    """A static busybox (Debian package busybox-static). Skips the test if there is none."""
    found = shutil.which("busybox")
    if found is None:
        pytest.skip("no busybox on the PATH: apt-get install busybox-static")
    # A program that needs a loader names it in its first block.
    with Path(found).open("rb") as stream:
        if b"ld-linux" in stream.read(4096) or b"ld-musl" in stream.read(0):
            pytest.skip("busybox needs shared libraries: apt-get install busybox-static")
    return Path(found)


def root_filesystem(folder: Path) -> Path:
    """A tar file of a root file system that contains busybox and little else."""
    archive = folder / "root.tar"
    busybox = static_busybox()
    with tarfile.open(archive, "w") as tar:
        tar.add(busybox.resolve(), arcname="bin/busybox")
        for name in ("sh", "cat", "echo", "true", "false", "sleep"):
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
        passwd = b"root:x:0:0:root:/:/bin/sh\n"
        entry = tarfile.TarInfo("etc/passwd")
        entry.size = len(passwd)
        tar.addfile(entry, io.BytesIO(passwd))
    return archive


def real_engine() -> DockerEngine:
    """This laptop's engine. Skips the test if there is none."""
    try:
        return local_engine(os.environ)
    except HashlabError as error:
        pytest.skip(f"no Docker Engine on this laptop: {error.what}")


def channelled_engine() -> DockerEngine:
    """The same engine through channels, as machines' engines are used."""
    if os.environ.get("DOCKER_HOST") or not Path(SOCKET).exists():
        pytest.skip(f"the Docker Engine of this laptop is not at {SOCKET}")

    def connect() -> Channel:
        channel = Channel(socket.AF_UNIX)
        channel.connect(SOCKET)
        return channel

    return channel_engine("laptop", connect)


class Channel(socket.socket):
    """A socket in the role of Paramiko's channel. Its files know their channel."""

    def makefile(self, mode: str = "r", *_: object, **__: object) -> ChannelFile:  # type: ignore[override]
        made = ChannelFile(super().makefile("rb", buffering=0))  # type: ignore[arg-type]
        made.channel = self
        return made


class ChannelFile(io.BufferedReader):
    """A file like Paramiko's ChannelFile."""

    channel: Channel


@dataclass
class Bench:
    """An engine under test and the names it may use."""

    engine: Engine
    fake: FakeEngine | None
    run: str = field(default_factory=lambda: uuid.uuid4().hex[:8])

    def name(self, what: str) -> str:
        """Return a unique name."""
        return f"{PREFIX}{self.run}-{what}"

    @property
    def labels(self) -> dict[str, str]:
        """Return the labels of all objects made here."""
        return {"hashlab-contract": self.run}

    def clean(self) -> None:
        """Remove all objects that were made, and nothing else."""
        for container in self.engine.containers(self.labels):
            self.engine.remove(container.id)
        for volume in self.engine.volumes(self.labels):
            self.engine.remove_volume(volume)
        for network in self.engine.networks_with(self.labels):
            self.engine.remove_network(network)
        for stage in self.engine.stages(self.run):
            self.engine.remove_image(stage)
        for image in ("image", "other", "failing", "plain", "checked", "none"):
            self.engine.remove_image(f"{self.name(image)}:1")
