"""Makes a new box from one that others made: its checked members, and hashlab's own texts."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tarfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO, Any, Protocol

from hashlab.errors import LabError, LaptopError
from hashlab.inputs.plaintar import CHUNK, Member, NotPlain, members, unpacked
from hashlab.phases.boxes.contents import travelling
from hashlab.phases.boxes.packing import add_text
from hashlab.phases.boxes.registry import MANIFEST, box_version, description, read_manifest
from hashlab.pipeline import Track
from hashlab.protocols import Boxes, BoxManifest

MANIFEST_LIMIT = 1_000_000
MEMBERS_LIMIT = 1000
# Limits of the unpacked size: in all, and for each packed byte.
CONTENT_LIMIT = 100_000_000_000
GROWTH, FREE_GROWTH = 50, 100_000_000
# Members that hashlab writes itself.
TEXTS = ("metadata.json", "Vagrantfile")
# Bytes of a member that a provider checks.
HEAD = 1 << 20
DOUBT = "do not use it; get the box again from the person who gave it to you"


class Wanted(Protocol):
    """The expected box. ``checksum``: its SHA-256; ``place``: its source."""

    @property
    def name(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def provider(self) -> str: ...
    @property
    def place(self) -> str: ...
    @property
    def checksum(self) -> str: ...


def rewritten(box: Path, wanted: Wanted, target: Path, boxes: Boxes, track: Track) -> BoxManifest:
    """Write ``target``, a .box file with the members of ``box`` that the provider's boxes have, and
    return its description. No text of ``box`` is kept, in particular not its Vagrantfile.

    Raises LabError for a box that is damaged, hostile or not the wanted one. The checksum is made
    of the same bytes that were read for ``target``.
    """
    try:
        with box.open("rb") as stream, tarfile.open(target, "w", format=tarfile.GNU_FORMAT) as own:
            found = _Rewriting(wanted, boxes, own, track).run(stream)
            for name, text in boxes.own_files(found).items():
                add_text(own, name, text)
            add_text(own, MANIFEST, json.dumps(description(found), indent=2))
            return found
    except (NotPlain, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise LabError(
            f"it is not a valid box: {error}", where=wanted.place, next_step=DOUBT
        ) from error
    except OSError as error:
        raise LaptopError(f"cannot import {box}: {error.strerror or error}") from error


class _Rewriting:
    def __init__(self, wanted: Wanted, boxes: Boxes, own: tarfile.TarFile, track: Track) -> None:
        self._wanted = wanted
        self._boxes = boxes
        self._own = own
        self._track = track
        self._seen: set[str] = set()
        self._total = 0
        self._left_out: list[str] = []

    def run(self, stream: IO[bytes]) -> BoxManifest:
        packed = os.fstat(stream.fileno()).st_size
        limit = min(CONTENT_LIMIT, FREE_GROWTH + GROWTH * packed)
        source = _Hashed(stream, self._track, packed)
        found: Any = None
        for member in members(unpacked(source)):
            self._check(member, limit)
            if member.name == MANIFEST:
                found = self._manifest(member)
            elif self._boxes.takes(member.name):
                self._copy(member)
            elif member.name not in TEXTS:
                self._left_out.append(member.name)
        source.drain()
        if source.checksum() != self._wanted.checksum:
            raise self._refused("it changed while it was read")
        if self._left_out:
            self._track.detail(f"left out: {', '.join(self._left_out)}")
        return self._checked(found)

    def _check(self, member: Member, limit: int) -> None:
        plain = member.plain and PurePosixPath(member.name).name == member.name
        self._total += member.size
        if not plain or member.name in self._seen or len(self._seen) >= MEMBERS_LIMIT:
            raise self._refused(f"{member.name!r} has no place in a box")
        if self._total > limit:
            raise self._refused(f"unpacked it would have more than {limit // 1_000_000} MB")
        self._seen.add(member.name)

    def _manifest(self, member: Member) -> Any:
        if member.size > MANIFEST_LIMIT:
            raise self._refused(f"{MANIFEST} is too large")
        try:
            return json.loads(member.read())
        except (ValueError, RecursionError) as error:
            raise self._refused(f"{MANIFEST} is not JSON") from error

    def _copy(self, member: Member) -> None:
        info = tarfile.TarInfo(member.name)
        info.size, info.mode = member.size, 0o644
        head = bytearray()
        while len(head) < min(HEAD, info.size):
            head += member.read(HEAD - len(head))
        fault = self._boxes.fault_of(member.name, bytes(head), self._seen)
        if fault:
            raise self._refused(f"{member.name} {fault}")
        self._own.addfile(info, _Chained(bytes(head), member))

    def _checked(self, value: Any) -> BoxManifest:
        """Return the description, of which only what has its right type is taken over."""
        wanted = self._wanted
        found = read_manifest(value, None)
        expected = (wanted.name, wanted.version, wanted.provider, wanted.version)
        if found is None or expected != (
            *(found.name, found.version, found.provider),
            box_version(found.recipe),
        ):
            raise self._refused(
                f"what is in the box is not {wanted.name} {wanted.version} for {wanted.provider}"
            )
        if not all(isinstance(text, str) for text in found.images.values()):
            raise self._refused(f"{MANIFEST} does not say what its images were made of")
        return BoxManifest(
            found.name,
            found.version,
            found.recipe,
            found.provider,
            dict(found.images),
            travelling(found.data),
        )

    def _refused(self, what: str) -> LabError:
        return LabError(what, where=self._wanted.place, next_step=DOUBT)


class _Chained(io.RawIOBase):
    """Reads the head of a member, then the rest of it."""

    def __init__(self, head: bytes, member: Member) -> None:
        self._head = head
        self._member = member

    def read(self, size: int = -1) -> bytes:
        if self._head:
            data, self._head = self._head[:size], self._head[size:]
            return data
        return self._member.read(min(size, CHUNK))


class _Hashed(io.RawIOBase):
    """A file that hashes every byte it reads, once and in order."""

    def __init__(self, stream: IO[bytes], track: Track, total: int) -> None:
        self._stream = stream
        self._track = track
        self._total = total
        self._digest = hashlib.sha256()
        self._hashed = 0

    def read(self, size: int = -1) -> bytes:
        self._track.cancel.check()
        begin = self._stream.tell()
        data = self._stream.read(CHUNK if size < 0 else min(size, CHUNK))
        new = begin + len(data) - self._hashed
        if new > 0:
            self._digest.update(data[len(data) - new :])
            self._hashed += new
        self._track.progress(self._hashed / 1e6, self._total / 1e6, "MB")
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._stream.seek(offset, whence)

    def drain(self) -> None:
        """Read the bytes after the archive."""
        while self.read(CHUNK):
            pass

    def checksum(self) -> str:
        """Return the SHA-256 of all bytes that were read."""
        return self._digest.hexdigest()
