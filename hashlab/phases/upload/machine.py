"""What lies on a machine: asked in one round trip, hashed only where it changed."""

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

# Stands between the parts of what OBSERVE prints, and in none of them.
BETWEEN = "\0hashlab\0"


@dataclass(frozen=True)
class Placed:
    """An entry on a machine. ``identity``: its kind (f, d, l, …), device, inode, size, both times
    and mode, so another text after whatever changes it. ``content``: as ``upload.laptop`` describes
    it; "" where nobody needs to know it.
    """

    identity: str
    content: str = ""

    @property
    def kind(self) -> str:
        """As `find` calls it: f, d, l, …"""
        return self.identity[:1]

    @property
    def mode(self) -> int:
        """Its permissions."""
        return int(self.identity.rpartition(":")[2], 8)

    def is_same_folder(self, identity: str) -> bool:
        """True if both are one folder, by kind, device and inode."""
        return self.kind == "d" and self.identity.split(":")[:3] == identity.split(":")[:3]

    def holding(self, digest: str) -> Placed:
        """The same file, of which the SHA-256 is known now."""
        return Placed(self.identity, file_content(digest, self.mode))


@dataclass(frozen=True)
class Process:
    """What hashlab knows of a running process that it may put changed files into.

    ``fixed``: hash of all that cannot be changed without a restart; ``files``: content by path in
    the container of what the process runs; ``reloaded``: paths that were put in since it started;
    ``finished_at``: when a run saw it end with 0, its work done.
    """

    started_at: str
    build: str
    fixed: str
    files: Mapping[str, str]
    reloaded: tuple[str, ...] = ()
    finished_at: str = ""


@dataclass(frozen=True)
class MachineFiles:
    """What lies on a machine, by path below the lab's folder. ``manifest``: what hashlab put there,
    as it was then; ``processes``: by container id.
    """

    files: Mapping[str, Placed] = field(default_factory=dict)
    manifest: Mapping[str, Placed] = field(default_factory=dict)
    processes: Mapping[str, Process] = field(default_factory=dict)

    @property
    def own(self) -> frozenset[str]:
        """Paths of what hashlab put there and still is there."""
        return frozenset(set(self.manifest) & set(self.files))


@dataclass(frozen=True)
class Inside:
    """What processes in containers see. ``started``: the build each was started as, by pid;
    ``seen``: content of files by their path below /proc; ``detached``: by pid, the path of a mount
    that shows another folder than the machine has in that place now.
    """

    started: Mapping[int, str] = field(default_factory=dict)
    seen: Mapping[str, str] = field(default_factory=dict)
    detached: Mapping[int, str] = field(default_factory=dict)


def observe_files(shell: Shell, lab: Lab, machine: str, *, wanted: Iterable[str]) -> MachineFiles:
    """Ask a machine what it has; ``wanted``: paths of files whose content must be known."""
    there, _ = parse(_output_of(shell, lab, machine, OBSERVE))
    return with_contents(shell, lab, machine, there, wanted=wanted)


def with_contents(
    shell: Shell, lab: Lab, machine: str, there: MachineFiles, *, wanted: Iterable[str]
) -> MachineFiles:
    """The same with the content of files that hashlab wants there, or once put there: from the
    manifest while the file is the same one, else the machine hashes it.
    """
    files = there.files
    asked = {n for n in {*wanted, *there.manifest} if n in files and files[n].kind == "f"}
    known = {
        name: there.manifest[name]
        for name in asked
        if name in there.manifest and there.manifest[name].identity == files[name].identity
    }
    unknown = sorted(asked - set(known), key=by_folder)
    hashed = _hash(shell, lab, machine, unknown) if unknown else {}
    found = {name: files[name].holding(digest) for name, digest in hashed.items() if name in asked}
    return replace(there, files={**files, **known, **found})


def by_folder(name: str) -> tuple[str, str]:
    """Sort key of paths that keeps those of one folder together."""
    folder, _, last = name.rpartition("/")
    return folder, last


def write_manifest(shell: Shell, lab: Lab, machine: str, placed: Mapping[str, Placed]) -> None:
    """Let a machine remember what hashlab put there, by path below the lab's folder."""
    value = {name: [one.identity, one.content] for name, one in placed.items()}
    _write(shell, lab, machine, "manifest", value)


def write_processes(shell: Shell, lab: Lab, machine: str, processes: Mapping[str, Process]) -> None:
    """Let a machine remember what its processes run, by container id."""
    value = {
        container: {**vars(process), "files": dict(process.files)}
        for container, process in processes.items()
    }
    _write(shell, lab, machine, "processes", value)


def _hash(shell: Shell, lab: Lab, machine: str, names: Iterable[str]) -> dict[str, str]:
    return digests_by_folder(_output_of(shell, lab, machine, HASH, WALK, stdin=nul(names)))


def digests_by_folder(listing: str) -> dict[str, str]:
    """SHA-256 by path of what HASH printed."""
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
    """Names as `xargs -0` reads them."""
    return "".join(f"{name}\0" for name in names).encode(errors="surrogateescape")


def _output_of(
    shell: Shell, lab: Lab, machine: str, program: str, *words: str, stdin: bytes = b""
) -> str:
    # As root, for containers make folders that only they may enter.
    done = shell.run(["sudo", "sh", "-c", program, "sh", home(lab), *words], stdin=stdin)
    if done.code != 0:
        raise LabError("cannot list the files of the machine", where=machine, output=done.stderr)
    return done.stdout


def _write(shell: Shell, lab: Lab, machine: str, name: str, value: object) -> None:
    text = json.dumps(value).encode()
    done = shell.run(["sh", "-c", RECORD, "sh", home(lab), name], stdin=text)
    if done.code != 0:
        raise LabError("cannot write to the machine", where=machine, output=done.stderr)


def parse(listing: str) -> tuple[MachineFiles, str]:
    """Read what OBSERVE prints, and return what follows it."""
    entries, _, rest = listing.partition(BETWEEN)
    manifest, _, rest = rest.partition(BETWEEN)
    processes, _, rest = rest.partition(BETWEEN)
    found: dict[str, Placed] = {}
    words = entries.split("\0")
    for identity, path, target in zip(words[0::3], words[1::3], words[2::3], strict=False):
        found[path] = _placed(Placed(identity), target.removeprefix("="))
    there = MachineFiles(
        found,
        _record(manifest, lambda value: Placed(*map(str, value))),
        _record(processes, _process),
    )
    return there, rest


def _placed(entry: Placed, target: str) -> Placed:
    """The entry with its content, where its kind and its target say it."""
    if entry.kind == "d":
        return entry.holding(FOLDER)
    return replace(entry, content=link_content(target)) if entry.kind == "l" else entry


def _record(text: str, read: Callable[[Any], Any]) -> dict[str, Any]:
    """A record of the machine; one that is broken is none: what it says is then found out anew."""
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
    )
