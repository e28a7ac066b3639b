"""Reads the journal of each machine in a thread of its own, and again when a lost one is back."""

from __future__ import annotations

import shlex
import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from hashlab.errors import LabError
from hashlab.logs.entries import Begin, Entry, read
from hashlab.logs.selection import Selection
from hashlab.phases.connect import is_located, renew_endpoint
from hashlab.phases.programs import READ_JOURNAL
from hashlab.phases.world import World
from hashlab.pipeline import Cancelled, CancelToken
from hashlab.run.openssh import lasting

# Seconds between two attempts to reach a machine that is away. After many of them, the machine is
# probably switched off, and each attempt costs the provider.
AGAIN_SECONDS = 1.0
MANY_ATTEMPTS = 20
SELDOM = 10
# OpenSSH's own failures, of which the connection is the usual one.
SSH_FAILED = 255
# Entries of one machine that wait to be shown. More would only delay those of the others.
MOST_WAITING = 2000


@dataclass(frozen=True, slots=True)
class Began:
    """The machine answered. ``again``: after it was away."""

    begin: Begin
    again: bool


@dataclass(frozen=True, slots=True)
class Live:
    """All entries that existed at the start have been read; new ones follow."""


@dataclass(frozen=True, slots=True)
class Away:
    """The machine was lost, and is tried again."""

    why: str


@dataclass(frozen=True, slots=True)
class Ended:
    """Nothing more follows; ``error``: why, if not all was read."""

    error: Exception | None = None


Item = Entry | Began | Live | Away | Ended


class Inbox:
    """Holds what the machines' threads have read until it is taken, a queue for each machine. A
    thread waits while its own queue is full, so that journalctl waits too.
    """

    def __init__(self, machines: Sequence[str]) -> None:
        self._queues: dict[str, deque[Item]] = {machine: deque() for machine in machines}
        self._changed = threading.Condition()
        self._closed = False

    def put(self, machine: str, items: Sequence[Item]) -> None:
        """Add items, once fewer than MOST_WAITING are there. Raises Cancelled after ``close``."""
        queue = self._queues[machine]
        with self._changed:
            self._changed.wait_for(lambda: self._closed or len(queue) < MOST_WAITING)
            self._check()
            queue.extend(items)
            self._changed.notify_all()

    def take(self, machine: str) -> list[Item]:
        """Return the items of one machine, at least one. Raises Cancelled after ``close``."""
        queue = self._queues[machine]
        with self._changed:
            self._changed.wait_for(lambda: self._closed or queue)
            self._check()
            return self._emptied(queue)

    def take_any(self, seconds: float | None) -> list[tuple[str, Item]]:
        """Return the items of all machines; none if none came within ``seconds``. Raises Cancelled
        after ``close``.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._closed or any(self._queues.values()), seconds)
            self._check()
            return [
                (machine, item)
                for machine, queue in self._queues.items()
                for item in self._emptied(queue)
            ]

    def close(self) -> None:
        """Wake all who wait, and let them end."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _check(self) -> None:
        if self._closed:
            raise Cancelled

    def _emptied(self, queue: deque[Item]) -> list[Item]:
        items = list(queue)
        queue.clear()
        self._changed.notify_all()
        return items


class MachineLog:
    """The journal of one machine, read into an inbox: once, or until it is cancelled.

    A machine that goes away is read again after the last entry that came, so that none is missing
    and none comes twice. ``after``: the cursor of the entry behind which reading begins.
    """

    def __init__(
        self,
        world: World,
        machine: str,
        selection: Selection,
        inbox: Inbox,
        cancel: CancelToken,
        *,
        after: str = "",
    ) -> None:
        self._world, self._machine = world, machine
        self._selection, self._inbox, self._cancel = selection, inbox, cancel
        self._cursor = after
        self._awaited = 0.0  # time of the last entry that existed at the start
        self._live = self._away = self._answered = False
        self._failures = 0

    def run(self) -> None:
        """Read until the end; it is the thread's target."""
        error: Exception | None = None
        try:
            self._read()
        except Cancelled:
            return
        except Exception as failure:  # noqa: BLE001 - raised again where it is taken
            error = failure
        with suppress(Cancelled):
            self._put(Ended(error))

    def _read(self) -> None:
        """Read to the end, or again and again. Raises LabError if a machine is lost for good."""
        while (lost := self._attempt()) is not None:
            # It failed for the first time: its cached address may be old, so the provider is asked.
            if self._failures == 1:
                continue
            if not self._selection.follow:
                raise lost
            if not self._away:
                self._away = True
                self._put(Away(lost.what))
            self._cancel.wait(AGAIN_SECONDS * (SELDOM if self._failures > MANY_ATTEMPTS else 1))

    def _attempt(self) -> LabError | None:
        """Read until the end of the journal, or return how the connection was lost."""
        began, self._answered = time.monotonic(), False
        try:
            if self._failures or not is_located(self._world, self._machine):
                renew_endpoint(self._world, self._machine)
        except LabError as error:
            self._failures += 1
            return error
        done = self._world.runner.stream(self._command(), cancel=self._cancel, on_lines=self._take)
        if done.code == 0 and not self._selection.follow:
            return None
        lasted = self._answered and time.monotonic() - began > AGAIN_SECONDS
        self._failures = 1 if lasted else self._failures + 1
        why = done.stderr.strip()
        lost = LabError(
            why or ("the connection ended" if self._answered else f"ssh failed: {done.code}"),
            where=self._machine,
            next_step="hashlab status",
        )
        if done.code != SSH_FAILED and not self._selection.follow:
            raise lost
        return lost

    def _command(self) -> list[str]:
        wanted = self._selection.for_journalctl(
            self._world.lab, after=self._cursor, live=self._live
        )
        program = shlex.join(["sudo", "sh", "-c", READ_JOURNAL, "sh", self._mode(), *wanted])
        return lasting(self._world, self._machine, program)

    def _mode(self) -> str:
        if not self._selection.follow:
            return "past"
        return "new" if self._selection.tail == 0 and not self._live else "follow"

    def _take(self, lines: Sequence[bytes]) -> None:
        items: list[Item] = []
        for line in lines:
            item = read(line)
            if isinstance(item, Begin):
                items += self._begun(item)
                continue
            self._cursor = item.cursor
            if self._selection.takes(item):
                items.append(item)
            if not self._live and item.time >= self._awaited:
                self._live = True
                items.append(Live())
        self._put(*items)

    def _begun(self, begin: Begin) -> list[Item]:
        began = Began(begin, again=self._away)
        self._answered, self._away = True, False
        if self._live:
            return [began, Live()]
        if self._awaited:
            return [began]
        self._awaited = begin.last_time
        if begin.last and self._selection.tail != 0 and begin.last != self._cursor:
            return [began]
        self._live, self._cursor = True, begin.last
        return [began, Live()]

    def _put(self, *items: Item) -> None:
        self._inbox.put(self._machine, items)
