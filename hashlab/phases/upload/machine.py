"""The files on a machine: read in one round trip, hashed only where they changed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from hashlab.config.model import Lab
from hashlab.errors import LabError
from hashlab.phases.programs import HASH, OBSERVE, RECORD, WALK
from hashlab.phases.upload.laptop import FOLDER, file_content, home, link_content
from hashlab.protocols import Shell

# Separates the parts of the output of OBSERVE, and occurs in none of them.
BETWEEN = "\0hashlab\0"


@dataclass(frozen=True)
class Placed:
    """An entry on a machine. ``identity``: its kind (f, d, l, …), device, inode, size, both times
    and mode, so that any change to the entry changes it. ``content``: as ``upload.laptop``
    describes it; "" if no phase needs it.
    """

    identity: str
    content: str = ""

    @property
    def kind(self) -> str:
        """The kind of the entry as in `find`: f, d, l, …"""
        return self.identity[:1]

    @property
    def mode(self) -> int:
        """The permissions."""
        return int(self.identity.rpartition(":")[2], 8)

    def is_same_folder(self, identity: str) -> bool:
        """Return whether both are the same folder, by kind, device and inode."""
        return self.kind == "d" and self.identity.split(":")[:3] == identity.split(":")[:3]

    def holding(self, digest: str) -> Placed:
        """Return the same entry with a content of this SHA-256."""
        return Placed(self.identity, file_content(digest, self.mode))


@dataclass(frozen=True)
class Process:
    """Data about a process into which hashlab may put changed files.

    ``fixed``: hash of everything that needs a restart to change; ``files``: content of the files
    that the process runs, by path in the container; ``reloaded``: paths that it took in since its
    start; ``finished_at``: when a run saw it end with 0, its work done; ``copied``: paths of files
    that were copied into the container.
    """

    started_at: str
    build: str
    fixed: str
    files: Mapping[str, str]
    reloaded: tuple[str, ...] = ()
    finished_at: str = ""
    copied: tuple[str, ...] = ()


@dataclass(frozen=True)
class Intercept:
    """A service that runs on a laptop: whose ("anna@laptop"), and since when (Unix time).
    ``replicas``: the names of the containers whose place it takes; empty for all.
    """

    holder: str
    since: int
    replicas: tuple[str, ...] = ()

    def holds(self, container: str) -> bool:
        """Return whether the laptop's process takes the place of a container."""
        return not self.replicas or container in self.replicas


@dataclass(frozen=True)
class MachineFiles:
    """The files on a machine, by path below the lab's folder. ``manifest``: the files that hashlab
    uploaded, as they were then; ``processes``: by container id; ``intercepts``: by service.
    """

    files: Mapping[str, Placed] = field(default_factory=dict)
    manifest: Mapping[str, Placed] = field(default_factory=dict)
    processes: Mapping[str, Process] = field(default_factory=dict)
    intercepts: Mapping[str, Intercept] = field(default_factory=dict)

    @property
    def own(self) -> frozenset[str]:
        """Paths that hashlab uploaded and that still exist."""
        return frozenset(set(self.manifest) & set(self.files))


@dataclass(frozen=True)
class Inside:
    """The files that processes in containers see.

    ``started``: the build that each was started with, by pid; ``seen``: content of files by their
    path below /proc; ``detached``: by pid, the path of a mount that shows another folder than the
    machine has in that place now.
    """

    started: Mapping[int, str] = field(default_factory=dict)
    seen: Mapping[str, str] = field(default_factory=dict)
    detached: Mapping[int, str] = field(default_factory=dict)


def observe_files(shell: Shell, lab: Lab, machine: str, *, wanted: Iterable[str]) -> MachineFiles:
    """Read the files of a machine. ``wanted``: paths of files whose content must be known."""
    observed, _ = parse(_output_of(shell, lab, machine, OBSERVE))
    return with_contents(shell, lab, machine, observed, wanted=wanted)


def with_contents(
    shell: Shell, lab: Lab, machine: str, observed: MachineFiles, *, wanted: Iterable[str]
) -> MachineFiles:
    """Add the content of files that hashlab wants or once uploaded: from the manifest if the file
    is still the same one, else the machine hashes it.
    """
    files, manifest = observed.files, observed.manifest
    asked = {n for n in {*wanted, *manifest} if n in files and files[n].kind == "f"}
    known = {
        name: manifest[name]
        for name in asked
        if name in manifest and manifest[name].identity == files[name].identity
    }
    unknown = sorted(asked - set(known), key=by_folder)
    hashed = (
        digests_by_folder(_output_of(shell, lab, machine, HASH, WALK, stdin=nul(unknown)))
        if unknown
        else {}
    )
    read = {name: files[name].holding(digest) for name, digest in hashed.items() if name in asked}
    return replace(observed, files={**files, **known, **read})


def by_folder(name: str) -> tuple[str, str]:
    """Sort key that keeps the paths of one folder together."""
    folder, _, last = name.rpartition("/")
    return folder, last


def write_manifest(shell: Shell, lab: Lab, machine: str, placed: Mapping[str, Placed]) -> None:
    """Record on a machine what hashlab uploaded, by path below the lab's folder."""
    value = {name: [entry.identity, entry.content] for name, entry in placed.items()}
    _write(shell, lab, machine, "manifest", value)


def write_processes(shell: Shell, lab: Lab, machine: str, processes: Mapping[str, Process]) -> None:
    """Record on a machine what its processes run, by container id."""
    value = {
        container: {**vars(process), "files": dict(process.files)}
        for container, process in processes.items()
    }
    _write(shell, lab, machine, "processes", value)


def digests_by_folder(listing: str) -> dict[str, str]:
    """Return the SHA-256 of each path, from the output of HASH."""
    found: dict[str, str] = {}
    folder = ""
    for entry in listing.split("\0"):
        if entry.startswith("/"):
            folder = entry[1:]
        elif entry:
            digest, _, name = entry.partition("  ./")
            found[f"{folder}/{name}"] = digest
    return found


def nul(names: Iterable[str]) -> bytes:
    """Return names as `xargs -0` reads them."""
    return "".join(f"{name}\0" for name in names).encode(errors="surrogateescape")


def _output_of(
    shell: Shell, lab: Lab, machine: str, program: str, *arguments: str, stdin: bytes = b""
) -> str:
    # As root, because containers make folders that only they may enter.
    done = shell.run(["sudo", "sh", "-c", program, "sh", home(lab), *arguments], stdin=stdin)
    if done.code != 0:
        raise LabError("cannot list the files of the machine", where=machine, output=done.stderr)
    return done.stdout


def _write(shell: Shell, lab: Lab, machine: str, name: str, value: object) -> None:
    text = json.dumps(value).encode()
    done = shell.run(["sh", "-c", RECORD, "sh", home(lab), name], stdin=text)
    if done.code != 0:
        raise LabError("cannot write to the machine", where=machine, output=done.stderr)


def parse(listing: str) -> tuple[MachineFiles, str]:
    """Read the output of OBSERVE, and return the text that follows it."""
    entries, _, rest = listing.partition(BETWEEN)
    manifest, _, rest = rest.partition(BETWEEN)
    processes, _, rest = rest.partition(BETWEEN)
    holders, _, rest = rest.partition(BETWEEN)
    placed: dict[str, Placed] = {}
    fields = entries.split("\0")
    for identity, path, target in zip(fields[0::3], fields[1::3], fields[2::3], strict=False):
        placed[path] = _placed(Placed(identity), target.removeprefix("="))
    observed = MachineFiles(
        placed,
        _record(manifest, lambda value: Placed(*map(str, value))),
        _record(processes, _process),
        _intercepts(holders),
    )
    return observed, rest


def _intercepts(listing: str) -> dict[str, Intercept]:
    """Read lines of FOLDER/SERVICE:REPLICAS:HOLDER SECONDS. The next run finds one that is just
    being made.
    """
    found: dict[str, Intercept] = {}
    for line in listing.splitlines():
        path, _, written = line.partition(":")
        replicas, _, written = written.partition(":")
        holder, _, since = written.rpartition(" ")
        if since.isdecimal():
            service = path.rpartition("/")[2]
            found[service] = Intercept(holder, int(since), tuple(replicas.split()))
    return found


def _placed(entry: Placed, target: str) -> Placed:
    """Add the content of a folder or a link, which its kind and its target say."""
    if entry.kind == "d":
        return entry.holding(FOLDER)
    return replace(entry, content=link_content(target)) if entry.kind == "l" else entry


def _record(text: str, read: Callable[[Any], Any]) -> dict[str, Any]:
    """Read a record of the machine. A broken record counts as missing; the files are read again."""
    try:
        return {str(name): read(value) for name, value in json.loads(text or "{}").items()}
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
        return {}


def _process(value: Mapping[str, Any]) -> Process:
    return Process(
        str(value["started_at"]),
        str(value["build"]),
        str(value["fixed"]),
        {str(path): str(content) for path, content in value["files"].items()},
        tuple(map(str, value["reloaded"])),
        str(value.get("finished_at", "")),
        tuple(map(str, value.get("copied", ()))),
    )
