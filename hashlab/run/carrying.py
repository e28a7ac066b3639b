"""The connection of an intercept: SSH in both directions, and the renewal of its lease."""

from __future__ import annotations

import getpass
import secrets
import shlex
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hashlab.errors import LabError
from hashlab.phases.containers.sandbox import sandbox_name
from hashlab.phases.intercepting import Inbound, Outbound, Place, record_folder
from hashlab.phases.programs import CONNECT, INTERCEPT, LEASE, RENEW
from hashlab.phases.world import World
from hashlab.pipeline import Cancelled, CancelToken
from hashlab.run.openssh import lasting

# The machine gives the service back ten seconds after the last renewal.
RENEW_SECONDS = 2.0
UNANSWERED = "connect_to "
READY, HELD, FAILED = "#ready", "#held ", "#failed "


@dataclass(frozen=True)
class Plan:
    """All that an intercept needs to begin on one machine. ``reached`` and ``any_name``, a unix
    socket to make on the laptop for all names of the lab, are those of the first machine only.
    """

    place: Place
    ports: Sequence[Inbound]
    reached: Sequence[Outbound] = ()
    any_name: Path | None = None


@dataclass(frozen=True)
class Event:
    """Something that happened. ``text``: who holds the service, or why the connection ended;
    ``code``: of the command that ended.
    """

    kind: Literal["ready", "held", "lost", "command"]
    text: str = ""
    code: int = 0
    error: Exception | None = None


class Carrying:
    """An intercept at work, in threads of its own until ``end``."""

    def __init__(self, world: World, plan: Plan, say: Callable[[Event], None]) -> None:
        self._world, self._plan, self._say = world, plan, say
        self._cancel = CancelToken()
        self._record = record_folder(world.lab, plan.place.service)
        self._why = ""
        self._threads = [
            threading.Thread(target=work, daemon=True) for work in (self._carry, self._renew)
        ]

    def start(self) -> None:
        """Take the service's place; the event "ready" or "held" follows."""
        for thread in self._threads:
            thread.start()

    def cancel(self) -> None:
        """Begin to end, as ``end`` does, and do not wait."""
        self._cancel.cancel()

    def end(self) -> None:
        """End the connection; the machine then starts the service's container again."""
        self._cancel.cancel()
        for thread in self._threads:
            thread.join()

    def _carry(self) -> None:
        try:
            done = self._world.runner.stream(
                self._command(), cancel=self._cancel, on_lines=self._take
            )
        except Cancelled:
            return
        except Exception as error:  # noqa: BLE001 - raised again where it is taken
            self._say(Event("lost", error=error))
            return
        # OpenSSH reports each connection to a port at which the process does not listen yet.
        lines = [line for line in done.stderr.splitlines() if not line.startswith(UNANSWERED)]
        self._say(Event("lost", self._why or (lines or ["the connection ended"])[0]))

    def _command(self) -> list[str]:
        plan, world = self._plan, self._world
        folder = f"/run/hashlab-intercept-{secrets.token_hex(8)}"
        # sshd makes these sockets before the program runs, as the user of the connection.
        inner = f"/tmp/hashlab-{secrets.token_hex(8)}"  # noqa: S108 - on the machine
        words = [
            *("sudo", "sh", "-c", INTERCEPT, "sh", self._record),
            *(f"{getpass.getuser()}@{socket.gethostname()}", f"{time.time():.0f}"),
            " ".join(plan.place.containers),
            " ".join(map(sandbox_name, plan.place.containers)),
            " ".join(plan.place.replicas),
            *(LEASE, CONNECT, folder),
        ]
        # With a terminal OpenSSH sends small packets at once, without one after 40 ms.
        options = ["-tt", "-o", "ExitOnForwardFailure=yes", "-o", "LogLevel=ERROR"]
        for port in plan.ports:
            sock = f"{inner}-{port.port}"
            options += ["-R", f"{sock}:127.0.0.1:{port.laptop}"]
            words += ["in", str(port.port), sock]
        for number, each in enumerate(plan.reached, 1):
            options += ["-L", f"{each.address}:{each.port}:{folder}/{number}"]
            words += ["out", each.name, str(each.port)]
        if plan.any_name is not None:
            options += ["-L", f"{plan.any_name}:{folder}/any"]
            words += ["any", "any", "-"]
        return lasting(world, plan.place.service.machine, shlex.join(words), options)

    def _take(self, lines: Sequence[bytes]) -> None:
        for line in lines:
            text = line.decode(errors="replace").strip()
            if text == READY:
                self._say(Event("ready"))
            elif text.startswith(HELD):
                self._say(Event("held", text.removeprefix(HELD)))
            elif text.startswith(FAILED):
                self._why = f"not ready: {text.removeprefix(FAILED)}"

    def _renew(self) -> None:
        """Renew the lease until the end. If that fails, the machine ends the connection, which is
        reported.
        """
        shell = self._world.link(self._plan.place.service.machine).shell
        with suppress(Cancelled):
            while True:
                self._cancel.wait(RENEW_SECONDS)
                with suppress(LabError):
                    shell.run(["sudo", "sh", "-c", RENEW, "sh", self._record])
