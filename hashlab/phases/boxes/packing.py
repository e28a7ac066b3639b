"""Writes a .box file, and the metadata.json that `vagrant box add` reads."""

from __future__ import annotations

import io
import json
import platform
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from hashlab.hashing import file_digest
from hashlab.phases.boxes.registry import MANIFEST, description
from hashlab.pipeline import Track
from hashlab.protocols import BoxManifest

METADATA = "metadata.json"
# gzip's level 6 is nearly as small as 9, and takes a third of its time.
LEVEL = 6
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def architecture() -> str:
    """Return the laptop's processor architecture by Vagrant's name."""
    machine = platform.machine().lower()
    return ARCHITECTURES.get(machine, machine)


def pack(
    box: Path,
    manifest: BoxManifest,
    files: Mapping[str, str | Path],
    track: Track,
    *,
    compressed: bool,
) -> Path:
    """Write a .box file with these members and the box's own description. Raises OSError."""
    members = {**files, MANIFEST: json.dumps(description(manifest), indent=2)}
    total = sum(item.stat().st_size for item in members.values() if isinstance(item, Path))
    progress = _Progress(track, total)
    with _opened(box, compressed) as archive:
        for name, content in members.items():
            if isinstance(content, Path):
                _add_file(archive, name, content, progress)
            else:
                add_text(archive, name, content)
    return box


def _opened(box: Path, compressed: bool) -> tarfile.TarFile:
    # In GNU's format a member above 8 GiB needs no extended header, which `box import` ignores.
    form = tarfile.GNU_FORMAT
    if compressed:
        return tarfile.open(box, "w:gz", compresslevel=LEVEL, format=form)
    return tarfile.open(box, "w", format=form)


def add_text(archive: tarfile.TarFile, name: str, text: str) -> None:
    """Add a small member."""
    data = text.encode()
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(data), 0o644
    archive.addfile(info, io.BytesIO(data))


def _add_file(archive: tarfile.TarFile, name: str, path: Path, progress: _Progress) -> None:
    # The archive does not name the person who built the box.
    info = tarfile.TarInfo(name)
    info.size, info.mode = path.stat().st_size, 0o644
    with path.open("rb") as stream:
        archive.addfile(info, progress.reading(stream))


class _Progress:
    """Reports how much of all files was read, and stops when the run is cancelled."""

    def __init__(self, track: Track, total: int) -> None:
        self._track = track
        self._total = total
        self._done = 0
        self._stream: IO[bytes] = io.BytesIO()

    def reading(self, stream: IO[bytes]) -> _Progress:
        """Continue with the next file."""
        self._stream = stream
        return self

    def read(self, size: int = -1) -> bytes:
        """Read as a file does."""
        self._track.cancel.check()
        data = self._stream.read(size)
        self._done += len(data)
        self._track.progress(self._done / 1e6, self._total / 1e6, "MB")
        return data


def metadata(manifest: BoxManifest, url: str, checksum: str, *, arch: str = "") -> dict[str, Any]:
    """Return the content of metadata.json: the box's address and its SHA-256. Vagrant before 2.4
    ignores the architecture; without it the box fits any.
    """
    provider = {
        "name": manifest.provider,
        "url": url,
        "checksum_type": "sha256",
        "checksum": checksum,
        **({"architecture": arch, "default_architecture": True} if arch else {}),
    }
    return {
        "name": manifest.name,
        "versions": [{"version": manifest.version, "providers": [provider]}],
    }


def local_metadata(manifest: BoxManifest, box: Path) -> dict[str, Any]:
    """Return metadata.json for a .box file that is registered from its present place."""
    return metadata(manifest, box.resolve().as_uri(), file_digest(box))
