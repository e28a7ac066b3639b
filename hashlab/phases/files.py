"""Part ``upload`` of phase ``containers``: files, secrets and configs on a machine, by content."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from hashlab.config.model import FileMount
from hashlab.errors import LabError
from hashlab.phases.snapshot import home, secret_path, upload_root
from hashlab.phases.world import World
from hashlab.pipeline import Track

# Up to this many files and bytes, opening another connection costs more than it saves.
FEW = 16
SMALL = 1 << 20

OBSERVE = """
cd "$1" 2> /dev/null || exit 0
for part in files secrets; do
    if [ -d "$part" ]; then find "$part" -type f -print0 | xargs -0 -r sha256sum -z; fi
done
printf 'manifest\\0'
if [ -f manifest ]; then cat manifest; fi
"""
PREPARE = """
rm -rf "$1/scratch" && mkdir -p "$1/files" "$1/scratch" || exit 1
install -d -m 0700 "$1/secrets" && cd "$1/files" || exit 1
xargs -0 -r mkdir -p
"""
DELETE = """
cd "$1/files" || exit 1
xargs -0 -r rm -f --
"""
PUT = """
umask 022
mkdir -p "$(dirname "$1")" && umask 077 && cat > "$3/put.$$" || exit 1
if [ -d "$1" ]; then rm -r "$1"; fi
chmod "$2" "$3/put.$$" && mv "$3/put.$$" "$1"
"""


@dataclass(frozen=True)
class MachineFiles:
    """What lies on a machine: content hashes by name; ``manifest`` is what hashlab put there."""

    files: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    manifest: frozenset[str] = frozenset()


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


def observe_files(world: World, machine: str) -> MachineFiles:
    """Ask a machine in one round trip what it has."""
    done = world.link(machine).shell.run(["sh", "-c", OBSERVE, "sh", home(world.lab)])
    if done.code != 0:
        raise LabError("cannot list the files of the machine", where=machine, output=done.stderr)
    return _parse(done.stdout)


def _parse(listing: str) -> MachineFiles:
    entries = iter(listing.split("\0"))
    found: dict[str, dict[str, str]] = {"files": {}, "secrets": {}}
    for entry in entries:
        if entry in ("manifest", ""):
            break
        content, _, path = entry.partition("  ")
        part, _, name = path.partition("/")
        found[part][name] = content
    return MachineFiles(found["files"], found["secrets"], frozenset(filter(None, entries)))


def difference(
    wanted: Mapping[str, str],
    secrets: Mapping[str, tuple[FileMount, str]],
    there: MachineFiles,
) -> Difference:
    """Decide: send what differs; delete only what hashlab itself once put there."""
    gone = (there.manifest & set(there.files)) - set(wanted)
    return Difference(
        send=tuple(name for name, content in wanted.items() if there.files.get(name) != content),
        delete=tuple(sorted(gone)),
        secrets=tuple(
            mount
            for name, (mount, content) in secrets.items()
            if there.secrets.get(name) != content
        ),
    )


def upload(world: World, track: Track, machine: str) -> None:
    """Promise: every file, secret and config that services of the machine mount is there, whole."""
    services = world.services_on(machine)
    snapshot = world.snapshot()
    wanted = snapshot.of(services)
    secrets = {m.name: (m, snapshot.files[m]) for s in services for m in s.files}
    there = observe_files(world, machine)
    todo = difference(wanted, secrets, there)
    if todo.empty and there.manifest == set(wanted):
        track.skip(f"{len(wanted) + len(secrets)} files unchanged")
        return
    _apply(world, machine, todo, wanted, track)
    parts = [f"{len(todo.send) + len(todo.secrets)} sent", f"{len(todo.delete)} deleted"]
    track.detail(", ".join(part for part in parts if not part.startswith("0 ")) or "recorded")


def _apply(
    world: World, machine: str, todo: Difference, wanted: Mapping[str, str], track: Track
) -> None:
    world.about_to_change()
    lab, target = world.lab, home(world.lab)
    folders = [
        bind.source.relative_to(upload_root(lab)).as_posix()
        for service in world.services_on(machine)
        for bind in service.binds
        if bind.source.is_dir()
    ]
    _checked(world, machine, PREPARE, [target], stdin=_nul(folders))
    if todo.delete:  # first, for a folder may take the place of a file
        _checked(world, machine, DELETE, [target], stdin=_nul(todo.delete))
    if todo.send:
        _send(world, machine, todo.send, track)
    for mount in todo.secrets:
        path = secret_path(lab, mount.name)
        _put(world, machine, path, mount.source.read_bytes(), mode=mount.mode, track=track)
    _put(world, machine, f"{target}/manifest", _nul(wanted), mode=0o644, track=track)


def _send(world: World, machine: str, names: Sequence[str], track: Track) -> None:
    """A few small files go over the connection that is open; for more, rsync's own connection
    pays, which sends only what differs inside a file.
    """
    root, target = upload_root(world.lab), f"{home(world.lab)}/files"
    paths = [root / name for name in names]
    if len(names) <= FEW and sum(path.stat().st_size for path in paths) <= SMALL:
        for name, path in zip(names, paths, strict=True):
            mode = 0o755 if path.stat().st_mode & 0o100 else 0o644
            _put(world, machine, f"{target}/{name}", path.read_bytes(), mode=mode, track=track)
        return
    track.sent(
        world.connector.copy(
            machine,
            world.facts.reach[machine].endpoint,
            root=root,
            files=names,
            target=target,
            scratch=f"{home(world.lab)}/scratch",
            track=track,
        )
    )


def _put(world: World, machine: str, path: str, content: bytes, *, mode: int, track: Track) -> None:
    """Write one file in one step: a reader sees the old one or the new one."""
    words = [path, f"{mode:o}", f"{home(world.lab)}/scratch"]
    _checked(world, machine, PUT, words, stdin=content)
    track.sent(len(content))


def _checked(world: World, machine: str, script: str, words: list[str], *, stdin: bytes) -> None:
    done = world.link(machine).shell.run(["sh", "-c", script, "sh", *words], stdin=stdin)
    if done.code != 0:
        raise LabError("cannot write to the machine", where=machine, output=done.stderr)


def _nul(names: Iterable[str]) -> bytes:
    return "".join(f"{name}\0" for name in names).encode()
