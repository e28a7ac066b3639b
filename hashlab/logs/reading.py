"""One `hashlab logs`: the past of all machines merged, then what comes, until Ctrl-C."""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from functools import partial
from heapq import merge
from itertools import islice
from typing import Any, Protocol

from hashlab.documents.logs import LogLine
from hashlab.errors import ExitCode, HashlabError, LaptopError, UsageError
from hashlab.logs.entries import Entry
from hashlab.logs.gathering import Gathering, Joiner
from hashlab.logs.machines import Away, Began, Ended, Inbox, Item, Live, MachineLog
from hashlab.logs.selection import Selection, select
from hashlab.logs.stored import is_stored, stored_lines
from hashlab.phases.happened import last_change
from hashlab.phases.observe import has_store
from hashlab.phases.world import World
from hashlab.pipeline import Cancelled, CancelToken
from hashlab.protocols import Observation, StoreState
from hashlab.report import LogScreen, LogStyle, show_error
from hashlab.run.execution import Options, fail
from hashlab.run.openssh import check_machines
from hashlab.run.signals import terminating

# Lines that are written at once.
BATCH = 500
# A clock that is off by less hardly changes the order of lines that people compare.
CLOCK_SECONDS = 2.0


class Screen(Protocol):
    """Takes what is read: a LogScreen, or something that passes it on."""

    def show(self, lines: Sequence[LogLine]) -> None:
        """Take lines in the order of time."""

    def notice(self, text: str) -> None:
        """Take a sentence about a machine."""


class Reading:
    """Takes what the machines' threads read, and shows it in the order of time.

    ``clock`` never goes back; ``now`` is Unix time.
    """

    def __init__(
        self,
        selection: Selection,
        inbox: Inbox,
        screen: Screen,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float],
    ) -> None:
        self._selection, self._inbox, self._screen = selection, inbox, screen
        self._clock, self._now = clock, now
        self._joiner = Joiner()
        self._left: list[tuple[str, Item]] = []
        self._ended: set[str] = set()
        self.errors: list[HashlabError] = []

    def past(self) -> None:
        """Show the lines that exist already."""
        lines: Iterable[LogLine] = filter(
            self._selection.accepts,
            merge(*map(self._past_of, self._selection.machines), key=lambda line: line.time),
        )
        show_last(lines, self._selection, self._screen)

    def live(self) -> None:
        """Show new lines until no machine has any more, or until KeyboardInterrupt."""
        gathering = Gathering(self._joiner)
        items, self._left = self._left, []
        while True:
            now = self._clock()
            for machine, item in items:
                if isinstance(item, Entry):
                    gathering.add(machine, item, now)
                else:
                    self._note(machine, item)
            self._show(each.line for each in gathering.ready(now))
            if self._ended.issuperset(self._selection.machines):
                break
            due = gathering.due
            items = self._inbox.take_any(None if due is None else max(0.0, due - self._clock()))
        self._show(each.line for each in gathering.rest())

    def _past_of(self, machine: str) -> Iterator[LogLine]:
        """Yield a machine's lines in the order of time, up to its first sign that more is new."""
        gathering = Gathering(self._joiner)
        now, previous = 0.0, None
        while True:
            items = iter(self._inbox.take(machine))
            for item in items:
                if isinstance(item, Entry):
                    # Its own times are the clock; one that was set back stands still.
                    now += max(0.0, item.time - (item.time if previous is None else previous))
                    previous = item.time
                    gathering.add(machine, item, now)
                    continue
                self._note(machine, item)
                if isinstance(item, Live | Away | Ended):
                    yield from (each.line for each in gathering.rest())
                    self._left += [(machine, later) for later in items]
                    return
            yield from (each.line for each in gathering.ready(now))

    def _note(self, machine: str, item: Item) -> None:
        """Report what happened to a machine."""
        if isinstance(item, Began):
            self._note_begin(machine, item)
        elif isinstance(item, Away):
            self._screen.notice(
                f"machine {machine} does not answer ({item.why}); its lines follow when it does"
            )
        elif isinstance(item, Ended):
            self._ended.add(machine)
            if isinstance(item.error, HashlabError):
                self.errors.append(item.error)
            elif item.error is not None:
                raise item.error

    def _note_begin(self, machine: str, began: Began) -> None:
        if began.again:
            self._screen.notice(f"machine {machine} answers again")
        if not began.begin.journald and not self._selection.units:
            self._screen.notice(
                f"machine {machine} is of an older box, which does not keep the logs of its "
                "services in its journal. Next: hashlab dev --replace"
            )
        ahead = began.begin.clock - self._now()
        if abs(ahead) > CLOCK_SECONDS:
            how = "ahead of" if ahead > 0 else "behind"
            self._screen.notice(
                f"the clock of machine {machine} is {abs(ahead):.0f} s {how} the laptop's; "
                "its lines have the times of its own clock"
            )

    def _show(self, lines: Iterable[LogLine]) -> None:
        if accepted := list(filter(self._selection.accepts, lines)):
            self._screen.show(accepted)


def show_last(lines: Iterable[LogLine], selection: Selection, screen: Screen) -> None:
    """Show lines, or the last ones of them."""
    if selection.tail is not None:
        lines = deque(lines, maxlen=selection.tail)
    remaining = iter(lines)
    while batch := list(islice(remaining, BATCH)):
        screen.show(batch)


def show_stored(world: World, selection: Selection, screen: Screen) -> bool:
    """Show the lines that the log store has; return False if it does not answer, or cannot know
    which lines are wanted. Raises StoreError if it stops in the middle.
    """
    if not is_stored(selection) or not has_store(world):
        return False
    seen = world.observer.observation() or _started(world)
    log_store = seen.store("logs") if seen else StoreState(None, "its process does not start")
    if seen is None or log_store.address is None:
        why = log_store.why
        screen.notice(f"the log store does not answer ({why}), so the machines are asked")
        return False
    for machine in selection.machines:
        if missing := seen.machines.get(machine):
            screen.notice(f"new lines of machine {machine} are missing: {missing}")
    store = world.observer.store(log_store.address)
    with closing(store):
        lines = filter(selection.accepts, stored_lines(store, world.lab.name, selection))
        show_last(lines, selection, screen)
    return True


def _started(world: World) -> Observation | None:
    """Start the store, which ends when no machine has answered for long."""
    try:
        return world.observer.start()
    except LaptopError:
        return None


def read_logs(options: Options, *, raw: bool, words: Mapping[str, Any]) -> ExitCode:
    """Show log lines: OK; INTERRUPTED by Ctrl-C before the end of what exists; LAB if a machine's
    could not be read. ``words``: the parameters of ``select``.
    """
    with terminating():
        try:
            if raw and options.json:
                raise UsageError("--raw and --json print different things", next_step="choose one")
            world = options.world()
            changed = partial(last_change, world.state)
            selection = select(world.lab, **words, now=time.time(), changed=changed)
            style: LogStyle = "json" if options.json else "raw" if raw else "text"
            screen = _screen(world, style=style)
            if not selection.follow and show_stored(world, selection, screen):
                return ExitCode.OK
            check_machines(world)
        except KeyboardInterrupt:
            return ExitCode.INTERRUPTED
        except HashlabError as error:
            return fail(error, options)
        try:
            with reading(world, selection, screen) as current:
                current.past()
                if selection.follow:
                    current.live()
        except KeyboardInterrupt:
            return ExitCode.OK if selection.follow else ExitCode.INTERRUPTED
        for lost in current.errors:
            show_error(lost, stream=sys.stderr)
        return ExitCode.LAB if current.errors else ExitCode.OK


@contextmanager
def beside(options: Options, turn: threading.Lock) -> Iterator[None]:
    """Show new lines during the block, while nobody else holds ``turn``. Raises HashlabError."""
    world = options.world()
    with following(world, _screen(world, turn=turn), tail=0):
        yield


@contextmanager
def following(world: World, screen: Screen, *, tail: int) -> Iterator[None]:
    """Show the last lines of all services, ``tail`` of them, and new ones during the block, from a
    thread. Raises HashlabError.
    """
    check_machines(world)
    selection = Selection(tuple(world.machine_names()), follow=True, tail=tail)
    with reading(world, selection, screen) as current:
        thread = threading.Thread(target=_follow, args=(current, screen), daemon=True)
        thread.start()
        yield


def _follow(current: Reading, screen: Screen) -> None:
    """Show new lines until the inbox is closed, or until their reader is gone."""
    with suppress(Cancelled, BrokenPipeError):
        current.past()
        current.live()
        for lost in current.errors:
            screen.notice(str(lost))


def _screen(
    world: World, *, turn: AbstractContextManager[object] | None = None, style: LogStyle = "text"
) -> LogScreen:
    replicas = {service.name: service.replicas for service in world.lab.services}
    return LogScreen(sys.stdout, notices=sys.stderr, replicas=replicas, style=style, turn=turn)


@contextmanager
def reading(
    world: World,
    selection: Selection,
    screen: Screen,
    *,
    now: Callable[[], float] = time.time,
) -> Iterator[Reading]:
    """Read the machines' journals in threads during the block. ``now`` returns Unix time."""
    cancel, inbox = CancelToken(), Inbox(selection.machines)
    threads = [
        threading.Thread(target=MachineLog(world, name, selection, inbox, cancel).run, daemon=True)
        for name in selection.machines
    ]
    for thread in threads:
        thread.start()
    try:
        yield Reading(selection, inbox, screen, now=now)
    finally:
        inbox.close()
        cancel.cancel()
        for thread in threads:
            thread.join()
        world.close()
