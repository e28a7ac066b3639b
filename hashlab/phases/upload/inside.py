"""Reads what processes in containers run and see, from the machine's kernel."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from hashlab.errors import LabError
from hashlab.phases.builds import Build, is_below
from hashlab.phases.containers.body import BUILD_VARIABLE, SERVICE_LABEL
from hashlab.phases.programs import HASH_INSIDE, OBSERVE, READ_COPIES, READ_INSIDE
from hashlab.phases.upload.laptop import home, is_folder, link_content, plain
from hashlab.phases.upload.machine import Inside, MachineFiles, Placed, nul, parse, with_contents
from hashlab.phases.world import World
from hashlab.protocols import ContainerState, Link

# Both in one program: to start a program over SSH takes as long as its work.
READ_ALL = f"{OBSERVE}shift\n{READ_INSIDE}"
# Pairs of process and path that one call of READ_COPIES takes.
CHUNK = 500
# The kernel's form of a blank, a tab, a newline and a backslash in the path of a mount.
_ESCAPED = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True)
class Listing:
    """The output of READ_INSIDE. ``started``: the build of each process, by pid; ``mounted``: the
    mount points in its container, by pid; ``found``: the path on the machine to which a path in a
    container leads, by pid and path; ``identities``: by path on the machine.
    """

    started: Mapping[int, str] = field(default_factory=dict)
    mounted: Mapping[int, frozenset[str]] = field(default_factory=dict)
    found: Mapping[tuple[int, str], str] = field(default_factory=dict)
    identities: Mapping[str, str] = field(default_factory=dict)


def read_machine(world: World, machine: str, builds: Mapping[str, Build]) -> None:
    """Read a machine's files, and what its containers see of them, in one round trip. ``builds``:
    the builds that services should run. Raises LabError.
    """
    facts, link = world.facts, world.link(machine)
    containers = facts.containers.found[machine].containers
    alive = [
        (c, builds[c.labels[SERVICE_LABEL]])
        for c in containers
        if c.pid and c.labels.get(SERVICE_LABEL) in builds
    ]
    pairs = [
        argument
        for container, build in alive
        for path in ("", *build.mounts)
        for argument in (str(container.pid), path)
    ]
    # Only root may read the processes of other users, and folders of containers.
    done = link.shell.run(["sudo", "sh", "-c", READ_ALL, "sh", home(world.lab), *pairs])
    if done.code != 0:
        raise _unreadable(link, done.stderr)
    listed, rest = parse(done.stdout)
    wanted = world.wanted_on(machine)
    files = with_contents(link.shell, world.lab, machine, listed, wanted=wanted)
    listing = read_listing(rest)
    folders = {name for name, content in wanted.items() if is_folder(content)}
    seen: dict[str, str] = {}
    strange: dict[str, str] = {}
    for container, build in alive:
        for path in build.places:
            key = f"/proc/{container.pid}/root{path}"
            placed = see(listing, container.pid, path, build, files)
            if isinstance(placed, Placed):
                seen[key] = plain(placed.content)
            elif placed:
                strange[key] = placed
    for path, digest in _hash(link, strange.values()).items():
        content = plain(Placed(listing.identities[path]).holding(digest).content)
        seen |= {key: content for key, other in strange.items() if other == path}
    seen |= _read_copies(link, alive)
    facts.uploads.files[machine] = files
    detached = {c.pid: find_detached(listing, c.pid, build, files, folders) for c, build in alive}
    facts.uploads.inside[machine] = Inside(listing.started, seen, detached)


def _read_copies(link: Link, alive: Sequence[tuple[ContainerState, Build]]) -> dict[str, str]:
    """Return the content of the files that were copied into containers, by their path below
    /proc.
    """
    arguments = [
        argument
        for container, build in alive
        for path in build.copies
        for argument in (str(container.pid), path)
    ]
    if not arguments:
        return {}
    words = ["xargs", "-0", "-n", str(2 * CHUNK), "sh", "-c", READ_COPIES, "sh"]
    done = link.shell.run(["sudo", *words], stdin=nul(arguments))
    if done.code != 0:
        raise _unreadable(link, done.stderr)
    places, contents = read_copies(done.stdout)
    digests = _hash(link, [path for path, content in contents.items() if content.startswith(":")])
    found = {
        path: plain(f"{digests.get(path, '')}{content}") if content.startswith(":") else content
        for path, content in contents.items()
    }
    return {key: found[place] for key, place in places.items() if place in found}


def read_copies(text: str) -> tuple[dict[str, str], dict[str, str]]:
    """Read the output of READ_COPIES: the path that leads to each file from the machine, by its
    path below /proc; and the content of each: that of a link, or ":MODE" of a file. Pure.
    """
    fields = iter(text.split("\0"))
    places: dict[str, str] = {}
    contents: dict[str, str] = {}
    for kind in fields:
        if kind == "place":
            pid, path, place = next(fields), next(fields), next(fields)
            places[f"/proc/{pid}/root{path}"] = place
        elif kind == "entry":
            what, mode, target, place = (next(fields) for _ in range(4))
            if what in ("f", "l"):
                contents[place] = link_content(target) if what == "l" else f":{mode}"
    return places, contents


def see(listing: Listing, pid: int, path: str, build: Build, files: MachineFiles) -> Placed | str:
    """Return what a process sees at a path of one of its mounts: the machine's entry, if the mount
    shows that very entry; the path on the machine of a file that must be hashed; or "" if there is
    nothing, or something that hashlab has not uploaded. Pure.

    A mount that shows the machine's own folder shows everything in it, except below other mounts.
    """
    target = max((t for t in build.mounts if is_below(path, t)), key=len)
    name, found = build.mounts[target], listing.found.get((pid, target), "")
    identity, placed = listing.identities.get(found, ""), files.files.get(name)
    below = path[len(target.rstrip("/")) :] if path != target else ""
    if not below:
        if placed is not None and placed.identity == identity and placed.content:
            return placed
        return found if identity.startswith("f:") else ""
    if placed is None or not placed.is_same_folder(identity):
        return ""
    top = found.removeprefix(f"/proc/{pid}/root")
    if any(
        is_below(top + below, other) and len(other) > len(top)
        for other in listing.mounted.get(pid, ())
    ):
        return ""
    entry = files.files.get(build.places[path])
    return entry if entry is not None and entry.content else ""


def find_detached(
    listing: Listing, pid: int, build: Build, files: MachineFiles, folders: Collection[str]
) -> str:
    """Return the path of a mount that shows another folder than the machine now has in its place
    (after that was removed); "" if there is none. ``folders``: names of the folders that the
    machine should have. Pure.
    """
    for target, name in build.mounts.items():
        identity = listing.identities.get(listing.found.get((pid, target), ""), "")
        placed = files.files.get(name)
        same = placed is not None and placed.is_same_folder(identity)
        if name in folders and identity.startswith("d:") and not same:
            return target
    return ""


def read_listing(text: str) -> Listing:
    """Read the output of READ_INSIDE."""
    builds, _, rest = _split(text.split("\0"), "mounts")
    mounts, _, rest = _split(rest, "places")
    places, _, entries = _split(rest, "entries")
    mounted: dict[int, set[str]] = {}
    for line in "\0".join(mounts).split("\n"):
        path, _, mount = line.partition("\0")
        fields = mount.split(" ")
        if len(fields) > 4:
            where = _ESCAPED.sub(lambda octal: chr(int(octal[1], 8)), fields[4])
            mounted.setdefault(_pid(path), set()).add(where)
    return Listing(
        {
            _pid(path): variable.removeprefix(f"{BUILD_VARIABLE}=")
            for path, variable in zip(builds[0::2], builds[1::2], strict=False)
        },
        {pid: frozenset(paths) for pid, paths in mounted.items()},
        {
            (int(pid), path): found
            for pid, path, found in zip(places[0::3], places[1::3], places[2::3], strict=False)
        },
        dict(zip(entries[1::2], entries[0::2], strict=False)),
    )


def _split(fields: Sequence[str], mark: str) -> tuple[Sequence[str], str, Sequence[str]]:
    if mark not in fields:
        return fields, "", []
    place = fields.index(mark)
    return fields[:place], mark, fields[place + 1 :]


def _pid(path: str) -> int:
    return int(PurePosixPath(path).parent.name)


def _hash(link: Link, paths: Collection[str]) -> dict[str, str]:
    if not paths:
        return {}
    done = link.shell.run(["sudo", "sh", "-c", HASH_INSIDE, "sh"], stdin=nul(paths))
    if done.code != 0:
        raise _unreadable(link, done.stderr)
    entries = (entry.partition("  ") for entry in done.stdout.split("\0") if entry)
    return {path: digest for digest, _, path in entries}


def _unreadable(link: Link, output: str) -> LabError:
    return LabError("cannot read the containers", where=link.machine, output=output)
