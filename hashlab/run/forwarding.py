"""One `hashlab forward`: an SSH connection to each machine, which carries its ports until Ctrl-C.

On a machine, programs/forward.sh listens on unix sockets; OpenSSH's client listens on the laptop.
"""

from __future__ import annotations

import secrets
import shlex
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Literal, Protocol

from hashlab.documents.forward import ForwardedTarget, Forwards
from hashlab.errors import ExitCode, HashlabError, LabError, UsageError
from hashlab.phases.connect import is_located, reconnect, renew_endpoint
from hashlab.phases.forward import USAGE, Wish, targets, wish
from hashlab.phases.observe import sign_in, store_urls
from hashlab.phases.opening import address_of
from hashlab.phases.programs import CARRY, FORWARD
from hashlab.phases.stores import PROGRAMS
from hashlab.phases.world import World
from hashlab.pipeline import Cancelled, CancelToken
from hashlab.report import ForwardScreen
from hashlab.run.execution import Options, fail, unseen_step
from hashlab.run.openssh import check_machines, container_of, lasting
from hashlab.run.recorded_forwards import recorded, running_forwards
from hashlab.run.services import services_of
from hashlab.run.signals import terminating

# Seconds between two attempts to reach a machine that is away.
AGAIN_SECONDS = 1.0
READY, FAILED = "#ready", "#failed "
# What `hashlab open` opens the log store's page for.


@dataclass(frozen=True)
class Event:
    """Something that happened to a machine's ports. ``text``: why it is away; a connection's
    failure.
    """

    machine: str
    kind: Literal["ready", "away", "failed", "ended"]
    text: str = ""
    error: Exception | None = None


class MachineForward:
    """Carries the ports of one machine until it is cancelled, also after the machine was away.
    ``loopback``: those on the loopback of their containers, which no other container reaches.
    """

    def __init__(
        self,
        world: World,
        ports: Sequence[ForwardedTarget],
        say: Callable[[Event], None],
        cancel: CancelToken,
        *,
        loopback: bool = False,
    ) -> None:
        self._world, self._ports, self._say, self._cancel = world, ports, say, cancel
        self._prefix = "lo/" if loopback else ""
        self._machine = ports[0].machine
        self._failures = 0
        self._answered: float | None = None  # when the ports of this connection were ready
        self._away = False

    def run(self) -> None:
        """Carry until the end; it is the thread's target."""
        try:
            self._follow()
        except Cancelled:
            return
        except Exception as error:  # noqa: BLE001 - raised again where it is taken
            self._say(Event(self._machine, "ended", error=error))

    def _follow(self) -> None:
        while True:
            why = self._attempt()
            # It failed for the first time: its cached address may be old, so the provider is asked.
            if self._failures == 1:
                continue
            if not self._away:
                self._away = True
                self._say(Event(self._machine, "away", why))
            self._cancel.wait(AGAIN_SECONDS)

    def _attempt(self) -> str:
        """Carry until the connection is lost; return why."""
        try:
            if self._failures or not is_located(self._world, self._machine):
                renew_endpoint(self._world, self._machine)
        except LabError as error:
            self._failures += 1
            return error.what
        self._answered = None
        done = self._world.runner.stream(self._command(), cancel=self._cancel, on_lines=self._take)
        answered = self._answered
        lasted = answered is not None and time.monotonic() - answered > AGAIN_SECONDS
        self._failures = 1 if lasted else self._failures + 1
        return (done.stderr.strip().splitlines() or ["the connection ended"])[0]

    def _command(self) -> list[str]:
        # Each attempt has a folder of its own: the machine may still hold that of the last one.
        folder = f"/run/hashlab-forward-{secrets.token_hex(8)}"
        options = ["-T", "-o", "ExitOnForwardFailure=yes", "-o", "LogLevel=ERROR"]
        words = ["sudo", "sh", "-c", FORWARD, "sh", CARRY, folder]
        for number, each in enumerate(self._ports, 1):
            options += ["-L", f"{each.address}:{folder}/{number}"]
            words += [each.container, f"{self._prefix}{each.port}"]
        return lasting(self._world, self._machine, shlex.join(words), options)

    def _take(self, lines: Sequence[bytes]) -> None:
        for line in lines:
            text = line.decode(errors="replace")
            if text == READY:
                self._answered, self._away = time.monotonic(), False
                self._say(Event(self._machine, "ready"))
            elif text.startswith(FAILED):
                number, _, why = text.removeprefix(FAILED).partition(" ")
                each = self._ports[int(number) - 1]
                self._say(Event(self._machine, "failed", f"{each.service}:{each.port}: {why}"))


def forward(options: Options, words: Sequence[str]) -> ExitCode:
    """Forward the ports that were typed until Ctrl-C: OK."""
    with terminating():
        try:
            with options.opened() as world:
                ports = _targets(world, words)
            document = Forwards(world.lab.name, tuple(ports))
            screen = ForwardScreen(document, sys.stdout, notices=sys.stderr, json=options.json)
            for note in world.facts.notes:
                screen.notice(note)
            with (
                recorded(world.state.forwards, document),
                carrying(world, ports) as events,
            ):
                while True:
                    show(events.get(), screen)
        except HashlabError as error:
            return fail(error, options)
        except KeyboardInterrupt:
            return ExitCode.OK


class Screen(Protocol):
    """Shows what happens to the ports of machines."""

    def ready(self, machine: str) -> None:
        """Show that a machine's ports answer."""

    def away(self, machine: str, why: str) -> None:
        """Show that a machine was lost."""

    def notice(self, text: str) -> None:
        """Show a sentence."""


def show(event: Event, screen: Screen) -> None:
    """Show what happened. Raises the error of a thread that ended."""
    if event.error is not None:
        raise event.error
    if event.kind == "ready":
        screen.ready(event.machine)
    elif event.kind == "away":
        screen.away(event.machine, event.text)
    else:
        screen.notice(event.text)


def _targets(world: World, words: Sequence[str]) -> list[ForwardedTarget]:
    """Return the ports that were typed, once OpenSSH's files are right. Raises HashlabError."""
    if not words:
        raise UsageError("name a service", next_step=USAGE)
    wishes = [wish(word) for word in words]
    check_machines(world)
    with unseen_step("forward") as track:
        return targets(world, track, wishes, lambda name: container_of(world, name, ""))


def find_address(options: Options, word: str) -> str:
    """Return the address on the laptop of SERVICE or SERVICE:PORT, "" for the lab's first; of
    "logs" and "metrics" those of the stores' pages, unless it is a service. Raises HashlabError.
    """
    typed = wish(word) if word else Wish("")
    if typed.laptop:
        raise UsageError(f"{word!r} names a port of the laptop", next_step="SERVICE:PORT")
    with options.opened() as world, unseen_step("open") as track:
        if word in PROGRAMS and word not in (service.name for service in world.lab.services):
            return _store_page(world, word)
        services = services_of(world.lab, [typed.service]) if word else world.lab.services
        forwards = running_forwards(world.state.forwards)
        publishing = [m.name for m in world.lab.machines if m.forwarded_ports]
        wanted = {service.machine for service in services}
        for name in publishing:
            if name in wanted:
                reconnect(world, track, name)
        return address_of(
            world, forwards, service=typed.service, port=typed.port, services=services
        )


def _store_page(world: World, name: str) -> str:
    """Return the address of a store's page. Raises LabError."""
    page = store_urls(world).get(name)
    if page is None:
        stores = PROGRAMS[name].stores
        raise LabError(f"the {stores} does not run", next_step=f"hashlab dev --with {name}")
    sys.stderr.write(f"sign in: {sign_in(world)}\n")
    return page


@contextmanager
def carrying(
    world: World, ports: Sequence[ForwardedTarget], *, loopback: bool = False
) -> Iterator[SimpleQueue[Event]]:
    """Forward ports during the block, with a thread for each machine; yield what happens.
    ``loopback``: as for MachineForward.
    """
    cancel, events = CancelToken(), SimpleQueue[Event]()
    machines = dict.fromkeys(each.machine for each in ports)
    threads = [
        threading.Thread(
            target=MachineForward(
                world,
                [each for each in ports if each.machine == name],
                events.put,
                cancel,
                loopback=loopback,
            ).run,
            daemon=True,
        )
        for name in machines
    ]
    for thread in threads:
        thread.start()
    try:
        yield events
    finally:
        cancel.cancel()
        for thread in threads:
            thread.join()
