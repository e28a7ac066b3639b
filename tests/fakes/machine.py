"""A machine in memory: files, an engine, and the answers to exactly the scripts that hashlab
runs.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path, PurePosixPath
from typing import IO, Any, Literal, cast

from fakes.engine import Cluster, Container, FakeEngine
from fakes.faults import Faults
from fakes.front import FakeFront
from hashlab.errors import LabError
from hashlab.phases import programs
from hashlab.phases.containers.sandbox import SANDBOX_LABEL
from hashlab.phases.halt import END
from hashlab.phases.kept_data import ARCHIVE
from hashlab.phases.upload import inside, machine
from hashlab.pipeline import Track
from hashlab.protocols import Completed, Endpoint

TAR = ["sudo", "tar"]
VOLUMES = "/var/lib/docker/volumes"


INODES = itertools.count(1)


@dataclass
class File:
    """A file. Replacing it makes a new one, as a rename does."""

    content: bytes
    mode: int = 0o644
    inode: int = field(default_factory=INODES.__next__)

    @property
    def identity(self) -> str:
        """Return the identity as `find` prints it: different after every change."""
        changed = zlib.crc32(self.content)
        return f"f:1:{self.inode}:{len(self.content)}:{changed}.0:{changed}.0:{self.mode:o}"

    @property
    def digest(self) -> str:
        """Return the hash as `sha256sum` prints it."""
        return hashlib.sha256(self.content).hexdigest()


@dataclass
class Folder:
    """A folder. One that is removed and created again is a different one."""

    mode: int = 0o755
    inode: int = field(default_factory=INODES.__next__)

    @property
    def identity(self) -> str:
        return f"d:1:{self.inode}:4096:0.0:0.0:{self.mode:o}"


@dataclass
class Symlink:
    """A link, given by its target."""

    target: str
    inode: int = field(default_factory=INODES.__next__)

    @property
    def identity(self) -> str:
        return f"l:1:{self.inode}:{len(self.target)}:0.0:0.0:777"


class Disk:
    """Files, folders and links by absolute path."""

    def __init__(self) -> None:
        self.files: dict[str, File] = {}
        self.folders: dict[str, Folder] = {"/": Folder()}
        self.links: dict[str, Symlink] = {}

    def make_folder(self, path: str, mode: int = 0o755) -> None:
        """`mkdir -p`."""
        if path not in self.folders:
            for folder in PurePosixPath(path).parents:
                self._make(str(folder), 0o755)
            self._make(path, mode)

    def _make(self, path: str, mode: int) -> None:
        if path in self.files or path in self.links:
            raise NotADirectoryError(path)
        self.folders.setdefault(path, Folder(mode))

    def put(self, path: str, content: bytes, mode: int = 0o644) -> None:
        """Replace a file or a link by a file. Its folder must exist."""
        self._check(path)
        self.links.pop(path, None)
        self.files[path] = File(content, mode)

    def link(self, path: str, target: str) -> None:
        """Replace a file or a link by a link. Its folder must exist."""
        self._check(path)
        self.files.pop(path, None)
        self.links[path] = Symlink(target)

    def _check(self, path: str) -> None:
        if str(PurePosixPath(path).parent) not in self.folders:
            raise FileNotFoundError(path)
        if path in self.folders:
            raise IsADirectoryError(path)

    def delete(self, path: str) -> None:
        """`rm -f`."""
        self.files.pop(path, None)
        self.links.pop(path, None)

    def delete_empty(self, path: str) -> None:
        """`rmdir` of an empty folder."""
        if not self.entries(path):
            self.folders.pop(path, None)

    def delete_tree(self, path: str) -> None:
        """`rm -rf`."""
        for kind in (self.files, self.folders, self.links):
            for name in [name for name in kind if name == path or name.startswith(f"{path}/")]:
                del kind[name]

    def copy(self, source: str, target: str) -> None:
        """`cp -al`."""
        for kind in (self.files, self.folders, self.links):
            entries = cast("dict[str, Any]", kind)
            for name in [n for n in entries if n == source or n.startswith(f"{source}/")]:
                entries[target + name[len(source) :]] = entries[name]

    def move(self, source: str, target: str) -> None:
        """`mv` over an existing entry, but not of a folder over a file."""
        if source in self.folders and (target in self.files or target in self.links):
            raise NotADirectoryError(target)
        self.delete_tree(target)
        _move(self.files, source, target)
        _move(self.folders, source, target)
        _move(self.links, source, target)

    def below(self, folder: str) -> dict[str, File]:
        """Return every file below a folder, by its path relative to it."""
        start = f"{folder}/"
        return {p[len(start) :]: f for p, f in sorted(self.files.items()) if p.startswith(start)}

    def entries(self, folder: str) -> dict[str, File | Folder | Symlink]:
        """Return everything below a folder, by its path relative to it."""
        start = f"{folder}/"
        every: dict[str, File | Folder | Symlink] = {**self.files, **self.folders, **self.links}
        return {
            path[len(start) :]: entry
            for path, entry in sorted(every.items())
            if path.startswith(start)
        }

    def read(self, path: str) -> File | Folder | None:
        """Return a file or a folder as it is now."""
        return self.files.get(path) or self.folders.get(path)

    def exists(self, path: str) -> bool:
        """Return whether a file or a folder exists."""
        return path in self.files or path in self.folders


def _move(entries: dict[str, Any], source: str, target: str) -> None:
    for name in [n for n in entries if n == source or n.startswith(f"{source}/")]:
        entries[target + name[len(source) :]] = entries.pop(name)


@dataclass
class FakeMachine:
    """A machine as its provider and its sshd see it."""

    name: str
    address: IPv4Address
    faults: Faults = field(default_factory=Faults)
    clusters: dict[str, Cluster] = field(default_factory=dict)
    port: int = 2200
    forwarded: dict[int, int] = field(default_factory=dict)
    recipe: str = ""
    state: Literal["running", "stopped", "paused"] = "running"
    engine_stopped: bool = False
    engine_hangs: bool = False
    host_key: str = ""
    authorized_key: str = ""
    clobbered: set[str] = field(default_factory=set)
    inside: dict[tuple[str, str], bytes] = field(default_factory=dict)
    data: dict[str, str] = field(default_factory=dict)
    archives: list[bytes] = field(default_factory=list)
    # "attached" or "listening", by container and port.
    debuggers: dict[tuple[str, int], str] = field(default_factory=dict)
    has_ipvs: bool = True
    # Ports on which containers listen for others, by name.
    listening: dict[str, list[int]] = field(default_factory=dict)
    # What programs/connections.sh prints behind the id of a process, by container.
    connections: dict[str, list[str]] = field(default_factory=dict)
    # Holder and time by service.
    intercepts: dict[str, str] = field(default_factory=dict)
    front: FakeFront = field(default_factory=FakeFront)

    def __post_init__(self) -> None:
        self.host_key = self.host_key or f"ssh-ed25519 HOSTKEY{self.name}"
        self.disk = Disk()
        self.disk.make_folder("/var/lib/hashlab")
        self.engine = FakeEngine(
            self.name,
            faults=self.faults,
            clusters=self.clusters,
            path_exists=self.disk.exists,
            read=self.disk.read,
        )

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint("127.0.0.1", self.port, "core")

    def mounted(self, container: Container, target: str) -> File | Folder | None:
        """Return the content of a mount as a container's process sees it: as it was when the
        container started, unless ``inside`` says otherwise.
        """
        other = self.inside.get((container.name, target))
        if other is not None:
            return File(other)
        opened = container.binds.get(target)
        return opened if isinstance(opened, File | Folder) else None


class FakeShell:
    """protocols.Shell on a FakeMachine; refuses every unknown command."""

    def __init__(self, machine: FakeMachine) -> None:
        self.machine = machine
        self.closed = False
        self._scripts: Mapping[str, Callable[[list[str], bytes], Completed]] = {
            programs.OBSERVE: self._observe,
            programs.HASH: self._hash,
            programs.RECORD: self._record,
            programs.PLACE: self._place,
            programs.READ_SECRET: self._read_secret,
            programs.READ_INSIDE: self._read_inside,
            programs.READ_COPIES: self._read_copies,
            inside.READ_ALL: self._read_all,
            programs.HASH_INSIDE: self._hash_inside,
            programs.FREE_GOSSIP_PORT: self._free_gossip_port,
            programs.ASK_NAMES: self._ask_names,
            programs.DEBUGGERS: self._debuggers,
            programs.HAS_IPVS: self._has_ipvs,
            programs.LISTENERS: self._listeners,
            programs.CONNECTIONS: self._connections,
            programs.RENEW: self._renew,
            programs.LAST_LINES: self._last_lines,
            programs.FRONT: self._front,
            programs.KEEP_FILES: self._keep_files,
        }

    def _last_lines(self, words: list[str], _: bytes) -> Completed:
        """The journal: the last line of each container that has a log, whatever the time."""
        names, times = words[::2], words[1::2]
        assert all(float(each) > 0 for each in times), "a container that has not ended"
        shown = [
            json.dumps({"CONTAINER_NAME": name, "MESSAGE": log.splitlines()[-1]})
            for name in names
            if (log := self.machine.engine.logs(name))
        ]
        return Completed(0, "".join(f"{line}\n" for line in shown), "")

    def run(self, command: Sequence[str], *, stdin: bytes = b"", timeout: float = 30) -> Completed:
        words = list(command)
        if tuple(words) in END:
            with self.machine.faults.call("shell.end", self.machine.name, changes=True):
                self._open()
                self.machine.engine_stopped = True
                return Completed(0, "", "")
        name = self._name(words)
        with self.machine.faults.call(
            f"shell.{name}", self.machine.name, *words, changes=name in ("place", "record")
        ):
            self._open()
            script = words[words.index("-c") + 1]
            return self._scripts[script](words[words.index("-c") + 3 :], stdin)

    def save(self, command: Sequence[str], target: IO[bytes], *, track: Track) -> int:
        """`tar` of volumes' data. It must be consistent, so no container may be writing to it."""
        with self.machine.faults.call("shell.save", self.machine.name, *command):
            self._open()
            *words, dash, first = command[: command.index("--") + 2]
            assert words == [*TAR, "--create", *ARCHIVE, "--directory", VOLUMES]
            assert dash == "--", first
            running = [c for c in self.machine.engine.all.values() if c.state == "running"]
            # A sandbox writes nothing.
            busy = [c.name for c in running if SANDBOX_LABEL not in c.labels]
            assert not busy, f"data are copied while {busy} run"
            folders = command[command.index("--") + 1 :]
            held = {folder: self.machine.data.get(folder.split("/")[0], "") for folder in folders}
            return target.write(json.dumps(held).encode())

    def feed(self, command: Sequence[str], source: IO[bytes], *, track: Track) -> int:
        """`tar` into existing volumes."""
        with self.machine.faults.call("shell.feed", self.machine.name, *command, changes=True):
            self._open()
            assert list(command) == [*TAR, "--extract", *ARCHIVE, "--directory", VOLUMES]
            content = source.read()
            for folder, text in json.loads(content).items():
                name = folder.removesuffix("/_data")
                assert name in self.machine.engine.volume_labels, f"there is no volume {name}"
                self.machine.data[name] = text
            return len(content)

    @contextmanager
    def serve(self, path: Path, command: Sequence[str]) -> Iterator[None]:
        """Nothing listens at the socket; the command must enter the network of a process."""
        with self.machine.faults.call("shell.serve", self.machine.name, *command):
            self._open()
            assert list(command[:3]) == ["sudo", "nsenter", "--target"]
            assert int(command[3]) in self._by_pid(), "the process does not run"
            path.touch()
        yield
        path.unlink()

    def _open(self) -> None:
        if self.machine.state != "running" or self.closed:
            raise LabError("the connection failed", where=self.machine.name)

    def close(self) -> None:
        self.closed = True

    def _name(self, words: list[str]) -> str:
        plain = words[1:] if words[:1] == ["sudo"] else words
        if plain[:1] == ["xargs"]:
            plain = plain[plain.index("sh") :]
        if plain[:2] == ["sh", "-c"] and plain[3:4] == ["sh"] and plain[2] in self._scripts:
            if plain[2] == inside.READ_ALL:
                return "read_inside" if plain[5:] else "observe"
            return self._scripts[plain[2]].__name__.strip("_")
        raise AssertionError(f"the fake shell was not prepared for {words}")

    def _read_secret(self, words: list[str], stdin: bytes) -> Completed:
        home, name = words
        disk = self.machine.disk
        found = [*disk.below(f"{home}/secrets/secret/{name}").values()]
        found += [file for file in [disk.files.get(f"{home}/secrets/{name}")] if file]
        content = next((file.content for file in found if file.content), None)
        output = (content or b"").decode(errors="surrogateescape")
        return Completed(0 if output else 1, output, "")

    def _observe(self, words: list[str], stdin: bytes) -> Completed:
        home, disk = words[0], self.machine.disk
        listing = ""
        for name, entry in disk.entries(home).items():
            if name.split("/")[0] in ("files", "secrets"):
                target = entry.target if isinstance(entry, Symlink) else ""
                listing += f"{entry.identity}\0{name}\0={target}\0"
        for name in ("manifest", "processes"):
            record = disk.files.get(f"{home}/{name}")
            listing += machine.BETWEEN + (record.content.decode() if record else "")
        listing += machine.BETWEEN
        for service, holder in self.machine.intercepts.items():
            listing += f"/run/hashlab/intercepts/lab/{service}:{holder}\n"
        return Completed(0, listing + machine.BETWEEN, "")

    def _hash(self, words: list[str], stdin: bytes) -> Completed:
        home, disk = words[0], self.machine.disk
        assert words[1] == programs.WALK
        if home not in disk.folders:
            return Completed(1, "", f"cd: can't cd to {home}")
        listing = ""
        for name in _names(stdin):
            file = disk.files.get(f"{home}/{name}")
            if file:
                folder, _, last = name.rpartition("/")
                listing += f"/{folder}\0{file.digest}  ./{last}\0"
        return Completed(0, listing, "")

    def _record(self, words: list[str], stdin: bytes) -> Completed:
        home, name = words
        self.machine.disk.make_folder(home)
        self.machine.disk.put(f"{home}/{name}", stdin, 0o600)
        return Completed(0, "", "")

    def _place(self, words: list[str], stdin: bytes) -> Completed:
        (home, walk, how), disk = words, self.machine.disk
        assert walk == programs.WALK
        if how != "rest":
            disk.delete_tree(f"{home}/scratch")
            disk.make_folder(f"{home}/files")
            for folder in (f"{home}/secrets", f"{home}/scratch"):
                disk.make_folder(folder, 0o700)
        if how == "empty":
            disk.make_folder(f"{home}/scratch/new/files")
            return Completed(0, "", "")
        try:
            lists = self._unpack(f"{home}/scratch", stdin)
        except tarfile.ReadError as error:
            return Completed(1, "", f"tar: {error}")
        if lists is None:
            return Completed(1, "", "the archive is not whole")
        self.machine.archives.append(stdin)
        try:
            self._act(home, lists)
        except (NotADirectoryError, FileNotFoundError) as error:
            return Completed(1, "", f"a link or a file is in the way to {error}")
        disk.delete_tree(f"{home}/scratch/new")
        return Completed(0, "", "")

    def _unpack(self, scratch: str, archive: bytes) -> dict[str, list[str]] | None:
        """Unpack an archive below ``scratch``; return its lists, None if it is incomplete."""
        disk, lists = self.machine.disk, {}
        with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
            for entry in opened:
                path = f"{scratch}/{entry.name}"
                if entry.isdir():
                    disk.make_folder(path)
                    disk.folders[path].mode = entry.mode
                elif entry.issym():
                    disk.make_folder(str(PurePosixPath(path).parent))
                    disk.link(path, entry.linkname)
                elif "/" in entry.name:
                    disk.make_folder(str(PurePosixPath(path).parent))
                    disk.put(path, _content(opened, entry), entry.mode)
                else:
                    lists[entry.name] = _names(_content(opened, entry))
        return lists if "end" in lists else None

    def _act(self, home: str, lists: Mapping[str, list[str]]) -> None:
        disk, new = self.machine.disk, f"{home}/scratch/new"
        for name in lists.get("remove", []):
            disk.delete(f"{home}/{name}")
        for name in lists.get("empty", []):
            disk.delete_empty(f"{home}/{name}")
        for name in lists.get("place", []):
            disk.make_folder(str(PurePosixPath(f"{home}/{name}").parent))
            disk.move(f"{new}/{name}", f"{home}/{name}")
        for entry in lists.get("mode", []):
            mode, _, name = entry.partition(":")
            disk.folders[f"{home}/{name}"].mode = int(mode, 8)

    def _debuggers(self, words: list[str], stdin: bytes) -> Completed:
        by_pid = self._by_pid()
        states = [
            self.machine.debuggers.get((by_pid[int(pid)].name, int(port)), "nothing")
            for pid, port in zip(words[0::2], words[1::2], strict=True)
        ]
        return Completed(0, "".join(f"{state}\n" for state in states), "")

    def _has_ipvs(self, words: list[str], stdin: bytes) -> Completed:
        return Completed(0 if self.machine.has_ipvs else 1, "", "")

    def _listeners(self, words: list[str], stdin: bytes) -> Completed:
        by_pid = self._by_pid()
        lines = [
            f"{pid} {port:04X}\n"
            for pid in words
            for port in self.machine.listening.get(by_pid[int(pid)].name, ())
        ]
        return Completed(0, "".join(lines), "")

    def _connections(self, words: list[str], stdin: bytes) -> Completed:
        by_pid = self._by_pid()
        lines = [
            f"{pid} {line}\n"
            for pid in words
            for line in self.machine.connections.get(by_pid[int(pid)].name, ())
        ]
        return Completed(0, "".join(lines), "")

    def _renew(self, words: list[str], stdin: bytes) -> Completed:
        return Completed(0, "", "")

    def _read_inside(self, words: list[str], stdin: bytes) -> Completed:
        by_pid = self._by_pid()
        pairs = list(zip(words[0::2], words[1::2], strict=True))
        pids = list(dict.fromkeys(pid for pid, _ in pairs))
        builds = {pid: self._build(by_pid.get(int(pid))) for pid in pids}
        head = "".join(f"/proc/{pid}/environ\0{one}\0" for pid, one in builds.items() if one)
        mounts = "".join(
            f"/proc/{pid}/mountinfo\0{20 + number} 1 0:1 / {path} rw - fake none rw\n"
            for pid in pids
            for number, path in enumerate(self._mounts(by_pid.get(int(pid))))
        )
        places = entries = ""
        for pid, path in pairs:
            if path and int(pid) in by_pid:
                place = f"/proc/{pid}/root{path}"
                places += f"{pid}\0{path}\0{place}\0"
                seen = self.machine.mounted(by_pid[int(pid)], path)
                entries += f"{seen.identity}\0{place}\0" if seen else ""
        return Completed(0, f"{head}mounts\0{mounts}\0places\0{places}entries\0{entries}", "")

    def _read_copies(self, words: list[str], stdin: bytes) -> Completed:
        fields, listing = iter(_names(stdin)), ""
        by_pid = self._by_pid()
        for pid, path in zip(fields, fields, strict=True):
            seen = by_pid[int(pid)].own.get(path)
            place = f"/proc/{pid}/root{path}"
            listing += f"place\0{pid}\0{path}\0{place}\0"
            if seen is not None:
                kind = "l" if seen.target else "f"
                listing += f"entry\0{kind}\0{seen.mode:o}\0{seen.target}\0{place}\0"
        return Completed(0, listing, "")

    def _mounts(self, container: Container | None) -> list[str]:
        """Return the mounts of a container, from its body or as a test set them."""
        if container is None:
            return []
        host = container.body.get("HostConfig") or {}
        mounts = [mount["Target"] for mount in host.get("Mounts") or []]
        return [
            "/",
            *mounts,
            *(path for name, path in self.machine.inside if name == container.name),
        ]

    def _read_all(self, words: list[str], stdin: bytes) -> Completed:
        existing = self._observe(words[:1], b"").stdout
        return Completed(0, existing + self._read_inside(words[1:], stdin).stdout, "")

    def _hash_inside(self, words: list[str], stdin: bytes) -> Completed:
        by_pid, listing = self._by_pid(), ""
        for path in _names(stdin):
            _, _, pid, _, inside = path.split("/", 4)
            container = by_pid.get(int(pid))
            own = container.own.get(f"/{inside}") if container else None
            if own is not None:
                listing += f"{hashlib.sha256(own.content).hexdigest()}  {path}\0"
                continue
            seen = self.machine.mounted(container, f"/{inside}") if container else None
            listing += f"{seen.digest}  {path}\0" if isinstance(seen, File) else ""
        return Completed(0, listing, "")

    def _free_gossip_port(self, words: list[str], stdin: bytes) -> Completed:
        engine = self.machine.engine
        assert engine.cluster is None, "the engine is in a Swarm and rightly listens"
        if not engine.listens:
            return Completed(0, "", "")
        engine.listens = False
        return Completed(0, "restarted\n", "")

    def _ask_names(self, words: list[str], stdin: bytes) -> Completed:
        pid, *asked = words
        asker = self._by_pid().get(int(pid))
        assert asker is not None, "names are asked for from a running container's place"
        engine = self.machine.engine
        lines = [
            f"{address} {kind} {name if kind == 'STREAM' and not number else ''}"
            for name in asked
            for number, address in enumerate(engine.addresses_of(name, asker))
            for kind in ("STREAM", "DGRAM", "RAW")
        ]
        engine.unheard = max(0, engine.unheard - 1)
        return Completed(0, "\n".join(lines), "")

    def _keep_files(self, words: list[str], _: bytes) -> Completed:
        base, name, *sources = words
        disk = self.machine.disk
        if sources:
            disk.delete_tree(base)
        disk.make_folder(f"{base}/{name}")
        for number, source in enumerate(sources):
            disk.copy(source, f"{base}/{name}/{number}")
        return Completed(0, "", "")

    def _front(self, words: list[str], _: bytes) -> Completed:
        """HAProxy's runtime API, in a container that runs it."""
        pid, commands = words[:2]
        container = self._by_pid().get(int(pid))
        assert container is not None, "commands are sent to a front that runs"
        family = container.labels["hashlab.service"].removesuffix("-front")
        found = self.machine.engine.addresses_of(f"tasks.{family}", container)
        return self.machine.front.answer(commands, found)

    def _by_pid(self) -> dict[int, Container]:
        return {c.pid: c for c in self.machine.engine.all.values() if c.pid}

    def _build(self, container: Container | None) -> str:
        if container is None or container.labels.get("hashlab.service") in self.machine.clobbered:
            return ""
        env: list[str] = container.body.get("Env") or []
        return next((word for word in env if word.startswith("HASHLAB_BUILD=")), "")


def _names(stdin: bytes) -> list[str]:
    return [name for name in stdin.decode(errors="surrogateescape").split("\0") if name]


def _content(archive: tarfile.TarFile, entry: tarfile.TarInfo) -> bytes:
    stream = archive.extractfile(entry)
    assert stream is not None
    return stream.read()
