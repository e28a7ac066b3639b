"""What lies on a machine: asked in one round trip, hashed only where it changed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hashlab.config.model import Lab
from hashlab.errors import LabError
from hashlab.phases.laptopfiles import home
from hashlab.protocols import Shell

# Device, inode, size, both times and mode of a file: another text after whatever changes it.
IDENTITY = r"%D:%i:%s:%T@:%C@:%m\0%p\0"
# Stands in no path and in no record that hashlab wrote.
BETWEEN = "\0hashlab\0"
_PRINT = "printf '{}'".format(BETWEEN.replace("\0", r"\0"))
# Prints pairs of identity and path, then both records, each part up to BETWEEN. Few programs: to
# start one takes as long as what it does.
OBSERVE = f"""
cd "$1" 2> /dev/null && find files secrets -type f -printf '{IDENTITY}' 2> /dev/null
{_PRINT}
{_PRINT} | cat "$1/manifest" - "$1/processes" 2> /dev/null
{_PRINT}
"""
# 123: some files could not be read, or are gone by now. Their content stays unknown.
HASH = """
cd "$1" || exit 1
xargs -0 -r sha256sum -z -- || [ $? -eq 123 ]
"""
# A reader sees the old record or the new one.
RECORD = """
umask 077
mkdir -p "$1" && cat > "$1/$2.new" && mv -f "$1/$2.new" "$1/$2"
"""
EXECUTABLE = 0o100


@dataclass(frozen=True)
class Placed:
    """A file on a machine. ``content``: its SHA-256, with ``+x`` where it is executable; ""
    where nobody needs to know it.
    """

    identity: str
    content: str = ""

    @property
    def mode(self) -> int:
        """Its permissions."""
        return int(self.identity.rpartition(":")[2], 8)

    def holding(self, digest: str) -> Placed:
        """The same file, of which the SHA-256 is known now."""
        return Placed(self.identity, digest + ("+x" if self.mode & EXECUTABLE else ""))


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
    """What lies on a machine, by name. ``manifest``: what hashlab put there, as it was then;
    ``processes``: by container id.
    """

    files: Mapping[str, Placed] = field(default_factory=dict)
    secrets: Mapping[str, Placed] = field(default_factory=dict)
    manifest: Mapping[str, Placed] = field(default_factory=dict)
    processes: Mapping[str, Process] = field(default_factory=dict)

    @property
    def own(self) -> frozenset[str]:
        """Names of the files that hashlab put there."""
        return frozenset(n.removeprefix("files/") for n in self.manifest if n.startswith("files/"))

    @property
    def all(self) -> dict[str, Placed]:
        """Files and secrets by their path below the lab's folder."""
        return {
            **{f"files/{name}": placed for name, placed in self.files.items()},
            **{f"secrets/{name}": placed for name, placed in self.secrets.items()},
        }


@dataclass(frozen=True)
class Inside:
    """What processes in containers see. ``started``: the build each was started as, by pid;
    ``seen``: content of files by their path below /proc.
    """

    started: Mapping[int, str] = field(default_factory=dict)
    seen: Mapping[str, str] = field(default_factory=dict)


def observe_files(shell: Shell, lab: Lab, machine: str, *, wanted: Iterable[str]) -> MachineFiles:
    """Ask a machine what it has; ``wanted``: names of files whose content must be known."""
    there, _ = parse(_said(shell, lab, machine, OBSERVE))
    return with_contents(shell, lab, machine, there, wanted=wanted)


def with_contents(
    shell: Shell, lab: Lab, machine: str, there: MachineFiles, *, wanted: Iterable[str]
) -> MachineFiles:
    """The same with the content of files that hashlab wants there, or once put there: from the
    manifest while the file is the same one, else the machine hashes it.
    """
    placed = there.all
    asked = (set(wanted) | set(there.manifest)) & set(placed)
    known = {n: p for n, p in there.manifest.items() if p.identity == _identity(placed.get(n))}
    unknown = sorted(asked - set(known))
    hashed = _hash(shell, lab, machine, unknown) if unknown else {}

    def content(name: str, one: Placed) -> Placed:
        if name in known:
            return known[name]
        if name not in hashed:
            return one
        return one.holding(hashed[name])

    return MachineFiles(
        {name: content(f"files/{name}", one) for name, one in there.files.items()},
        {name: content(f"secrets/{name}", one) for name, one in there.secrets.items()},
        there.manifest,
        there.processes,
    )


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


def _identity(placed: Placed | None) -> str | None:
    return placed.identity if placed else None


def _hash(shell: Shell, lab: Lab, machine: str, names: Iterable[str]) -> dict[str, str]:
    return digests_in(_said(shell, lab, machine, HASH, stdin=nul(names)))


def digests_in(listing: str) -> dict[str, str]:
    """SHA-256 by path of what `sha256sum -z` printed."""
    entries = (entry.partition("  ") for entry in listing.split("\0") if entry)
    return {path: digest for digest, _, path in entries}


def nul(names: Iterable[str]) -> bytes:
    """Names as `xargs -0` reads them."""
    return "".join(f"{name}\0" for name in names).encode()


def _said(shell: Shell, lab: Lab, machine: str, script: str, *, stdin: bytes = b"") -> str:
    done = shell.run(["sh", "-c", script, "sh", home(lab)], stdin=stdin)
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
    found: dict[str, dict[str, Placed]] = {"files": {}, "secrets": {}}
    words = entries.split("\0")
    for identity, path in zip(words[0::2], words[1::2], strict=False):
        part, _, name = path.partition("/")
        found[part][name] = Placed(identity)
    there = MachineFiles(
        found["files"],
        found["secrets"],
        _record(manifest, lambda value: Placed(*map(str, value))),
        _record(processes, _process),
    )
    return there, rest


def _record(text: str, read: Callable[[Any], Any]) -> dict[str, Any]:
    """A record of the machine; one that is broken is none: what it says is then found out anew."""
    try:
        return {str(name): read(value) for name, value in json.loads(text or "{}").items()}
    except (ValueError, TypeError, AttributeError, KeyError):
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
