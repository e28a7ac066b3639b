"""Brings the journal of one machine into the log store, each line once.

The store acknowledges rows before they are on its disk, and a killed store forgets the last
seconds. So the cursor that is saved is one that was acknowledged a while ago, and a reader that
starts again asks the store which entries after it are there already.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from hashlab.documents.status import MachineState
from hashlab.errors import LaptopError, StoreError
from hashlab.logs.entries import Entry
from hashlab.logs.gathering import HOLD_SECONDS, Gathered, Gathering, Joiner, source_of
from hashlab.logs.machines import Away, Began, Ended, Inbox, Item, Live, MachineLog
from hashlab.logs.selection import Selection
from hashlab.logs.stored import Known, read_known, rows_of
from hashlab.phases.world import World
from hashlab.pipeline import Cancelled, CancelToken
from hashlab.protocols import LogStore
from hashlab.state.files import read_json, write_json

# The store writes what it has acknowledged to its disk within 5 s (-inmemoryDataFlushInterval).
ON_DISK_SECONDS = 30.0
SAVE_SECONDS = 5.0
# Between two attempts to use a store that failed.
AGAIN_SECONDS = 1.0
# A line is given to the store after this time at the latest, whatever the machine's clock does.
LATEST_SECONDS = 1.0
CATCHING_UP = "older lines are still being stored"
OLD_BOX = "it is of an older box, which does not keep the logs of its services in its journal"


@dataclass(frozen=True)
class Place:
    """A place in a machine's journal: all entries up to ``cursor`` are stored, and of those behind
    it none by the first ``pull`` times that rows were given to the store.
    """

    cursor: str = ""
    pull: int = 0


class Progress:
    """Follows which entries of a journal are stored. A line may end after later ones.

    ``known``: the store has entries behind ``place`` already, which are still to be read.
    """

    def __init__(self, place: Place, *, known: bool) -> None:
        self._arrived: deque[str] = deque()
        self._stored: dict[str, int] = {}
        self._cursor, self._pull = place.cursor, place.pull
        self._known_pull = place.pull if known else None

    def arrived(self, cursor: str) -> None:
        """Add the next entry of the journal."""
        self._arrived.append(cursor)

    def stored(self, cursors: Iterable[str], pull: int) -> None:
        """Note that entries are stored, by a pull that was not before this one."""
        self._pull = max(self._pull, pull)
        self._stored.update(dict.fromkeys(cursors, pull))
        while self._arrived and self._arrived[0] in self._stored:
            self._cursor = self._arrived.popleft()
            del self._stored[self._cursor]

    def passed_known(self) -> None:
        """Note that all entries that the store had at the start have been read."""
        self._known_pull = None

    @property
    def place(self) -> Place:
        """The place before which no entry is missing."""
        if self._known_pull is not None:
            return Place(self._cursor, self._known_pull)
        return Place(self._cursor, min(self._stored.values(), default=self._pull + 1) - 1)


class SavedPlace:
    """The file that keeps the place of one machine between two readers.

    ``clock`` never goes back.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path, self._clock = path, clock
        self._acknowledged: deque[tuple[float, Place]] = deque()
        self._due = clock()

    def read(self) -> Place:
        """Return the saved place; the beginning of the journal without one."""
        self._acknowledged.clear()
        saved = read_json(self._path)
        try:
            return Place(str(saved["cursor"]), int(saved["pull"]))
        except (KeyError, TypeError, ValueError):
            return Place()

    def acknowledged(self, place: Place) -> None:
        """Note that the store has acknowledged all up to a place."""
        self._acknowledged.append((self._clock(), place))

    def save(self) -> None:
        """Save the last place that is on the store's disk, unless one was saved a moment ago. A
        full disk is no failure: the next reader asks the store about more entries.
        """
        now = self._clock()
        if now < self._due:
            return
        place = None
        while self._acknowledged and self._acknowledged[0][0] + ON_DISK_SECONDS <= now:
            place = self._acknowledged.popleft()[1]
        if place is None:
            return
        self._due = now + SAVE_SECONDS
        try:
            write_json(self._path, {"cursor": place.cursor, "pull": place.pull}, lasting=True)
        except LaptopError:
            self._acknowledged.appendleft((now - ON_DISK_SECONDS, place))


class Session:
    """Stores the entries behind the saved place of one machine's journal."""

    def __init__(
        self,
        lab: str,
        machine: str,
        store: LogStore,
        saved: SavedPlace,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        place = saved.read()
        self._lab, self._machine, self._store, self._saved = lab, machine, store, saved
        self._clock = clock
        self._known = read_known(store, lab, machine, after=place.pull)
        self._first_pull = place.pull + 1
        self._pull = max(place.pull, self._known.pull)
        self._progress = Progress(place, known=self._known.pull > 0)
        self._gathering = Gathering(Joiner())
        self._journal_clock = 0.0
        self._previous: float | None = None
        self._given = clock()
        self.after = place.cursor

    @property
    def waits(self) -> float | None:
        """Seconds after which lines that are held are complete; None: no line is held."""
        return None if self._gathering.due is None else HOLD_SECONDS

    def take(self, items: Iterable[Item]) -> None:
        """Add entries, and store the lines that are complete. Raises StoreError.

        Time passes as the entries say, so that old ones are put together as new ones are. Call it
        without any when none came for HOLD_SECONDS.
        """
        none = True
        for item in items:
            none = False
            if isinstance(item, Entry):
                self._add(item)
            elif isinstance(item, Live):
                self._progress.passed_known()
                self._known = Known(())
        now = self._clock()
        if none or now - self._given > LATEST_SECONDS:
            self._give(list(self._gathering.rest()))
        else:
            self._give(list(self._gathering.ready(self._journal_clock)))
        if self._gathering.due is None:
            self._given = now

    def _add(self, entry: Entry) -> None:
        self._progress.arrived(entry.cursor)
        # The clock of a machine may be set back; this one then stands still.
        if self._previous is not None:
            self._journal_clock += max(0.0, entry.time - self._previous)
        self._previous = entry.time
        if self._known.has(source_of(self._machine, entry)[1], entry.cursor):
            self._progress.stored([entry.cursor], self._first_pull)
        else:
            self._gathering.add(self._machine, entry, self._journal_clock)

    def _give(self, lines: Sequence[Gathered]) -> None:
        """Give lines to the store, and save the place in time. Raises StoreError."""
        if lines:
            self._pull += 1
            rows = [row for line in lines for row in rows_of(self._lab, line, pull=self._pull)]
            self._store.insert(rows)
            self._progress.stored((cursor for line in lines for cursor in line.cursors), self._pull)
            self._given = self._clock()
            self._saved.acknowledged(self._progress.place)
        self._saved.save()


class Feed:
    """Stores the lines of one machine until it is cancelled.

    ``report`` gets why new lines are not stored now, "" if they are; ``came`` gets "running" when
    the machine answers, "unreachable" when it does not any more.
    """

    def __init__(
        self,
        world: World,
        machine: str,
        store: LogStore,
        *,
        saved: SavedPlace,
        report: Callable[[str], None],
        came: Callable[[MachineState], None],
        cancel: CancelToken,
    ) -> None:
        self._world, self._machine, self._store = world, machine, store
        self._saved, self._report, self._came, self._cancel = saved, report, came, cancel

    def run(self) -> None:
        """Read and store, again after each failure of the store; it is the thread's target."""
        with suppress(Cancelled), closing(self._store):
            while True:
                try:
                    self._read()
                except StoreError as error:
                    self._report(error.what)
                self._cancel.wait(AGAIN_SECONDS)

    def _read(self) -> None:
        """Read and store until the journal cannot be read. Raises StoreError."""
        session = Session(self._world.lab.name, self._machine, self._store, self._saved)
        inbox, cancel = Inbox([self._machine]), CancelToken()
        everything = Selection((self._machine,), follow=True, everything=True)
        log = MachineLog(self._world, self._machine, everything, inbox, cancel, after=session.after)
        thread = threading.Thread(target=log.run, daemon=True)
        with self._cancel.calling(inbox.close):
            thread.start()
            try:
                ended = False
                while not ended:
                    items = [item for _, item in inbox.take_any(session.waits)]
                    session.take(items)
                    ended = any(map(self._ends, items))
            finally:
                inbox.close()
                cancel.cancel()
                thread.join()

    def _ends(self, item: Item) -> bool:
        """Report what happened to the machine; return whether no more follows."""
        if isinstance(item, Began):
            self._came("running")
            self._report(CATCHING_UP if item.begin.journald else OLD_BOX)
        elif isinstance(item, Live):
            self._report("")
        elif isinstance(item, Away):
            self._came("unreachable")
            self._report(item.why)
        elif isinstance(item, Ended):
            self._report(str(item.error))
            return True
        return False
