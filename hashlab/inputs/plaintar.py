"""Read tar files from elsewhere, one member after another, in bounded memory."""

from __future__ import annotations

import gzip
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

BLOCK = 512
CHUNK = 1 << 20
GZIP = b"\x1f\x8b"
# Extended headers hold a few hundred bytes, but tarfile would read one of any size into memory.
HEADER_LIMIT = 64 * 1024
# Records of an extended header that override the member's own header.
REPLACING = (b"path=", b"linkpath=", b"size=", b"GNU.sparse")
EXTENDED = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE)
PLAIN = (tarfile.REGTYPE, tarfile.AREGTYPE)


class Readable(Protocol):
    """Anything that bytes can be read from."""

    def read(self, size: int, /) -> bytes:
        """Return up to ``size`` bytes; b"" at the end."""


class Seekable(Readable, Protocol):
    """A file that can be read again."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Move to another position."""


class NotPlain(ValueError):
    """A tar file that is damaged, truncated, or has features that a plain one does not have."""


@dataclass
class Member:
    """One entry. Its content must be read before the next entry is requested."""

    name: str
    size: int
    plain: bool
    _stream: Readable
    _left: int

    def read(self, size: int = -1) -> bytes:
        """Read as a file does. Raises NotPlain if the file ends too early."""
        wanted = self._left if size < 0 else min(size, self._left)
        data = self._stream.read(wanted) if wanted else b""
        if wanted and not data:
            raise NotPlain("it is cut off")
        self._left -= len(data)
        return data


def unpacked(stream: Seekable) -> Readable:
    """Return the tar file in ``stream``, which may be gzip-compressed."""
    packed = stream.read(len(GZIP)) == GZIP
    stream.seek(0)
    return gzip.GzipFile(fileobj=stream) if packed else stream


def members(stream: Readable) -> Iterator[Member]:
    """Yield the entries of a tar file in order. Raises NotPlain, OSError, EOFError."""
    while True:
        header = _exactly(stream, BLOCK)
        if not header.strip(b"\0"):
            return
        try:
            info = tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
        except tarfile.HeaderError as error:
            raise NotPlain(f"a header is damaged: {error}") from error
        if info.size < 0 or info.type in (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK):
            raise NotPlain("a header has an unsupported form")
        if info.type in EXTENDED:
            _pass_over_header(stream, info.size)
            continue
        member = Member(info.name, info.size, info.type in PLAIN, stream, info.size)
        yield member
        while member.read(CHUNK):
            pass
        _exactly(stream, -info.size % BLOCK)


def _pass_over_header(stream: Readable, size: int) -> None:
    if size > HEADER_LIMIT:
        raise NotPlain(f"an extended header has {size} bytes")
    text = _exactly(stream, size + -size % BLOCK)
    if any(record in text for record in REPLACING):
        raise NotPlain("an extended header renames or resizes an entry")


def _exactly(stream: Readable, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        piece = stream.read(size - len(data))
        if not piece:
            raise NotPlain("it is cut off")
        data += piece
    return bytes(data)
