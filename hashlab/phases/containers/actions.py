"""Decides what must happen to one container (create, replace, reload, …), and does it."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, replace
from typing import Literal

from hashlab.config.model import Lab, Service
from hashlab.documents.run import RELOADED
from hashlab.errors import HashlabError, LabError
from hashlab.phases.builds import Build
from hashlab.phases.changes import note_ended
from hashlab.phases.containers import copies
from hashlab.phases.containers.before_start import Place, run_steps
from hashlab.phases.containers.body import BUILD_LABEL, container_body, container_name
from hashlab.phases.containers.completion import is_done
from hashlab.phases.containers.fronts import drain
from hashlab.phases.containers.hooks import after_edit, after_start, before_stop
from hashlab.phases.containers.reload import (
    after_swap,
    differs,
    process_of,
    remember,
    started,
    swap,
)
from hashlab.phases.containers.sandbox import Fault, has_sandbox, network_holder
from hashlab.phases.containers.sandboxes import ensure_sandbox
from hashlab.phases.upload.machine import MachineFiles
from hashlab.phases.world import World
from hashlab.pipeline import Track
from hashlab.protocols import ContainerState, Engine

# The detail of a service's row begins with one of these, or with RELOADED, if no container was
# replaced.
STARTED_AGAIN = "started again"
ALIVE = ("running", "restarting", "paused")
SYNCHRONISED = "synchronised"
RESTARTED = "restarted"
AS_ASKED = f"{RESTARTED} as asked"


@dataclass(frozen=True)
class Action:
    """The action for one container, with the reason that the user sees.

    ``paths``: files in it that its process may take in without a restart.
    """

    kind: Literal["keep", "create", "replace", "start", "reload", "copy", "restart"]
    reason: str = ""
    paths: tuple[str, ...] = ()


def decide(
    build: Build,
    existing: ContainerState | None,
    *,
    files: MachineFiles | None = None,
    detached: str = "",
    parted: str = "",
    fault: Fault | None = None,
) -> Action:
    """Compare the wanted build with the ``existing`` container and decide. Pure.

    ``files``: what is known of the machine's processes; ``detached``: a mount of the container that
    shows another folder than the machine has there now; ``parted``: why it no longer shares what it
    should with another container; ``fault``: why it is not in its service's network.
    """
    if existing is None:
        return Action("create", "started")
    if detached:
        parted = f"the folder at {detached} was removed on its machine"
    if fault and fault.kind == "replace":
        parted = parted or fault.reason
    if parted:
        # Only a new container sees the new folder, or the new network.
        return Action("replace", f"replaced: {parted}")
    files = files or MachineFiles()
    process = process_of(existing, files)
    runs = process.build if process else existing.labels.get(BUILD_LABEL)
    if process and set(process.reloaded) - set(build.reloadable):
        runs = None  # no command could prove any more which files it took in
    if runs != build.start_id:
        paths = differs(build, process) if fault is None else ()
        reason = RELOADED if paths else "replaced: its build changed"
        return Action("reload" if paths else "replace", reason, paths)
    if existing.state == "exited":
        return _decide_ended(existing, done=is_done(existing, files))
    if existing.state != "running":
        return Action("replace", f"replaced: it was {existing.state}")
    return _anew(build, fault.reason) if fault else Action("keep")


def _decide_ended(existing: ContainerState, *, done: bool) -> Action:
    if done:
        return Action("keep", "completed")
    # It keeps the files that it wrote, as under `docker compose up`.
    how = f"it had ended with exit code {existing.exit_code}"
    return Action("start", f"{STARTED_AGAIN}: {how}")


def _anew(build: Build, why: str) -> Action:
    """Return the action for a container whose process must start again."""
    if build.reloadable or build.copies:
        # Files that a process has taken in would be lost.
        return Action("replace", f"replaced: {why}")
    return Action("restart", f"{RESTARTED}: {why}")


@dataclass(frozen=True)
class Job:
    """The work on one service. ``networks``: the ids of its networks, by name; ``renew``: its
    sandboxes are replaced as well.
    """

    world: World
    service: Service
    build: Build
    step: Track
    networks: Mapping[str, str]
    renew: bool = False

    @property
    def engine(self) -> Engine:
        """The Docker Engine of the service's machine."""
        return self.world.link(self.service.machine).engine


def carry_out(job: Job, action: Action, old: ContainerState | str) -> str:
    """Do what was decided to a container, or to the name of a missing one; return what was done."""
    if isinstance(old, str):
        _replace(job, old)
        return action.reason
    reason = action.reason
    if action.kind == "start":
        _start(job, old)
        return reason
    if action.kind == "restart":
        _restart(job, old)
        return reason
    if action.kind in ("reload", "copy"):
        act = _reload if action.kind == "reload" else _synchronise
        taken, why = act(job, old, action.paths)
        if taken:
            return f"{reason}: {taken}"
        reason = f"replaced: {why}"
    _replace(job, old)
    return reason


def _reload(job: Job, container: ContainerState, paths: tuple[str, ...]) -> tuple[str, str]:
    """Put changed files into the running process. Return what it took, or "" and why not."""
    world, machine = job.world, job.service.machine
    process = process_of(container, world.facts.uploads.files[machine])
    if process is None:
        return "", "its process was restarted"
    job.step.detail("reloading")
    world.about_to_change()
    try:
        taken, why = swap(world, job.build, paths, job.step.cancel)
    except HashlabError as error:
        world.note(f"{job.service.name}: {error.what} ({error.where})")
        return "", error.what
    if taken:
        remember(world, machine, container.id, after_swap(job.build, process, paths))
    return taken, why


def _synchronise(job: Job, container: ContainerState, _: tuple[str, ...]) -> tuple[str, str]:
    """Copy and delete files in a running container. Return what was done, or "" and why not."""
    world, machine, build = job.world, job.service.machine, job.build
    uploads = world.facts.uploads
    todo = copies.difference(build, container, uploads.inside[machine], uploads.files[machine])
    world.about_to_change()
    try:
        copies.copy(world, job.engine, container.id, build, todo.send)
        copies.remove(job.engine, container.id, todo.remove)
        after_edit(job.engine, container.id, job.service, (*todo.send, *todo.remove))
    except LabError as error:
        # A new container starts with the files as they are now.
        world.note(f"{job.service.name}: {error.what}")
        return "", error.what
    known = process_of(container, uploads.files[machine]) or started(build, container)
    copied = tuple(sorted(build.copies))
    if known.copied != copied or container.id not in uploads.files[machine].processes:
        remember(world, machine, container.id, replace(known, copied=copied))
    return str(todo), ""


def _replace(job: Job, old: ContainerState | str) -> None:
    """Start a new container in place of ``old``, or with that name if there is none."""
    world, engine, build = job.world, job.engine, job.build
    check_external_volumes(world.lab, job.service, engine)
    world.about_to_change(restart=True)
    if isinstance(old, ContainerState):
        drain(world, old, job.step)
        job.step.detail("stopping")
        stop_and_remove(engine, old, world.lab)
    job.step.cancel.check()
    job.step.detail("starting")
    name = old if isinstance(old, str) else old.name
    owners = owners_of(world, job.service)
    holder = _holder(job, name)
    shared = {each: owner.id for each, owner in owners.items() if owner}
    body = container_body(
        world.lab,
        job.service,
        build=build.start_id,
        holder=holder,
        owners=shared,
        time_factor=world.provider.time_factor,
    )
    identifier = engine.create(name, body)
    world.facts.containers.started.add(identifier)
    world.facts.containers.replaced.add(job.service.name)
    copies.copy(world, engine, identifier, build, build.copies)
    if name == container_name(world.lab, job.service, 1):
        place = Place(holder, shared)
        run_steps(world.lab, engine, job.service, place, job.step)
    engine.start(identifier)
    after_start(engine, identifier, job.service)
    if build.reloadable or build.copies:
        container = engine.container(identifier)
        if container is not None:
            remember(world, job.service.machine, identifier, started(build, container))


def _holder(job: Job, container: str) -> str:
    """Return the id of the container in whose network a container with this name runs, or ""."""
    world, service = job.world, job.service
    if has_sandbox(service):
        networks, renew = job.networks, job.renew
        return ensure_sandbox(world, job.step, service, container, networks, renew=renew).id
    holder = joined_holder(world, service)
    return holder.id if holder else ""


def joined_holder(world: World, service: Service) -> ContainerState | None:
    """Return the container in whose network a service runs that joins another one, as it is now."""
    if not service.joined:
        return None
    name = network_holder(world.lab, service)
    return world.link(service.machine).engine.container(name)


def _start(job: Job, old: ContainerState) -> None:
    """Start a container that ended, with the files that it wrote."""
    job.world.about_to_change(restart=True)
    job.step.detail("starting")
    _holder(job, old.name)
    job.world.facts.containers.started.add(old.id)
    job.engine.start(old.id)
    after_start(job.engine, old.id, job.service)
    container = job.engine.container(old.id)
    if job.build.reloadable and container is not None:
        # It has read the files as they are now, so it takes in further ones.
        machine = job.service.machine
        known = job.world.facts.uploads.files[machine].processes.get(old.id)
        process = started(job.build, container)
        copied = known.copied if known else process.copied
        remember(job.world, machine, old.id, replace(process, copied=copied))


def _restart(job: Job, old: ContainerState) -> None:
    """Stop a container and start it again, with the files that it wrote."""
    job.world.about_to_change(restart=True)
    drain(job.world, old, job.step)
    job.step.detail("restarting")
    stop_container(job.engine, old, job.world.lab)
    note_ended(job.world, [(job.service.machine, old.name)])
    _start(job, old)


def after_dependency(action: Action, service: Service, build: Build, replaced: Set[str]) -> Action:
    """Return the action for a container that stays, if one of ``replaced`` is a service with whose
    container it must be restarted. Pure.
    """
    causes = [d.service for d in service.depends_on if d.restart and d.service in replaced]
    if action.kind != "keep" or not causes:
        return action
    return _anew(build, f"{causes[0]} was replaced")


def check_external_volumes(lab: Lab, service: Service, engine: Engine) -> None:
    """Raise LabError for an external volume that the service's machine lacks: the engine would make
    an empty one.
    """
    for volume in map(lab.volume, filter(None, (mount.volume for mount in service.volumes))):
        if volume.external and not engine.has_volume(volume.name):
            command = f"docker volume create {volume.name}"
            raise LabError(
                f"service {service.name} mounts the external volume {volume.name}, which does not "
                "exist",
                where=service.machine,
                next_step=f"make it: hashlab ssh {service.machine} --command '{command}', or "
                "remove 'external'",
            )


def owners_of(world: World, service: Service) -> dict[str, ContainerState | None]:
    """Return the first container of each service with which this one shares something besides a
    network.
    """
    engine = world.link(service.machine).engine
    services = [other for other in world.lab.services if other.name in service.owners]
    return {each.name: engine.container(container_name(world.lab, each, 1)) for each in services}


def stop_and_remove(engine: Engine, container: ContainerState, lab: Lab) -> None:
    """Stop a container within its own grace period, and remove it."""
    stop_container(engine, container, lab)
    engine.remove(container.id)


def stop_container(engine: Engine, container: ContainerState, lab: Lab) -> None:
    """Stop a container that runs, within its own grace period, after its service's hooks. It is not
    removed.
    """
    if container.state in ALIVE:
        before_stop(engine, container, lab)
        engine.stop(container.id, timeout=container.grace)
