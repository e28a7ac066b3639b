"""Puts changed files into running processes by the user's own command, and checks them later."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from hashlab.config.model import Reload
from hashlab.errors import HashlabError, LabError
from hashlab.phases.builds import Build
from hashlab.phases.containers.body import container_name
from hashlab.phases.debugging import private_forward
from hashlab.phases.steps import command_of, step_environment
from hashlab.phases.upload.machine import MachineFiles, Process, write_processes
from hashlab.phases.world import World
from hashlab.pipeline import CancelToken
from hashlab.protocols import ContainerState

RELOAD_SECONDS = 60.0
# The path of a unix socket.
DEBUGGER_VARIABLE = "HASHLAB_DEBUGGER"


def process_of(container: ContainerState, files: MachineFiles) -> Process | None:
    """Return what is known of a container's process besides its container's labels; None if
    nothing.

    A process that took files in and was restarted since then has read the files again, but its
    container still has the old build id: its build is then unknown.
    """
    process = files.processes.get(container.id)
    if process is None or container.state != "running":
        return None
    if process.started_at == container.started_at:
        return process
    return replace(process, build="", fixed="") if process.reloaded else None


def differs(build: Build, process: Process | None) -> tuple[str, ...]:
    """Return the changed paths in the container, if the process may take in all that changed; else
    nothing. Pure.
    """
    wanted = build.reload_files
    if process is None or process.fixed != build.fixed or set(process.files) != set(wanted):
        return ()
    return tuple(path for path, content in wanted.items() if process.files[path] != content)


def swap(world: World, build: Build, paths: Iterable[str], cancel: CancelToken) -> tuple[str, str]:
    """Put changed files into a service's process. Return what it took, or "" and why not.

    Raises LabError if the command fails.
    """
    answer = _ask(world, build, "swap", paths, cancel)
    if answer.get("taken") is True:
        return str(answer.get("detail", "")) or "taken", ""
    return "", str(answer.get("why") or "it was not taken")


def after_swap(build: Build, process: Process, paths: Iterable[str]) -> Process:
    """Return what is known of the process after it has taken these files."""
    reloaded = tuple(sorted({*process.reloaded, *paths}))
    return replace(process, build=build.start_id, files=build.reload_files, reloaded=reloaded)


def started(build: Build, container: ContainerState) -> Process:
    """Return what is known of a process that has just started."""
    return Process(
        container.started_at,
        build.start_id,
        build.fixed,
        build.reload_files,
        copied=tuple(sorted(build.copies)),
    )


def remember(world: World, machine: str, container: str, process: Process) -> None:
    """Record on the machine what a process runs; forget processes that are gone."""
    link = world.link(machine)
    with world.lock:
        files = world.facts.uploads.files[machine]
        processes = {name: p for name, p in files.processes.items() if link.engine.container(name)}
        processes[container] = process
        write_processes(link.shell, world.lab, machine, processes)
        world.facts.uploads.files[machine] = replace(files, processes=processes)


def distrust(world: World, machine: str, container: ContainerState) -> None:
    """Mark a process that took files in and does not run them, so that the next run replaces it."""
    process = world.facts.uploads.files[machine].processes.get(container.id)
    if process is not None and process.reloaded:
        remember(world, machine, container.id, replace(process, build="", fixed=""))


def stale_after_reload(world: World, build: Build, process: Process, cancel: CancelToken) -> str:
    """Ask the process itself whether it runs the reloaded files. Return why not; "" if it does."""
    try:
        stale = _ask(world, build, "prove", process.reloaded, cancel).get("stale")
    except HashlabError as error:
        return f"what was reloaded cannot be proved: {error.what}"
    if not isinstance(stale, Mapping):
        return "what was reloaded cannot be proved: the command printed no 'stale'"
    return next((f"{path}: {why}" for path, why in stale.items()), "")


def _ask(
    world: World, build: Build, word: str, paths: Iterable[str], cancel: CancelToken
) -> Mapping[str, Any]:
    """Run the service's reload command. Raises LabError if it fails or prints no JSON object."""
    reload = world.lab.reload(build.service)
    if reload is None:
        raise LabError("hashlab.toml no longer has a reload", where=build.service)
    files = {path: str(build.reloadable[path]) for path in paths if path in build.reloadable}
    question = {"service": build.service, "build": build.start_id, "files": files}
    with _debugger(world, build.service) as variables:
        done = world.runner.run(
            [*command_of(world, reload.command), word],
            cwd=world.lab.folder,
            env={**step_environment(world), **variables},
            stdin=json.dumps(question),
            timeout=RELOAD_SECONDS * world.provider.time_factor,
            cancel=cancel,
            users=True,
        )
    if done.code != 0:
        raise _wrong(reload, word, f"failed with exit code {done.code}", done.stderr)
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        answer = None
    if not isinstance(answer, Mapping):
        raise _wrong(reload, word, "printed no JSON object", done.stdout + done.stderr)
    return answer


@contextmanager
def _debugger(world: World, name: str) -> Iterator[dict[str, str]]:
    """Yield the variable that says where the debugger's port of a service answers, if it has one.
    Raises LabError if its container does not run.
    """
    service = world.lab.service(name)
    if service.debugger is None:
        yield {}
        return
    link = world.link(service.machine)
    container = link.engine.container(container_name(world.lab, service, 1))
    if container is None or not container.pid:
        raise LabError("its container does not run", where=name)
    with private_forward(link, container.pid, service.debugger.port) as path:
        yield {DEBUGGER_VARIABLE: str(path)}


def _wrong(reload: Reload, word: str, what: str, output: str) -> LabError:
    return LabError(
        f"the reload command {what}", where=" ".join((*reload.command, word)), output=output
    )
