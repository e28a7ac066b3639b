"""Row ``upload``: brings files, secrets and configs to a machine, by content."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hashlab.config.model import Content
from hashlab.documents.run import Cause
from hashlab.errors import FilesChanged, LabError
from hashlab.hashing import open_regular
from hashlab.phases.programs import PLACE, WALK
from hashlab.phases.upload.laptop import (
    LINK,
    bind_name,
    file_name,
    home,
    is_folder,
    mode_of,
    plain,
    upload_root,
)
from hashlab.phases.upload.machine import (
    MachineFiles,
    Placed,
    by_folder,
    nul,
    observe_files,
    write_manifest,
)
from hashlab.phases.world import World
from hashlab.pipeline import Track

# Up to this many files and bytes, another connection (rsync's) costs more than it saves.
FEW = 64
SMALL = 4 << 20
SHOWN_LINKS = 3


@dataclass(frozen=True)
class Difference:
    """The work on a machine, by path below the lab's folder there. ``send``: entries to upload;
    ``modes``: folders that only get another mode; ``delete``: files and links to remove; ``clear``:
    entries in the way of a folder; ``empty``: folders to remove if they are empty, the deepest
    first.
    """

    send: tuple[str, ...] = ()
    modes: tuple[str, ...] = ()
    delete: tuple[str, ...] = ()
    clear: tuple[str, ...] = ()
    empty: tuple[str, ...] = ()

    @property
    def nothing(self) -> bool:
        """Return whether there is nothing to do."""
        return not (self.send or self.modes or self.delete or self.clear or self.empty)


def difference(wanted: Mapping[str, str], observed: MachineFiles) -> Difference:
    """Compare: send what differs, delete only what hashlab itself uploaded. Pure.

    A container may change modes and owners in its mounts, as under Docker, so the modes are
    compared with those that hashlab last sent. Only hashlab changes a secret's mode.
    """
    files, manifest = observed.files, observed.manifest
    gone = observed.own - set(wanted)

    def differs(name: str, content: str) -> bool:
        placed, sent = files.get(name), manifest.get(name)
        if placed is None or plain(placed.content) != plain(content):
            return True
        if name.startswith("secrets/"):
            return mode_of(placed.content) != mode_of(content)
        return sent is not None and mode_of(sent.content) not in ("", mode_of(content))

    changed = [name for name, content in wanted.items() if differs(name, content)]
    exist = {name for name in changed if is_folder(wanted[name]) and _kind(files, name) == "d"}
    return Difference(
        send=tuple(name for name in changed if name not in exist),
        modes=tuple(name for name in changed if name in exist),
        delete=tuple(sorted((n for n in gone if files[n].kind != "d"), key=by_folder)),
        clear=tuple(
            name
            for name in changed
            if is_folder(wanted[name]) and _kind(files, name) not in ("", "d")
        ),
        empty=tuple(sorted((n for n in gone if files[n].kind == "d"), key=_deepest_first)),
    )


def _kind(files: Mapping[str, Placed], name: str) -> str:
    return files[name].kind if name in files else ""


def _deepest_first(name: str) -> tuple[int, tuple[str, str]]:
    return -name.count("/"), by_folder(name)


def upload(world: World, track: Track, machine: str) -> None:
    """Promise: the machine has every file, secret and config that its services mount, complete."""
    wanted = world.wanted_on(machine)
    observed = world.facts.uploads.files.get(machine) or _observe(world, machine, wanted)
    todo = difference(wanted, observed)
    if todo.nothing and observed.manifest == _record(observed, wanted):
        world.facts.uploads.files[machine] = observed
        track.skip(f"{_count(wanted, wanted)} files unchanged")
        return
    world.about_to_change()
    _report_causes(world, machine, wanted, todo)
    _note_links(world, wanted, todo)
    _apply(world, machine, todo, wanted, track)
    observed = _observe(world, machine, wanted)
    files = observed.files
    arrived = {name: plain(files[name].content) for name in wanted if name in files}
    left = [name for name in wanted if plain(wanted[name]) != arrived.get(name, plain(""))]
    left += [name for name in todo.delete if _kind(files, name) not in ("", "d")]
    if left:
        raise LabError(
            f"files are not what was sent: {', '.join(map(shown, left))}",
            where=machine,
            next_step="run it again; if it stays, find out what writes to the mounted folder",
        )
    record = _record(observed, wanted)
    write_manifest(world.link(machine).shell, world.lab, machine, record)
    world.facts.uploads.files[machine] = observed
    counts = {"sent": _count(todo.send, wanted), "deleted": len(todo.delete)}
    parts = [f"{count} {word}" for word, count in counts.items() if count]
    track.detail(", ".join(parts) or "recorded")


def shown(name: str) -> str:
    """Return a path for a message, whatever bytes it has."""
    return name.removeprefix("files/").encode(errors="backslashreplace").decode()


def _count(names: Iterable[str], wanted: Mapping[str, str]) -> int:
    return sum(not is_folder(wanted[name]) for name in names)


def _observe(world: World, machine: str, names: Iterable[str]) -> MachineFiles:
    return observe_files(world.link(machine).shell, world.lab, machine, wanted=names)


def _record(observed: MachineFiles, wanted: Mapping[str, str]) -> dict[str, Placed]:
    """Return the manifest's entries of what was sent, which then needs no hashing the next time. A
    folder's entry only says that hashlab made it, and its mode.
    """
    return {
        name: Placed("" if is_folder(content) else observed.files[name].identity, content)
        for name, content in wanted.items()
        if name in observed.files
    }


def _report_causes(world: World, machine: str, wanted: Mapping[str, str], todo: Difference) -> None:
    """Add edited files (those that no artifact made) to the causes of this run."""
    root = upload_root(world.lab)
    made = [artifact.output for artifact in world.lab.artifacts]
    names = [name for name in (*todo.send, *todo.delete) if name.startswith("files/")]
    paths = [
        root / name.removeprefix("files/")
        for name in names
        if name not in wanted or not is_folder(wanted[name])
    ]
    edited = [
        shown(path.relative_to(world.lab.folder).as_posix())
        for path in paths
        if path.is_relative_to(world.lab.folder)
        and not any(path.is_relative_to(output) for output in made)
    ]
    if edited:
        world.because(Cause(f"files of {machine}", tuple(edited)))


def _note_links(world: World, wanted: Mapping[str, str], todo: Difference) -> None:
    """Note links that were just sent and lead out of their mount."""
    out = [name for name in todo.send if leads_out(world, name, wanted[name])]
    if out:
        more = f" and {len(out) - SHOWN_LINKS} more" if len(out) > SHOWN_LINKS else ""
        names = [shown(name) for name in out[:SHOWN_LINKS]]
        world.note(
            f"links that lead out of their mount lead to the container's own files, as under "
            f"Docker: {', '.join(names)}{more}"
        )


def leads_out(world: World, name: str, content: str) -> bool:
    """Return whether this is a link to outside of every mount that shows it."""
    if not content.startswith(LINK):
        return False
    path = upload_root(world.lab) / name.removeprefix("files/")
    target = Path(os.path.normpath(path.parent / content.removeprefix(LINK)))
    sources = [bind.source for service in world.lab.services for bind in service.binds]
    mounts = [source for source in sources if path.is_relative_to(source)]
    return content.startswith(f"{LINK}/") or not any(map(target.is_relative_to, mounts))


def _apply(
    world: World, machine: str, todo: Difference, wanted: Mapping[str, str], track: Track
) -> None:
    """Send a few small files over the open connection. For more, rsync's own connection pays: it
    sends only what differs inside a file.
    """
    sources = _sources(world, machine, todo.send)
    paths = {name: source for name, source in sources.items() if isinstance(source, Path)}
    files = [name for name in todo.send if mode_of(wanted[name]) and not is_folder(wanted[name])]
    large = [name for name in files if name.startswith("files/")]
    sizes = {name: _size(paths[name]) for name in large}
    if len(large) > FEW or sum(sizes.values()) > SMALL:
        _place(world, machine, "empty")
        try:
            track.sent(_rsync(world, machine, large, track))
        finally:
            for name in large:
                _check_unchanged(world, paths[name], wanted[name])
    else:
        large = []
    archive = packed(todo, wanted, sources, left_out=large)
    _place(world, machine, "rest" if large else "all", archive)
    track.sent(len(archive))


def _sources(world: World, machine: str, names: Iterable[str]) -> dict[str, Path | Content]:
    """Return what is behind paths on a machine: mostly files of the laptop."""
    services, root = world.services_on(machine), upload_root(world.lab)
    named: dict[str, Path | Content] = {
        file_name(mount): mount.source for s in services for mount in s.files
    }
    named |= {bind_name(world.lab, bind.source): bind.source for s in services for bind in s.binds}
    return {
        name: _resolved(named[name]) if name in named else root / name.removeprefix("files/")
        for name in names
    }


def _resolved(source: Path | Content) -> Path | Content:
    """Follow a link that the Compose file names."""
    return source.resolve() if isinstance(source, Path) else source


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise _changed(path) from error


def _check_unchanged(world: World, path: Path, content: str) -> None:
    try:
        unchanged = content.startswith(f"{world.digests.file(path)}:")
    except OSError as error:
        raise _changed(path) from error
    if not unchanged:
        raise _changed(path)


def _changed(path: Path) -> FilesChanged:
    return FilesChanged(
        f"{shown(str(path))} changed while it was uploaded",
        next_step="run it again when nothing writes to it any more",
    )


def _place(world: World, machine: str, how: str, archive: bytes = b"") -> None:
    argv = ["sudo", "sh", "-c", PLACE, "sh", home(world.lab), WALK, how]
    done = world.link(machine).shell.run(argv, stdin=archive)
    if done.code != 0:
        raise LabError("cannot write to the machine", where=machine, output=done.stderr)


def _rsync(world: World, machine: str, names: Sequence[str], track: Track) -> int:
    """Send files by rsync to the folder in which PLACE expects the files of an archive."""
    top = home(world.lab)
    return world.connector.copy(
        machine,
        world.facts.machines.endpoints[machine].ssh,
        root=upload_root(world.lab),
        files=[name.removeprefix("files/") for name in names],
        target=f"{top}/scratch/new/files",
        like=f"{top}/files",
        scratch=f"{top}/scratch",
        track=track,
    )


def packed(
    todo: Difference,
    wanted: Mapping[str, str],
    sources: Mapping[str, Path | Content],
    *,
    left_out: Iterable[str] = (),
) -> bytes:
    """Return the archive for PLACE: lists of what to do, and below ``new`` the new entries except
    ``left_out``. It keeps times, which some programs compare (the JVM does). Its last entry ``end``
    proves that it is complete: tar accepts an archive that ends early between two files.
    """
    missing, send = set(left_out), sorted(todo.send)
    folders = {name for name in send if is_folder(wanted[name])}
    # The entries of a new folder are placed with it.
    units = [name for name in send if not folders.intersection(_parents(name))]
    lists = {
        "remove": sorted((*todo.delete, *todo.clear), key=by_folder),
        "empty": todo.empty,
        "place": sorted(units, key=by_folder),
        "mode": [f"{mode_of(wanted[name])}:{name}" for name in todo.modes],
    }
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, entries in lists.items():
            if entries:
                add(archive, name, nul(entries))
        add(archive, "new", None, mode=0o755)
        for name in send:
            if name not in missing:
                add_entry(archive, f"new/{name}", wanted[name], sources[name])
        add(archive, "end", b"")
        # Without filling up a record of 10 KB one small file stays small.
        return buffer.getvalue() + bytes(2 * tarfile.BLOCKSIZE)


def _parents(name: str) -> list[str]:
    parts = name.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


def add_entry(archive: tarfile.TarFile, name: str, content: str, source: Path | Content) -> None:
    """Add an entry of the laptop, as it was described. Raises FilesChanged if it changed since."""
    if content.startswith(LINK):
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname = tarfile.SYMTYPE, content.removeprefix(LINK)
        archive.addfile(entry)
        return
    mode = int(mode_of(content) or "0", 8)
    if is_folder(content):
        add(archive, name, None, mode=mode)
        return
    if isinstance(source, Content):
        add(archive, name, source.data, mode=mode)
        return
    try:
        with open_regular(source, follow=False) as stream:
            mtime = int(os.fstat(stream.fileno()).st_mtime)
            data = stream.read()
    except OSError as error:
        raise _changed(source) from error
    if not content.startswith(f"{hashlib.sha256(data).hexdigest()}:"):
        raise _changed(source)
    add(archive, name, data, mode=mode, mtime=mtime)


def add(
    archive: tarfile.TarFile,
    name: str,
    content: bytes | None,
    *,
    mode: int = 0o644,
    mtime: int = 0,
) -> None:
    """Add a file, or a folder if ``content`` is None."""
    entry = tarfile.TarInfo(name)
    entry.mode, entry.mtime = mode, mtime
    if content is None:
        entry.type = tarfile.DIRTYPE
    entry.size = len(content or b"")
    archive.addfile(entry, io.BytesIO(content or b""))
