"""One `hashlab debug`: the port of a service's debugger on the laptop until Ctrl-C."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from hashlab.config.compose.debugger import DEBUG_LABEL
from hashlab.config.model import Debugger
from hashlab.documents.debug import DebugSession
from hashlab.documents.forward import ForwardedTarget
from hashlab.errors import ExitCode, HashlabError, LabError, UsageError
from hashlab.phases.connect import reconnect
from hashlab.phases.debugging import port_state
from hashlab.phases.forward import Wish, targets, valid_port
from hashlab.phases.world import World
from hashlab.pipeline import Track
from hashlab.report import DebugScreen
from hashlab.run.editors import intellij, vscode
from hashlab.run.editors.files import opened_folder, write
from hashlab.run.execution import Options, fail, unseen_step
from hashlab.run.forwarding import carrying, show
from hashlab.run.openssh import check_machines, container_of
from hashlab.run.services import services_of
from hashlab.run.signals import terminating

HELP = "docs/how-to/debug.md"


@dataclass(frozen=True)
class _Found:
    """The debugger of a service, and its port with its place on the laptop."""

    debugger: Debugger
    target: ForwardedTarget
    attached: bool


def debug(options: Options, service: str, *, port: str, save: bool) -> ExitCode:
    """Forward the debugger's port of a service until Ctrl-C: OK. ``save``: write the attach
    configuration instead of printing it.
    """
    with terminating():
        try:
            with options.opened() as world:
                found = _find(world, service, port)
            root = opened_folder(world.lab.folder)
            session = _session(world, found, root)
            written = write(session, root) if save else None
            screen = DebugScreen(session, written, sys.stdout, sys.stderr, json=options.json)
            for note in world.facts.notes:
                screen.notice(note)
            if found.attached:
                screen.notice(f"a debugger is attached to {service} at this moment")
            with carrying(world, [found.target], loopback=True) as events:
                while True:
                    show(events.get(), screen)
        except HashlabError as error:
            return fail(error, options)
        except KeyboardInterrupt:
            return ExitCode.OK


def _find(world: World, name: str, port: str) -> _Found:
    """Return the debugger of a service that listens at this moment. Raises HashlabError."""
    service = services_of(world.lab, [name])[0]
    if service.debugger is None:
        raise UsageError(
            f"service {name} has no label {DEBUG_LABEL}",
            next_step=f'labels: {{ {DEBUG_LABEL}: "jdwp 5005 ./src/main/java" }}, see {HELP}',
        )
    laptop = valid_port(port) if port else None
    check_machines(world)
    wish = Wish(name, service.debugger.port, laptop)
    with unseen_step("debug") as track:
        [target] = targets(world, track, [wish], lambda each: container_of(world, each, ""))
        state = _state(world, track, service.debugger, target)
    return _Found(service.debugger, target, state == "attached")


def _state(world: World, track: Track, debugger: Debugger, target: ForwardedTarget) -> str:
    if target.machine not in world.facts.machines.links:
        reconnect(world, track, target.machine)
    link = world.link(target.machine)
    container = link.engine.container(target.container)
    if container is None or not container.pid:
        raise LabError(
            f"service {target.service} does not run", where=target.machine, next_step="hashlab dev"
        )
    state = port_state(link, container.pid, debugger.port)
    if state == "nothing":
        raise LabError(
            f"service {target.service} has no debugger: nothing listens on its port "
            f"{debugger.port}",
            where=target.machine,
            next_step=f"start it with {debugger.kind}, see {HELP}",
        )
    return state


def _session(world: World, found: _Found, root: Path) -> DebugSession:
    debugger, target = found.debugger, found.target
    name = f"hashlab: {target.service}"
    port = int(target.address.rpartition(":")[2])
    return DebugSession(
        lab=world.lab.name,
        service=target.service,
        container=target.container,
        machine=target.machine,
        debugger=debugger.kind,
        port=target.port,
        address=target.address,
        vscode=vscode.entry(name, debugger, port, root),
        intellij=intellij.configuration(name, debugger.kind, port),
    )
