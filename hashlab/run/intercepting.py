"""One `hashlab intercept`: a process on the laptop takes the place of a service until it ends."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from queue import Empty, SimpleQueue
from tempfile import TemporaryDirectory

from hashlab.documents.intercept import InterceptedPort, InterceptSession, ReachedPort
from hashlab.errors import ExitCode, HashlabError, LabError, LockedError, UsageError
from hashlab.phases.changes import note_ended
from hashlab.phases.intercepting import reached_names, took_files_in
from hashlab.phases.world import World
from hashlab.report import InterceptScreen, Silent
from hashlab.run import workflows
from hashlab.run.carrying import Carrying, Event, Plan
from hashlab.run.execution import Options, Workflow, fail, perform
from hashlab.run.execution import Plan as Plans
from hashlab.run.handover import Handover, hand_over
from hashlab.run.intercept_plan import Wish, make_plans
from hashlab.run.lock import held
from hashlab.run.naming import ALLOW, Naming, choose_naming
from hashlab.run.proxy import Proxy
from hashlab.run.signals import terminating
from hashlab.state.files import remove_tree

READY_SECONDS = 60.0
# A command that ignores SIGTERM is killed after this.
ENDING_SECONDS = 5.0
Events = SimpleQueue[Event]


def intercept(options: Options, wish: Wish, *, command: Sequence[str]) -> int:
    """Let a command, or a process that the user starts, take the place of a service. Return the
    command's exit code; OK after Ctrl-C without a command.
    """
    with terminating():
        try:
            with options.opened() as world:
                return _intercept(world, options, wish, command)
        except HashlabError as error:
            return fail(error, options)
        except KeyboardInterrupt:
            return ExitCode.INTERRUPTED if command else ExitCode.OK


def _intercept(world: World, options: Options, wish: Wish, command: Sequence[str]) -> int:
    if command and shutil.which(command[0]) is None:
        raise UsageError(f"program {command[0]!r} was not found", next_step="check the command")
    naming = choose_naming(world, wish.mode)
    # Paths of unix sockets are short, so the lab's folder may be too long.
    with TemporaryDirectory(prefix="hashlab-") as folder:
        sock = Path(folder) / "any" if naming.proxy else None
        plans = make_plans(world, wish, addresses=naming.addresses, any_name=sock)
        for plan in plans:
            if took_files_in(world, plan.place):
                _restart(options, plan.place.service.name)
        with _proxy(world, plans[0]) as port:
            naming = replace(naming, proxy_port=port)
            return _take_place(world, options, plans, naming, command)


@contextmanager
def _proxy(world: World, plan: Plan) -> Iterator[int]:
    """Run the proxy to all names of the lab, if the plan has its socket. Return its port, or 0."""
    if plan.any_name is None:
        yield 0
        return
    proxy = Proxy(reached_names(world.lab, plan.place.service), plan.any_name)
    try:
        yield proxy.start()
    finally:
        proxy.end()


def _take_place(
    world: World,
    options: Options,
    plans: Sequence[Plan],
    naming: Naming,
    command: Sequence[str],
) -> int:
    service, reached = plans[0].place.service, plans[0].reached
    folder = world.state.intercepts / service.name
    events: Events = SimpleQueue()
    carried = [Carrying(world, plan, events.put) for plan in plans]
    try:
        # No run changes the lab meanwhile; a later one leaves the service alone.
        with held(world.state.lock, "intercept"):
            for each in carried:
                each.start()
            _await_ready(events, service.family, len(carried))
            places = [plan.place for plan in plans]
            note_ended(world, [(p.service.machine, name) for p in places for name in p.containers])
        files = hand_over(folder, service, reached, naming)
        session = _session(world, plans, files, naming)
        screen = InterceptScreen(session, sys.stdout, sys.stderr, json=options.json)
        for note in (_explained(naming), *world.facts.notes):
            if note:
                screen.notice(note)
        screen.ready()
        return _follow(events, files, command, namespace=naming.mode == "namespace")
    finally:
        for each in carried:
            each.cancel()
        for each in carried:
            each.end()
        remove_tree(folder)


def _explained(naming: Naming) -> str:
    if not naming.refused:
        return ""
    return (
        f"names of services reach only JVMs, and programs that use a proxy: {naming.refused}. "
        f"For all programs, {ALLOW}"
    )


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


def _await_ready(events: Events, name: str, count: int) -> None:
    """Wait until the process may take the service's place on all of its machines, ``count``.
    Raises HashlabError.
    """
    for _ in range(count):
        try:
            event = events.get(timeout=READY_SECONDS)
        except Empty:
            message = f"after {READY_SECONDS:g} s nothing takes the place of {name}"
            raise LabError(message) from None
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
        f"the intercept ended: {event.error or event.text}",
        next_step="hashlab intercept again; hashlab status shows what runs",
    )


def _session(
    world: World, plans: Sequence[Plan], files: Handover, naming: Naming
) -> InterceptSession:
    first = plans[0]
    return InterceptSession(
        lab=world.lab.name,
        service=first.place.service.family,
        machine=first.place.service.machine,
        containers=tuple(name for plan in plans for name in plan.place.containers),
        mode=naming.mode,
        ports=tuple(InterceptedPort(p.port, f"127.0.0.1:{p.laptop}") for p in first.ports),
        reached=tuple(
            ReachedPort(each.name, each.port, f"{each.address}:{each.port}")
            for each in first.reached
        ),
        environment=str(files.environment_file),
        hosts=str(files.hosts),
        proxy=f"127.0.0.1:{naming.proxy_port}" if naming.proxy_port else "",
        enter=str(files.enter) if naming.mode == "namespace" else "",
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
