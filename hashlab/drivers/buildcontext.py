"""Pack a build context for Docker: exactly the files that were listed and hashed, or an error."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO

from hashlab.errors import FilesChanged, LaptopError
from hashlab.hashing import GONE, open_regular, unreadable
from hashlab.inputs.contexts import IGNORE_FILE, BuildContext, Entry

# The archive's name for a Dockerfile that is outside its context, or excluded by .dockerignore.
EXTRA = ".hashlab.dockerfile"


@contextmanager
def packed(context: BuildContext) -> Iterator[tuple[IO[bytes], str]]:
    """Yield the archive of a context, and the Dockerfile's name in it.

    Raises FilesChanged if a file has changed since it was hashed.
    """
    with tempfile.TemporaryFile() as stream:
        with (
            _explained(),
            tarfile.open(
                fileobj=stream,
                mode="w",
                format=tarfile.GNU_FORMAT,
                # Names that are not UTF-8 keep their bytes.
                encoding="utf-8",
                errors="surrogateescape",
            ) as archive,
        ):
            dockerfile = _pack(archive, context)
        stream.seek(0)
        yield stream, dockerfile


@contextmanager
def unpacked(
    context: BuildContext, others: Mapping[str, BuildContext] = {}
) -> Iterator[tuple[Path, Path, dict[str, str]]]:
    """Yield a temporary folder with exactly the files of a context, the Dockerfile beside it, and
    the folders of the other contexts by name.

    An empty ignore file beside the Dockerfile keeps BuildKit's client from leaving out any of them.
    Raises FilesChanged if a file has changed since it was hashed.
    """
    with tempfile.TemporaryDirectory(prefix="hashlab-build-") as top:
        folder, dockerfile = Path(top, "context"), Path(top, "Dockerfile")
        with _explained():
            unpack(context, folder)
            folders = {name: Path(top, f"{number}") for number, name in enumerate(others)}
            for name, other in others.items():
                unpack(other, folders[name])
            if context.dockerfile:
                recipe = Entry("Dockerfile", "file", 0o644, context.recipe)
                _copy(context.dockerfile, dockerfile, recipe)
            else:
                dockerfile.write_text(context.inline, encoding="utf-8")
            dockerfile.with_name(f"{dockerfile.name}{IGNORE_FILE}").touch()
        yield folder, dockerfile, {name: str(path) for name, path in folders.items()}


def unpack(context: BuildContext, folder: Path) -> None:
    """Copy exactly the files of a context into a new folder. Raises FilesChanged, OSError."""
    folder.mkdir()
    for entry in context.entries:
        _copy(context.root / entry.name, folder / entry.name, entry)
    for entry in reversed(context.entries):
        if entry.kind == "folder":
            (folder / entry.name).chmod(entry.mode)


def _copy(source: Path, target: Path, entry: Entry) -> None:
    if entry.kind == "folder":
        target.mkdir()
    elif entry.kind == "link":
        target.symlink_to(entry.content)
    else:
        status = source.stat()
        with open_regular(source) as stream, target.open("wb") as copy:
            reader = _Hashing(stream)
            shutil.copyfileobj(reader, copy)
        if reader.digest.hexdigest() != entry.content:
            raise _changed(source)
        target.chmod(entry.mode)
        os.utime(target, ns=(status.st_mtime_ns, status.st_mtime_ns))


@contextmanager
def _explained() -> Iterator[None]:
    """Turn an OSError of the block, which reads files of a context, into an expected failure."""
    try:
        yield
    except OSError as error:
        if error.errno in GONE:
            raise _changed(Path(str(error.filename))) from error
        if error.filename is None:
            raise LaptopError(
                f"cannot pack the build context: {error.strerror}", where=tempfile.gettempdir()
            ) from error
        raise unreadable(error) from error


def _pack(archive: tarfile.TarFile, context: BuildContext) -> str:
    """Add all entries; return the Dockerfile's name.

    A Dockerfile that is not among the entries gets a name that the archive's .dockerignore
    excludes, so that no COPY sees it.
    """
    listed = {entry.name: entry for entry in context.entries}
    name = os.path.relpath(context.dockerfile, context.root) if context.dockerfile else ""
    extra = name not in listed or listed[name].kind != "file"
    for entry in context.entries:
        if not (extra and entry.name == IGNORE_FILE):
            _add(archive, context.root / entry.name, entry)
    if not extra:
        return name
    if context.dockerfile:
        _add(archive, context.dockerfile, Entry(EXTRA, "file", 0o644, context.recipe))
    else:
        text = context.inline.encode()
        _add_file(archive, _info(EXTRA, 0o644, len(text)), io.BytesIO(text))
    rules = f"\n{EXTRA}\n".encode()
    if IGNORE_FILE in listed:
        rules = _content(context.root / IGNORE_FILE, listed[IGNORE_FILE]) + rules
    else:
        rules = IGNORE_FILE.encode() + rules
    _add_file(archive, _info(IGNORE_FILE, 0o644, len(rules)), io.BytesIO(rules))
    return EXTRA


def _content(path: Path, entry: Entry) -> bytes:
    with open_regular(path) as stream:
        content = stream.read()
    if hashlib.sha256(content).hexdigest() != entry.content:
        raise _changed(path)
    return content


def _add(archive: tarfile.TarFile, path: Path, entry: Entry) -> None:
    status = path.stat() if entry.kind == "file" else path.lstat()
    info = _info(entry.name, entry.mode, 0)
    info.mtime = int(status.st_mtime)
    if entry.kind == "file":
        info.size = status.st_size
        with open_regular(path) as stream:
            if _add_file(archive, info, stream) != entry.content:
                raise _changed(path)
        return
    info.type = tarfile.DIRTYPE if entry.kind == "folder" else tarfile.SYMTYPE
    info.linkname = entry.content
    archive.addfile(info)


def _add_file(archive: tarfile.TarFile, info: tarfile.TarInfo, stream: BinaryIO) -> str:
    """Add a file; return the SHA-256 of the content that was added."""
    reader = _Hashing(stream)
    try:
        archive.addfile(info, reader)
    except OSError as error:
        if error.errno is None:  # tarfile: the file is shorter than it was
            raise _changed(Path(info.name)) from error
        raise
    return reader.digest.hexdigest()


class _Hashing:
    """A stream that hashes the data read from it."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        """Read up to ``size`` bytes."""
        data = self._stream.read(size)
        self.digest.update(data)
        return data


def _info(name: str, mode: int, size: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.mode, info.size = mode, size
    return info


def _changed(path: Path) -> FilesChanged:
    return FilesChanged(f"{path} changed after it was hashed", next_step="run it again")
