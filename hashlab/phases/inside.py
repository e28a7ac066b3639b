"""What processes in containers run and see, as the machine's kernel tells it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from hashlab.errors import LabError
from hashlab.phases.builds import Build
from hashlab.phases.containerspec import BUILD_VARIABLE, SERVICE_LABEL
from hashlab.phases.laptopfiles import home
from hashlab.phases.machinefiles import (
    IDENTITY,
    OBSERVE,
    Inside,
    Placed,
    digests_in,
    nul,
    parse,
    with_contents,
)
from hashlab.phases.world import World
from hashlab.protocols import Link

# Files are looked at through the process's own view of its file system, so a mount that still shows
# an old file is seen as what it is. One that is the very file of the machine needs no hashing.
# `find` complains of files that are not there, which says no more than that they are not listed;
# one before GNU findutils 4.9 complains of this option.
FROM_STDIN = "-files0-from"
READ_INSIDE = f"""
for pid in "$@"; do
    shift
    set -- "$@" "/proc/$pid/environ"
done
[ $# -eq 0 ] || grep --with-filename --null --null-data '^{BUILD_VARIABLE}=' "$@" 2> /dev/null
printf 'files\\0'
find -H {FROM_STDIN} - -maxdepth 0 -type f -printf '{IDENTITY}'
exit 0
"""
# Both in one program: to start one over SSH takes as long as what it does.
READ_ALL = f"""
{OBSERVE}
shift
{READ_INSIDE}
"""
HASH_INSIDE = """
xargs -0 -r sha256sum -z -- 2> /dev/null
exit 0
"""


def read_machine(world: World, machine: str, builds: Mapping[str, Build]) -> None:
    """Find out what lies on a machine, and what its containers that were looked at make of it, in
    one round trip; ``builds``: what services should be running. Raises LabError.
    """
    facts, link = world.facts, world.link(machine)
    there = facts.containers[machine]
    alive = [c for c in there if c.pid and c.labels.get(SERVICE_LABEL) in builds]
    places = {
        f"/proc/{c.pid}/root{path}": build.places[path]
        for c in alive
        for build in [builds[c.labels[SERVICE_LABEL]]]
        for path in [*build.start_files, *build.sync_files]
    }
    pids = [str(c.pid) for c in alive]
    # Only root may look into the processes of others.
    words = ["sudo", "sh", "-c", READ_ALL] if alive else ["sh", "-c", READ_ALL]
    done = link.shell.run([*words, "sh", home(world.lab), *pids], stdin=nul(places))
    if done.code != 0 or FROM_STDIN in done.stderr:
        raise _cannot_look(link, done.stderr)
    listed, rest = parse(done.stdout)
    names = world.names_on(machine)
    files = with_contents(link.shell, world.lab, machine, listed, wanted=names)
    head, _, listing = rest.partition("files\0")
    pairs = listing.split("\0")
    identities = dict(zip(pairs[1::2], pairs[0::2], strict=False))
    expected = {path: files.files.get(name) for path, name in places.items()}
    facts.files[machine] = files
    facts.inside[machine] = Inside(_started(head), _seen(link, identities, expected))


def _started(head: str) -> dict[int, str]:
    words = head.split("\0")
    return {
        int(PurePosixPath(path).parent.name): variable.removeprefix(f"{BUILD_VARIABLE}=")
        for path, variable in zip(words[0::2], words[1::2], strict=False)
    }


def _seen(
    link: Link, identities: Mapping[str, str], expected: Mapping[str, Placed | None]
) -> dict[str, str]:
    seen: dict[str, str] = {}
    strange: list[str] = []
    for path, identity in identities.items():
        placed = expected[path]
        if placed is not None and placed.identity == identity and placed.content:
            seen[path] = placed.content
        else:
            strange.append(path)
    digests = _hash(link, strange) if strange else {}
    return seen | {path: Placed(identities[path]).holding(d).content for path, d in digests.items()}


def _hash(link: Link, paths: Sequence[str]) -> dict[str, str]:
    done = link.shell.run(["sudo", "sh", "-c", HASH_INSIDE, "sh"], stdin=nul(paths))
    if done.code != 0:
        raise _cannot_look(link, done.stderr)
    return digests_in(done.stdout)


def _cannot_look(link: Link, output: str) -> LabError:
    return LabError("cannot look into the containers", where=link.machine, output=output)
