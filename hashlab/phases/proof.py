"""Phase ``proof``: reads back from inside every running container what it really runs."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from hashlab.errors import HashlabError, LabError
from hashlab.phases.builds import Build, build_id
from hashlab.phases.containers import observe_containers, replica_names, wanted_builds
from hashlab.phases.containerspec import BUILD_LABEL, BUILD_VARIABLE, SERVICE_LABEL
from hashlab.phases.laptopfiles import upload_root
from hashlab.phases.machinefiles import (
    IDENTITY,
    MachineFiles,
    Placed,
    digests_in,
    nul,
    observe_files,
)
from hashlab.phases.readiness import is_one_shot
from hashlab.phases.reload import distrust, process_of, stale_after_reload
from hashlab.phases.world import World
from hashlab.pipeline import CancelToken, Track, parallel
from hashlab.protocols import ContainerState

# Files are looked at through the process's own view of its file system, so a mount that still shows
# an old file is seen as what it is. One that is the very file of the machine needs no hashing.
READ_INSIDE = f"""
for pid in "$@"; do
    printf '%s\\0' "$pid"
    grep -z '^HASHLAB_BUILD=' "/proc/$pid/environ" || printf 'HASHLAB_BUILD=\\0'
done
printf 'files\\0'
xargs -0 -r sh -c 'find -H "$@" -maxdepth 0 -type f -printf "{IDENTITY}"' sh 2> /dev/null
exit 0
"""
HASH_INSIDE = """
xargs -0 -r sha256sum -z -- 2> /dev/null
exit 0
"""


# A process whose build nobody knows.
ANEW = "it took files in, and was started anew or changed since"

# The build each process was started as, by pid; the content that processes see, by path.
Inside = tuple[Mapping[int, str], Mapping[str, str]]


@dataclass(frozen=True)
class Running:
    """What one container was found to run. ``build`` "" when it does not run at all."""

    container: ContainerState
    machine: str
    service: str
    build: str
    stale: str = ""


def prove(world: World, track: Track, _: str) -> None:
    """Promise: what runs in every container is what was built; a difference is a failure."""
    try:
        _prove(world, track)
    except HashlabError:
        # The application's own test may pass meanwhile, but it tested what nobody has built.
        world.about_to_change()
        raise


def _prove(world: World, track: Track) -> None:
    wanted = wanted_builds(world)
    found = read_back(world, wanted, track.cancel)
    stale = [running for running in found if running.stale]
    for running in stale:
        distrust(world, running.machine, running.container)
    wrong = [f"{r.service} on {r.machine}: {r.stale}" for r in stale]
    wrong += missing(world, found)
    if wrong:
        raise LabError(
            "; ".join(wrong),
            where="what runs is not what was built",
            next_step="hashlab refresh; if it stays, please report it with .hashlab/runs",
        )
    track.detail(f"{len(found)} containers run what was built")


def read_back(world: World, wanted: Mapping[str, Build], cancel: CancelToken) -> list[Running]:
    """Ask every machine once what its containers run."""
    there = observe_containers(world)
    found = parallel(
        there, lambda machine: _read_machine(world, machine, there[machine], wanted, cancel), cancel
    )
    return [running for machine in found for running in machine]


def missing(world: World, found: Iterable[Running]) -> list[str]:
    """Say which containers should be there and are not."""
    there = {(running.machine, running.container.name) for running in found}
    return [
        f"{service.name} on {service.machine}: {name} is not there"
        for service in world.lab.services
        for name in replica_names(world.lab, service)
        if (service.machine, name) not in there
    ]


def _read_machine(
    world: World,
    machine: str,
    containers: list[ContainerState],
    wanted: Mapping[str, Build],
    cancel: CancelToken,
) -> list[Running]:
    known = [c for c in containers if c.labels.get(SERVICE_LABEL) in wanted]
    builds = {c.id: wanted[c.labels[SERVICE_LABEL]] for c in known}
    alive = [c for c in known if c.pid]
    files = _files(world, machine, wanted)
    started, seen = _ask(world, machine, alive, builds, files) if alive else ({}, {})
    one_shots = {service.name for service in world.lab.services if is_one_shot(service)}
    found = [
        _judge(machine, c, builds[c.id], (started, seen), files)
        if c.state == "running"
        else _judge_ended(machine, c, builds[c.id], one_shots)
        for c in known
    ]
    found = [_judge_leftovers(world, one, files, builds[one.container.id]) for one in found]
    return [_judge_reloaded(world, one, files, builds[one.container.id], cancel) for one in found]


def _files(world: World, machine: str, wanted: Mapping[str, Build]) -> MachineFiles:
    """What lies on the machine: as upload found it in this run, or asked now."""
    known = world.facts.files.get(machine)
    if known is not None:
        return known
    services = world.services_on(machine)
    names = {f"files/{n}" for s in services for n in wanted[s.name].places.values()}
    found = observe_files(world.link(machine).shell, world.lab, machine, wanted=names)
    return world.facts.files.setdefault(machine, found)


def _ask(
    world: World,
    machine: str,
    alive: Sequence[ContainerState],
    builds: Mapping[str, Build],
    files: MachineFiles,
) -> Inside:
    """The build each process was started as, by pid, and the content it sees, by path."""
    expected = {
        f"/proc/{c.pid}/root{path}": files.files.get(builds[c.id].places[path])
        for c in alive
        for path in [*builds[c.id].start_files, *builds[c.id].sync_files]
    }
    pids = [str(c.pid) for c in alive]
    said = _look(world, machine, ["sh", "-c", READ_INSIDE, "sh", *pids], expected)
    head, _, listing = said.partition("files\0")
    words = head.split("\0")
    started = {
        int(pid): variable.removeprefix(f"{BUILD_VARIABLE}=")
        for pid, variable in zip(words[0::2], words[1::2], strict=False)
    }
    pairs = listing.split("\0")
    identities = dict(zip(pairs[1::2], pairs[0::2], strict=False))
    return started, _contents(world, machine, identities, expected)


def _contents(
    world: World, machine: str, identities: Mapping[str, str], expected: Mapping[str, Placed | None]
) -> dict[str, str]:
    seen: dict[str, str] = {}
    strange: list[str] = []
    for path, identity in identities.items():
        placed = expected[path]
        if placed is not None and placed.identity == identity and placed.content:
            seen[path] = placed.content
        else:
            strange.append(path)
    if strange:
        listing = _look(world, machine, ["sh", "-c", HASH_INSIDE, "sh"], strange)
        for path, digest in digests_in(listing).items():
            seen[path] = Placed(identities[path]).holding(digest).content
    return seen


def _look(world: World, machine: str, words: list[str], paths: Iterable[str]) -> str:
    done = world.link(machine).shell.run(["sudo", *words], stdin=nul(paths))
    if done.code != 0:
        raise LabError("cannot look inside the containers", where=machine, output=done.stderr)
    return done.stdout


def _judge(
    machine: str,
    container: ContainerState,
    build: Build,
    inside: Inside,
    files: MachineFiles,
) -> Running:
    """Compare one running container with its build; pure."""
    started, seen = inside
    service = container.labels[SERVICE_LABEL]
    root = f"/proc/{container.pid}/root"
    sync = {path: seen.get(root + path, "") for path in build.sync_files}
    # Some servers write their title over their environment (nginx does); then what counts is the
    # environment the engine started the process with, which nothing can change.
    start_id = started.get(container.pid) or container.labels.get(BUILD_LABEL, "")
    process = process_of(container, files)
    if process is not None and start_id == container.labels.get(BUILD_LABEL):
        start_id = process.build
    if not start_id:
        return Running(container, machine, service, "", ANEW)
    running = build_id(start_id, sync)
    old = [path for path, content in build.start_files.items() if seen.get(root + path) != content]
    if old:
        return Running(container, machine, service, running, f"it sees another {old[0]}")
    stale = "" if running == build.id else f"it runs build {running}, built was {build.id}"
    return Running(container, machine, service, running, stale)


def _judge_leftovers(world: World, running: Running, files: MachineFiles, build: Build) -> Running:
    """A file that hashlab put there and nobody wants any more must not be seen."""
    if running.stale or not running.build:
        return running
    service = next(s for s in world.lab.services if s.name == running.service)
    root, wanted = upload_root(world.lab), set(build.places.values())
    left = sorted(
        name
        for name in files.own & set(files.files) - wanted
        if any((root / name).is_relative_to(bind.source) for bind in service.binds)
    )
    return replace(running, stale=f"it still sees {left[0]}") if left else running


def _judge_reloaded(
    world: World, running: Running, files: MachineFiles, build: Build, cancel: CancelToken
) -> Running:
    """What was put into a running process is asked of the process itself."""
    process = process_of(running.container, files)
    if running.stale or process is None or not process.reloaded:
        return running
    return replace(running, stale=stale_after_reload(world, build, process, cancel))


def _judge_ended(
    machine: str, container: ContainerState, build: Build, one_shots: Container[str]
) -> Running:
    """Judge a container that does not run: fine for a one-shot that completed this build; pure."""
    service = container.labels[SERVICE_LABEL]
    if service not in one_shots or container.state != "exited" or container.exit_code != 0:
        return Running(container, machine, service, "", f"it is {container.state}")
    started = container.labels.get(BUILD_LABEL, "")
    if started != build.start_id:
        stale = f"it ran build {started}, built was {build.id}"
        return Running(container, machine, service, started, stale)
    return Running(container, machine, service, build.id)
