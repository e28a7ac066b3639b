"""A machine in memory: files, an engine, and the answers to exactly the scripts hashlab runs."""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import tarfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import PurePosixPath
from typing import IO, Literal

from fakes.engine import Cluster, Container, FakeEngine
from fakes.faults import Faults
from hashlab.errors import LabError
from hashlab.phases import files, inside, machinefiles, names, network
from hashlab.phases.replacement import ARCHIVE
from hashlab.pipeline import Track
from hashlab.protocols import Completed, Endpoint

TAR = ["sudo", "tar"]
VOLUMES = "/var/lib/docker/volumes"


INODES = itertools.count(1)


@dataclass
class File:
    """A file; replacing it makes a new one, as a rename does."""

    content: bytes
    mode: int = 0o644
    inode: int = field(default_factory=INODES.__next__)

    @property
    def identity(self) -> str:
        """As `find` tells it: another one after every change."""
        changed = zlib.crc32(self.content)
        return f"1:{self.inode}:{len(self.content)}:{changed}.0:{changed}.0:{self.mode:o}"

    @property
    def digest(self) -> str:
        """As `sha256sum` tells it."""
        return hashlib.sha256(self.content).hexdigest()


class Disk:
    """Files and folders by absolute path."""

    def __init__(self) -> None:
        self.files: dict[str, File] = {}
        self.folders: set[str] = {"/"}

    def make_folder(self, path: str) -> None:
        """`mkdir -p`."""
        for folder in (PurePosixPath(path), *PurePosixPath(path).parents):
            if str(folder) in self.files:
                raise NotADirectoryError(str(folder))
            self.folders.add(str(folder))

    def put(self, path: str, content: bytes, mode: int = 0o644) -> None:
        """Replace a file; its folder must be there."""
        if str(PurePosixPath(path).parent) not in self.folders:
            raise FileNotFoundError(path)
        if path in self.folders:
            raise IsADirectoryError(path)
        self.files[path] = File(content, mode)

    def delete(self, path: str) -> None:
        """`rm -f`."""
        self.files.pop(path, None)

    def delete_tree(self, path: str) -> None:
        """`rm -rf`."""
        inside = f"{path}/"
        self.files = {p: f for p, f in self.files.items() if p != path and not p.startswith(inside)}
        self.folders = {p for p in self.folders if p != path and not p.startswith(inside)}

    def below(self, folder: str) -> dict[str, File]:
        """Every file below a folder, by its path relative to it."""
        start = f"{folder}/"
        return {p[len(start) :]: f for p, f in sorted(self.files.items()) if p.startswith(start)}

    def read(self, path: str) -> File | None:
        """A file as it is now."""
        return self.files.get(path)

    def exists(self, path: str) -> bool:
        """Whether there is a file or a folder."""
        return path in self.files or path in self.folders


@dataclass
class FakeMachine:
    """A machine as its provider and its sshd know it."""

    name: str
    address: IPv4Address
    faults: Faults = field(default_factory=Faults)
    clusters: dict[str, Cluster] = field(default_factory=dict)
    port: int = 2200
    forwarded: dict[int, int] = field(default_factory=dict)
    recipe: str = ""
    state: Literal["running", "stopped", "paused"] = "running"
    engine_stopped: bool = False
    host_key: str = ""
    authorized_key: str = ""
    clobbered: set[str] = field(default_factory=set)
    inside: dict[tuple[str, str], bytes] = field(default_factory=dict)
    data: dict[str, str] = field(default_factory=dict)
    archives: list[bytes] = field(default_factory=list)

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

    def seen_by(self, container: Container, path: str) -> File | None:
        """What a container's process finds at a path: through its bind mounts, a single file as
        it was when the container started.
        """
        told = self.inside.get((container.name, path))
        if told is not None:
            return File(told)
        for mount in (container.body.get("HostConfig") or {}).get("Mounts") or []:
            if mount["Type"] != "bind":
                continue
            if path == mount["Target"]:
                opened = container.binds.get(path)
                return opened if isinstance(opened, File) else None
            inside = mount["Target"].rstrip("/") + "/"
            if path.startswith(inside):
                return self.disk.files.get(f"{mount['Source']}/{path.removeprefix(inside)}")
        return None


class FakeShell:
    """protocols.Shell on a FakeMachine; refuses every command it does not know."""

    def __init__(self, machine: FakeMachine) -> None:
        self.machine = machine
        self.closed = False
        self._scripts: Mapping[str, Callable[[list[str], bytes], Completed]] = {
            machinefiles.OBSERVE: self._observe,
            machinefiles.HASH: self._hash,
            machinefiles.RECORD: self._record,
            files.APPLY: self._apply,
            files.COPY: self._copy,
            inside.READ_INSIDE: self._read_inside,
            inside.READ_ALL: self._read_all,
            inside.HASH_INSIDE: self._hash_inside,
            network.FREE_GOSSIP_PORT: self._free_gossip_port,
            names.script(): self._ask_names,
        }

    def run(self, command: Sequence[str], *, stdin: bytes = b"", timeout: float = 30) -> Completed:
        words = list(command)
        name = self._name(words)
        with self.machine.faults.call(
            f"shell.{name}", self.machine.name, *words, changes=name in ("apply", "record")
        ):
            self._open()
            if name == "cat":
                return self._cat(words[1])
            script = words[words.index("-c") + 1]
            return self._scripts[script](words[words.index("-c") + 3 :], stdin)

    def save(self, command: Sequence[str], target: IO[bytes], *, track: Track) -> int:
        """`tar` of volumes' data: whole, so nobody may be writing to them."""
        with self.machine.faults.call("shell.save", self.machine.name, *command):
            self._open()
            *words, dash, first = command[: command.index("--") + 2]
            assert words == [*TAR, "--create", *ARCHIVE, "--directory", VOLUMES]
            assert dash == "--", first
            busy = [c.name for c in self.machine.engine.all.values() if c.state == "running"]
            assert not busy, f"data are copied while {busy} run"
            folders = command[command.index("--") + 1 :]
            held = {folder: self.machine.data.get(folder.split("/")[0], "") for folder in folders}
            return target.write(json.dumps(held).encode())

    def feed(self, command: Sequence[str], source: IO[bytes], *, track: Track) -> int:
        """`tar` into volumes that are there."""
        with self.machine.faults.call("shell.feed", self.machine.name, *command, changes=True):
            self._open()
            assert list(command) == [*TAR, "--extract", *ARCHIVE, "--directory", VOLUMES]
            content = source.read()
            for folder, text in json.loads(content).items():
                name = folder.removesuffix("/_data")
                assert name in self.machine.engine.volume_labels, f"there is no volume {name}"
                self.machine.data[name] = text
            return len(content)

    def _open(self) -> None:
        if self.machine.state != "running" or self.closed:
            raise LabError("the connection failed", where=self.machine.name)

    def close(self) -> None:
        self.closed = True

    def _name(self, words: list[str]) -> str:
        if words[:1] == ["cat"] and len(words) == 2:
            return "cat"
        plain = words[1:] if words[:1] == ["sudo"] else words
        if plain[:2] == ["sh", "-c"] and plain[3:4] == ["sh"] and plain[2] in self._scripts:
            if plain[2] == inside.READ_ALL:
                return "read_inside" if plain[5:] else "observe"
            return self._scripts[plain[2]].__name__.strip("_")
        raise AssertionError(f"the fake shell was not prepared for {words}")

    def _cat(self, path: str) -> Completed:
        file = self.machine.disk.files.get(path)
        if file is None:
            return Completed(1, "", f"cat: {path}: No such file or directory")
        return Completed(0, file.content.decode(), "")

    def _observe(self, words: list[str], stdin: bytes) -> Completed:
        home, disk = words[0], self.machine.disk
        listing = "".join(
            f"{file.identity}\0{part}/{name}\0"
            for part in ("files", "secrets")
            for name, file in disk.below(f"{home}/{part}").items()
        )
        for name in ("manifest", "processes"):
            record = disk.files.get(f"{home}/{name}")
            listing += machinefiles.BETWEEN + (record.content.decode() if record else "")
        return Completed(0, listing + machinefiles.BETWEEN, "")

    def _hash(self, words: list[str], stdin: bytes) -> Completed:
        home, disk = words[0], self.machine.disk
        if home not in disk.folders:
            return Completed(1, "", f"cd: can't cd to {home}")
        found = {name: disk.files.get(f"{home}/{name}") for name in _names(stdin)}
        listing = "".join(f"{file.digest}  {name}\0" for name, file in found.items() if file)
        return Completed(0, listing, "")

    def _record(self, words: list[str], stdin: bytes) -> Completed:
        home, name = words
        self.machine.disk.make_folder(home)
        self.machine.disk.put(f"{home}/{name}", stdin, 0o600)
        return Completed(0, "", "")

    def _apply(self, words: list[str], stdin: bytes) -> Completed:
        home, disk = words[0], self.machine.disk
        disk.delete_tree(f"{home}/scratch")
        for folder in (f"{home}/files", f"{home}/secrets", f"{home}/scratch"):
            disk.make_folder(folder)
        try:
            with tarfile.open(fileobj=io.BytesIO(stdin)) as archive:
                entries = {entry.name: entry for entry in archive if entry.isfile()}
                content = {name: _content(archive, entry) for name, entry in entries.items()}
        except tarfile.ReadError as error:
            return Completed(1, "", f"tar: {error}")
        if "end" not in content:
            return Completed(1, "", "the archive is not whole")
        self.machine.archives.append(stdin)
        del content["end"]
        for name in _names(content.pop("delete")):
            disk.delete(f"{home}/files/{name}")
        try:
            for name in _names(content.pop("folders")):
                disk.make_folder(_join(f"{home}/files", name))
            for name, text in content.items():
                self._place(f"{home}/{name.removeprefix('new/')}", text, entries[name].mode)
        except NotADirectoryError as error:
            return Completed(1, "", f"mkdir: cannot create directory {error}: File exists")
        return Completed(0, "", "")

    def _copy(self, words: list[str], stdin: bytes) -> Completed:
        home, names = words[0], list(_names(stdin))
        for name, copy in zip(names[::2], names[1::2], strict=True):
            there = self.machine.disk.files.get(f"{home}/files/{name}")
            if there is None:
                return Completed(123, "", f"cp: cannot stat {name}")
            self._place(f"{home}/files/{copy}", there.content, there.mode)
        return Completed(0, "", "")

    def _place(self, path: str, content: bytes, mode: int) -> None:
        disk = self.machine.disk
        if path in disk.folders:
            disk.delete_tree(path)
        disk.make_folder(str(PurePosixPath(path).parent))
        disk.put(path, content, mode)

    def _read_inside(self, words: list[str], stdin: bytes) -> Completed:
        by_pid = self._by_pid()
        builds = {pid: self._build(by_pid.get(int(pid))) for pid in words}
        head = "".join(f"/proc/{pid}/environ\0{one}\0" for pid, one in builds.items() if one)
        seen = self._inside(stdin).items()
        listing = "".join(f"{file.identity}\0{path}\0" for path, file in seen)
        return Completed(0, f"{head}files\0{listing}", "")

    def _read_all(self, words: list[str], stdin: bytes) -> Completed:
        there = self._observe(words[:1], b"").stdout
        return Completed(0, there + self._read_inside(words[1:], stdin).stdout, "")

    def _hash_inside(self, words: list[str], stdin: bytes) -> Completed:
        seen = self._inside(stdin).items()
        return Completed(0, "".join(f"{file.digest}  {path}\0" for path, file in seen), "")

    def _free_gossip_port(self, words: list[str], stdin: bytes) -> Completed:
        engine = self.machine.engine
        assert engine.cluster is None, "the engine is in a Swarm and rightly listens"
        if not engine.listens:
            return Completed(0, "", "")
        engine.listens = False
        return Completed(0, "restarted\n", "")

    def _ask_names(self, words: list[str], stdin: bytes) -> Completed:
        pid, *asked = words
        assert int(pid) in self._by_pid(), "names are asked for from a running container's place"
        engine = self.machine.engine
        lines = [
            f"{address} {kind} {name if kind == 'STREAM' and not number else ''}"
            for name in asked
            for number, address in enumerate(engine.addresses_of(name))
            for kind in ("STREAM", "DGRAM", "RAW")
        ]
        engine.unheard = max(0, engine.unheard - 1)
        return Completed(0, "\n".join(lines), "")

    def _inside(self, stdin: bytes) -> dict[str, File]:
        """Those of the paths, as seen by processes, at which there is a file."""
        by_pid, found = self._by_pid(), {}
        for path in _names(stdin):
            _, _, pid, _, inside = path.split("/", 4)
            if int(pid) in by_pid:
                found[path] = self.machine.seen_by(by_pid[int(pid)], f"/{inside}")
        return {path: file for path, file in found.items() if file is not None}

    def _by_pid(self) -> dict[int, Container]:
        return {c.pid: c for c in self.machine.engine.all.values() if c.pid}

    def _build(self, container: Container | None) -> str:
        if container is None or container.labels.get("hashlab.service") in self.machine.clobbered:
            return ""
        env: list[str] = container.body.get("Env") or []
        return next((word for word in env if word.startswith("HASHLAB_BUILD=")), "")


def _names(stdin: bytes) -> list[str]:
    return [name for name in stdin.decode().split("\0") if name]


def _content(archive: tarfile.TarFile, entry: tarfile.TarInfo) -> bytes:
    stream = archive.extractfile(entry)
    assert stream is not None
    return stream.read()


def _join(folder: str, name: str) -> str:
    return folder if name == "." else f"{folder}/{name}"
