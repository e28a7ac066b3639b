"""Part ``upload`` of phase ``containers``: files, secrets and configs on a machine, by content."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hashlab.config.model import FileMount
from hashlab.errors import LabError
from hashlab.phases.laptopfiles import home, upload_root
from hashlab.phases.machinefiles import MachineFiles, Placed, nul, observe_files, write_manifest
from hashlab.phases.world import Cause, World
from hashlab.pipeline import Track

# Up to this many files and bytes, opening another connection costs more than it saves.
FEW = 64
SMALL = 4 << 20
# From this size on, a file that lies there twice is sent once and copied on the machine.
LARGE = 1 << 20

# Takes an archive from its input. All of it is on the machine before the first file is replaced,
# and each is replaced in one step: a reader sees the old one or the new one.
APPLY = """
umask 022
rm -rf "$1/scratch" && mkdir -p "$1/files" && install -d -m 0700 "$1/secrets" "$1/scratch" || exit 1
cd "$1/scratch" && tar -x -p -f - || exit 1
[ -f end ] || { echo "the archive is not whole" >&2; exit 1; }
cd "$1/files" || exit 1
xargs -0 -r rm -f -- < ../scratch/delete || exit 1
xargs -0 -r mkdir -p -- < ../scratch/folders || exit 1
cd ../scratch/new || exit 1
find . -type f -exec sh -c '
    for name; do
        target="../../$name"
        if [ -d "$target" ]; then rm -r -- "$target" || exit 1; fi
        mkdir -p -- "${target%/*}" && mv -f -- "$name" "$target" || exit 1
    done' sh {} +
"""


# Reads pairs of a file and the name that shall have a copy of it.
COPY = """
cd "$1/files" || exit 1
xargs -0 -r -n 2 sh -c '
    target="./$2"
    if [ -d "$target" ]; then rm -r -- "$target" || exit 1; fi
    mkdir -p -- "${target%/*}" && cp -p -- "./$1" ../scratch/copy &&
        mv -f -- ../scratch/copy "$target"' sh
"""


@dataclass(frozen=True)
class Difference:
    """What must travel to, or leave, a machine."""

    send: tuple[str, ...]
    delete: tuple[str, ...]
    secrets: tuple[FileMount, ...]

    @property
    def empty(self) -> bool:
        """Whether the machine has it all."""
        return not (self.send or self.delete or self.secrets)


def difference(
    wanted: Mapping[str, str],
    secrets: Mapping[str, tuple[FileMount, str]],
    there: MachineFiles,
) -> Difference:
    """Decide: send what differs; delete only what hashlab itself once put there. Pure."""
    gone = (there.own & set(there.files)) - set(wanted)

    def differs(mount: FileMount, content: str) -> bool:
        placed = there.secrets.get(mount.name)
        return placed is None or placed.mode != mount.mode or _plain(placed.content) != content

    return Difference(
        send=tuple(
            name
            for name, content in wanted.items()
            if name not in there.files or there.files[name].content != content
        ),
        delete=tuple(sorted(gone)),
        secrets=tuple(mount for mount, content in secrets.values() if differs(mount, content)),
    )


def _plain(content: str) -> str:
    return content.removesuffix("+x")


def upload(world: World, track: Track, machine: str) -> None:
    """Promise: every file, secret and config that services of the machine mount is there, whole."""
    services = world.services_on(machine)
    laptop = world.laptop_files()
    wanted = laptop.of(services)
    secrets = {m.name: (m, laptop.file(m)) for s in services for m in s.files}
    names = world.names_on(machine)
    # What is empty comes with no file, so the manifest alone tells whether it was made.
    binds = [bind for service in services for bind in service.binds]
    empty = [b.source for b in binds if b.source.is_dir() and not laptop.bind(b)]
    there = world.facts.files.get(machine) or _observe(world, machine, names)
    todo = difference(wanted, secrets, there)
    if todo.empty and there.manifest == _record(world, there, names, empty):
        world.facts.files[machine] = there
        track.skip(f"{len(names)} files unchanged")
        return
    world.about_to_change()
    _tell_causes(world, machine, (*todo.send, *todo.delete))
    _apply(world, machine, todo, wanted, track)
    there = _observe(world, machine, names)
    left = difference(wanted, secrets, there)
    if not left.empty:
        what = ", ".join([*left.send, *left.delete, *(mount.name for mount in left.secrets)])
        raise LabError(
            f"files are not what was sent: {what}",
            where=machine,
            next_step="run it again; if it stays, look who writes to the folder that is mounted",
        )
    record = _record(world, there, names, empty)
    write_manifest(world.link(machine).shell, world.lab, machine, record)
    world.facts.files[machine] = there
    parts = [f"{len(todo.send) + len(todo.secrets)} sent", f"{len(todo.delete)} deleted"]
    track.detail(", ".join(part for part in parts if not part.startswith("0 ")) or "recorded")


def _observe(world: World, machine: str, names: Collection[str]) -> MachineFiles:
    return observe_files(world.link(machine).shell, world.lab, machine, wanted=names)


def _record(
    world: World, there: MachineFiles, names: Collection[str], empty: Iterable[Path]
) -> dict[str, Placed]:
    """What the manifest says of files that lie there and folders that were made, so that nothing
    needs hashing or making the next time.
    """
    root, placed = upload_root(world.lab), there.all
    folders = {f"folders/{path.relative_to(root).as_posix()}": Placed("") for path in empty}
    return {**{name: placed[name] for name in sorted(names)}, **folders}


def _tell_causes(world: World, machine: str, names: Sequence[str]) -> None:
    """Files that no artifact made were edited by somebody: that is why this run has work."""
    root = upload_root(world.lab)
    made = [artifact.output for artifact in world.lab.artifacts]
    edited = [
        path.relative_to(world.lab.folder).as_posix()
        for path in (root / name for name in names)
        if path.is_relative_to(world.lab.folder)
        and not any(path.is_relative_to(output) for output in made)
    ]
    if edited:
        world.because(Cause(f"files of {machine}", tuple(edited)))


def _apply(
    world: World, machine: str, todo: Difference, wanted: Mapping[str, str], track: Track
) -> None:
    """A few small files go over the connection that is open; for more, rsync's own connection
    pays, which sends only what differs inside a file.
    """
    root = upload_root(world.lab)
    size = sum((root / name).stat().st_size for name in todo.send)
    by_rsync = len(todo.send) > FEW or size > SMALL
    folders = [
        bind.source.relative_to(root).as_posix()
        for service in world.services_on(machine)
        for bind in service.binds
        if bind.source.is_dir()
    ]
    archive = packed(todo, root, folders, send=() if by_rsync else todo.send)
    _write(world, machine, APPLY, archive)
    track.sent(len(archive))
    if by_rsync:
        copies = copies_in(todo.send, wanted, root)
        once = [name for name in todo.send if name not in copies]
        track.sent(_rsync(world, machine, root, once, track))
        if copies:
            pairs = [name for copy, first in copies.items() for name in (first, copy)]
            _write(world, machine, COPY, nul(pairs))


def _write(world: World, machine: str, script: str, stdin: bytes) -> None:
    shell = world.link(machine).shell
    done = shell.run(["sh", "-c", script, "sh", home(world.lab)], stdin=stdin)
    if done.code != 0:
        raise LabError("cannot write to the machine", where=machine, output=done.stderr)


def copies_in(send: Iterable[str], wanted: Mapping[str, str], root: Path) -> dict[str, str]:
    """Large files that are the same as one before them, with that one's name. ``wanted``: what
    makes files the same, content and execute mark; their times must be, too.
    """
    first: dict[tuple[str, int], str] = {}
    copies: dict[str, str] = {}
    for name in send:
        stat = (root / name).stat()
        if stat.st_size < LARGE:
            continue
        known = first.setdefault((wanted[name], stat.st_mtime_ns), name)
        if known != name:
            copies[name] = known
    return copies


def _rsync(world: World, machine: str, root: Path, names: Sequence[str], track: Track) -> int:
    return world.connector.copy(
        machine,
        world.facts.reach[machine].endpoint,
        root=root,
        files=names,
        target=f"{home(world.lab)}/files",
        scratch=f"{home(world.lab)}/scratch",
        track=track,
    )


def packed(todo: Difference, root: Path, folders: Iterable[str], send: Iterable[str]) -> bytes:
    """The archive for APPLY: lists of what to delete and which folders to make, and below ``new``
    what takes its place. Times travel too, for some programs compare them (the JVM does). ``end``
    tells that it is whole: tar is content with an archive that was cut off between two files.
    """
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        _add(archive, "delete", nul(todo.delete))
        _add(archive, "folders", nul(folders))
        _add(archive, "new", None, mode=0o755)
        for name in send:
            path = root / name
            mode = 0o755 if path.stat().st_mode & 0o100 else 0o644
            mtime = int(path.stat().st_mtime)
            _add(archive, f"new/files/{name}", path.read_bytes(), mode=mode, mtime=mtime)
        for mount in todo.secrets:
            _add(archive, f"new/secrets/{mount.name}", mount.source.read_bytes(), mode=mount.mode)
        _add(archive, "end", b"")
        # Without filling up a record of 10 KB one small file stays small.
        return buffer.getvalue() + bytes(2 * tarfile.BLOCKSIZE)


def _add(
    archive: tarfile.TarFile,
    name: str,
    content: bytes | None,
    *,
    mode: int = 0o644,
    mtime: int = 0,
) -> None:
    """Add a file; a folder where ``content`` is None."""
    entry = tarfile.TarInfo(name)
    entry.mode, entry.mtime = mode, mtime
    if content is None:
        entry.type = tarfile.DIRTYPE
    entry.size = len(content or b"")
    archive.addfile(entry, io.BytesIO(content or b""))
