"""One `hashlab intercept`: a process on the laptop takes the place of a service until it ends."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from datetime import datetime
from pathlib import Path
from queue import Empty, SimpleQueue

from hashlab.documents.intercept import InterceptedPort, InterceptSession, ReachedPort
from hashlab.errors import ExitCode, HashlabError, LabError, LaptopError, LockedError, UsageError
from hashlab.phases.connect import reconnect
from hashlab.phases.containers.body import replica_names
from hashlab.phases.intercepting import (
    Outbound,
    check_service,
    inbound,
    listening_ports,
    neighbours,
    own_ports,
    took_files_in,
)
from hashlab.phases.world import World
from hashlab.pipeline import CancelToken
from hashlab.report import InterceptScreen, Silent
from hashlab.run import workflows
from hashlab.run.carrying import Carrying, Event, Plan
from hashlab.run.execution import Options, Workflow, fail, perform, unseen_step
from hashlab.run.execution import Plan as Plans
from hashlab.run.handover import Handover, hand_over
from hashlab.run.lock import held
from hashlab.run.openssh import check_machines
from hashlab.run.services import services_of
from hashlab.run.signals import terminating
from hashlab.state.files import remove_tree

READY_SECONDS = 60.0
PROBE_SECONDS = 10.0
# A command that ignores SIGTERM is killed after this.
ENDING_SECONDS = 5.0
# Blocks of 127.65.0.0/16 among which each intercept chooses one at random.
BLOCKS = 250
FIRST_FREE_PORT = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
Events = SimpleQueue[Event]


def intercept(
    options: Options, service: str, *, ports: Sequence[str], command: Sequence[str]
) -> int:
    """Let a command, or a process that the user starts, take the place of a service. Return the
    command's exit code; OK after Ctrl-C without a command.
    """
    with terminating():
        try:
            with options.opened() as world:
                return _intercept(world, options, service, ports, command)
        except HashlabError as error:
            return fail(error, options)
        except KeyboardInterrupt:
            return ExitCode.INTERRUPTED if command else ExitCode.OK


def _intercept(
    world: World, options: Options, name: str, ports: Sequence[str], command: Sequence[str]
) -> int:
    plan = _plan(world, name, ports)
    if took_files_in(world, plan.service):
        _restart(options, plan.service.name)
    refused = _namespace_refused(world)
    events: Events = SimpleQueue()
    carrying = Carrying(world, plan, events.put)
    folder = world.state.intercepts / plan.service.name
    try:
        # No run changes the lab meanwhile; a later one leaves the service alone.
        with held(world.state.lock, "intercept"):
            carrying.start()
            _await_ready(events, name)
        files = hand_over(folder, plan.service, plan.reached, namespace=not refused)
        session = _session(world, plan, files, namespace=not refused)
        screen = InterceptScreen(session, sys.stdout, sys.stderr, json=options.json)
        for note in (refused, *world.facts.notes):
            if note:
                screen.notice(note)
        screen.ready()
        return _follow(events, files, command, namespace=not refused)
    finally:
        carrying.end()
        remove_tree(folder)


def _restart(options: Options, service: str) -> None:
    """Replace a service's containers by ones that start with its present files, without a word.
    Raises HashlabError.
    """
    for command, workflow in (
        ("stop", workflows.stopping([service])),
        ("refresh", workflows.REFRESH),
    ):
        done = perform(command, _only(workflow), options, lambda: nullcontext(Silent()))
        if done.result.error is not None:
            raise done.result.error


def _only(workflow: Workflow) -> Plans:
    return lambda _: [workflow]


def _plan(world: World, name: str, words: Sequence[str]) -> Plan:
    """Return what leads where, once all machines are connected. Raises HashlabError."""
    service, *others = services_of(world.lab, [name])
    if others:
        raise UsageError(
            f"service {name} runs on several machines",
            next_step=f"name one of them: hashlab intercept {service.name}",
        )
    check_service(service)
    typed = inbound(words)
    check_machines(world)
    with unseen_step("intercept") as track:
        for machine in world.machine_names():
            reconnect(world, track, machine)
    listening = listening_ports(world)
    ports = typed or own_ports(service, listening)
    for port in ports:
        if not world.port_is_free(port.laptop):
            raise UsageError(
                f"port {port.laptop} of the laptop is in use",
                next_step=f"hashlab intercept {name} --port {port.port}=LAPTOPPORT",
            )
    block = secrets.randbelow(BLOCKS)
    reached = [
        each
        for each in neighbours(world.lab, service, listening, block=block)
        if _can_listen(world, each)
    ]
    return Plan(service, replica_names(world.lab, service), ports, reached)


def _can_listen(world: World, each: Outbound) -> bool:
    """Return whether this user can listen at an address of the laptop; note it if not."""
    with socket.socket() as probe:
        try:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((each.address, each.port))
        except OSError as error:
            world.note(f"{each.name}:{each.port} is not reached from the laptop: {error.strerror}")
            return False
    return True


def _namespace_refused(world: World) -> str:
    """Return why commands cannot have a namespace of their own; "" if they can."""
    probe = ["unshare", "--user", "--map-root-user", "--mount", "true"]
    try:
        done = world.runner.run(probe, timeout=PROBE_SECONDS, cancel=CancelToken())
    except LaptopError as error:
        why = error.what
    else:
        if done.code == 0:
            return ""
        why = done.stderr.strip()
    return (
        f"names of services reach only JVMs, by -Djdk.net.hosts.file: {why}. For all programs, "
        "allow user namespaces: sysctl kernel.apparmor_restrict_unprivileged_userns=0"
    )


def _await_ready(events: Events, name: str) -> None:
    """Wait until the process may take the service's place. Raises HashlabError."""
    try:
        event = events.get(timeout=READY_SECONDS)
    except Empty:
        raise LabError(f"after {READY_SECONDS:g} s nothing takes the place of {name}") from None
    if event.kind == "held":
        holder, _, since = event.text.rpartition(" ")
        raise LockedError(
            f"service {name} is intercepted by {holder or 'somebody'} since {_clock(since)}",
            next_step="wait until it is given back: hashlab status",
        )
    if event.kind == "lost":
        raise _lost(event)


def _clock(since: str) -> str:
    return f"{datetime.fromtimestamp(int(since)):%H:%M:%S}" if since.isdecimal() else since


def _lost(event: Event) -> HashlabError:
    if isinstance(event.error, HashlabError):
        return event.error
    return LabError(
        f"the lab has the service back: {event.error or event.text}",
        next_step="hashlab intercept again; hashlab status shows what runs",
    )


def _session(world: World, plan: Plan, files: Handover, *, namespace: bool) -> InterceptSession:
    return InterceptSession(
        lab=world.lab.name,
        service=plan.service.name,
        machine=plan.service.machine,
        mode="namespace" if namespace else "jvm",
        ports=tuple(InterceptedPort(p.port, f"127.0.0.1:{p.laptop}") for p in plan.ports),
        reached=tuple(
            ReachedPort(each.name, each.port, f"{each.address}:{each.port}")
            for each in plan.reached
        ),
        environment=str(files.environment_file),
        hosts=str(files.hosts),
        enter=str(files.enter) if namespace else "",
        files=files.places,
        missing=files.missing,
    )


def _follow(events: Events, files: Handover, command: Sequence[str], *, namespace: bool) -> int:
    """Run the command, or wait for Ctrl-C; end with it. Raises LabError if the lab takes the
    service back first.
    """
    pid = _start(events, files, command, namespace=namespace) if command else 0
    try:
        while True:
            event = events.get()
            if event.kind == "command":
                pid = 0
                return event.code
            if event.kind == "lost":
                raise _lost(event)
    finally:
        if pid:
            _end(events, pid)


def _start(events: Events, files: Handover, command: Sequence[str], *, namespace: bool) -> int:
    """Start the command with our input and output; its end becomes an event. Raises UsageError."""
    words = [str(files.enter), *command] if namespace else list(command)
    try:
        pid = os.posix_spawnp(words[0], words, {**os.environ, **files.environment})
    except OSError as error:
        raise UsageError(
            f"{command[0]}: {error.strerror}", next_step="check the command"
        ) from error

    def wait() -> None:
        _, status = os.waitpid(pid, 0)
        code = os.waitstatus_to_exitcode(status)
        events.put(Event("command", code=code if code >= 0 else 128 - code))

    threading.Thread(target=wait, daemon=True).start()
    return pid


def _end(events: Events, pid: int) -> None:
    """End the command: by the Ctrl-C that it got too, else by SIGTERM, else by SIGKILL."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.kill(pid, number)
        with suppress(Empty):
            while events.get(timeout=ENDING_SECONDS).kind != "command":
                pass
            return
