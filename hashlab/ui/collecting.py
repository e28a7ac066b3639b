"""Observes the lab while somebody looks, and puts what it finds into the feed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from hashlab.daemon import client
from hashlab.daemon.reader import Outdated, Reader
from hashlab.documents import to_json
from hashlab.documents.events import LabEvent
from hashlab.documents.logs import LogLine
from hashlab.documents.picture import Talk
from hashlab.documents.status import Status
from hashlab.documents.usage import Usage
from hashlab.errors import HashlabError, LabError
from hashlab.logs.reading import following
from hashlab.metrics.current import CurrentUsage
from hashlab.phases.happened import read_events
from hashlab.phases.status import status_document
from hashlab.phases.talking import observe_talks, picture
from hashlab.pipeline import Cancelled, CancelToken
from hashlab.report.events import event_text
from hashlab.report.formats import clean_text
from hashlab.report.logs import readable
from hashlab.run.execution import Options, unseen_step
from hashlab.run.labs import state_of
from hashlab.run.wiring import Warm
from hashlab.ui.feed import MOST_EVENTS, Feed, Json
from hashlab.ui.runs import RunFollower, past_runs

# Between two looks. Each asks every machine over connections that stay open.
EVERY_SECONDS = 2.0
# Without viewers, the machines are left alone after this time: a page that is loaded again is back
# before.
IDLE_SECONDS = 5.0
# Log lines that a page shows before new ones.
PAST_LINES = 200
# Characters of a log line that a page shows.
MOST_TEXT = 4000


class LogFeed:
    """Takes log lines as a screen does, and puts them into the feed as a person reads them."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed

    def show(self, lines: Sequence[LogLine]) -> None:
        """Take lines in the order of time."""
        self._feed.add_logs([replace(line, message=shown_text(line.message)) for line in lines])

    def notice(self, text: str) -> None:
        """Take what happened to a machine."""
        self._feed.add("notices", [text])


def shown_text(message: str) -> str:
    """Return a message for the page: JSON as text, without escapes of terminals, not too long."""
    text = clean_text(readable(message))
    if len(text) <= MOST_TEXT:
        return text
    return f"{text[:MOST_TEXT]} … {len(text) - MOST_TEXT} more characters: hashlab logs"


def point_of(usage: Usage, now: float) -> Json:
    """Return a point of the charts: cores and bytes of memory, by machine, and by replica."""
    machines = {each.machine: [each.cpu_cores, each.memory_bytes] for each in usage.machines}
    replicas = {
        f"{each.service} {each.replica}": [each.cpu_cores, each.memory_bytes]
        for each in usage.services
        if each.memory_bytes is not None
    }
    point: Json = to_json({"machines": machines, "services": replicas})
    return {"time": round(now, 1), **point}


class Collector:
    """Looks at the lab every two seconds while the feed has viewers."""

    def __init__(
        self,
        options: Options,
        feed: Feed,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._options, self._feed, self._now = options, feed, now
        self._warm = Warm()
        self._token = CancelToken()
        self._state = state_of(options.lab)
        self._talks: tuple[Talk, ...] = ()
        self._event = 0
        self._machines: _Machines | None = None
        self._bug: Exception | None = None

    def run(self) -> None:
        """Look until ``close``; it is a thread's target."""
        try:
            # Before the first viewer, so that the page has something to show at once.
            self.look()
            while True:
                if self._feed.wait_for_viewers(IDLE_SECONDS):
                    self.look()
                    self._token.wait(EVERY_SECONDS)
                else:
                    self._rest()
                    self._token.check()
        except Cancelled:
            return
        except Exception as bug:  # noqa: BLE001 - raised again by ``check``
            self._bug = bug

    def check(self) -> None:
        """Raise what ended ``run``, if a bug did."""
        if self._bug is not None:
            raise self._bug

    def look(self) -> None:
        """Observe the lab once. A failure is shown in place of what it was about."""
        options = replace(self._options, warm=self._warm)
        problem = None
        try:
            with options.opened() as world, unseen_step("status") as track:
                status = status_document(world, track)
                self._feed.put("status", status)
                self._talks = observe_talks(world, track, self._talks, now=self._now())
                self._feed.put("picture", picture(world, self._talks, status.urls))
            self._follow_machines(status)
            self._new_usage()
            self._new_events()
        except HashlabError as error:
            problem = {"what": error.what, "where": error.where, "next_step": error.next_step}
        else:
            self._feed.put("looked", self._now())
        self._feed.put("problem", problem)

    def _new_usage(self) -> None:
        """Show what is used now, and add a point to the charts."""
        usage = self._machines.usage() if self._machines else None
        self._feed.put("usage", usage)
        if usage is not None:
            self._feed.add("points", [point_of(usage, self._now())])

    def _new_events(self) -> None:
        new = read_events(self._state, after=self._event)
        if new:
            self._event = new[-1][0]
            self._feed.add("events", [_shown_event(event) for _, event in new[-MOST_EVENTS:]])

    def _follow_machines(self, status: Status) -> None:
        """Read logs and use of the machines as long as any of them runs."""
        alive = any(machine.state in ("running", "unreachable") for machine in status.machines)
        names = tuple(machine.name for machine in status.machines) if alive else ()
        if self._machines is not None and (
            self._machines.machines != names or self._machines.ended
        ):
            self._rest()
        if self._machines is None and names:
            self._feed.clear_logs()
            self._machines = _Machines(self._options, LogFeed(self._feed), names)

    def _rest(self) -> None:
        if self._machines is not None:
            self._machines.close()
            self._machines = None

    def close(self) -> None:
        """End what runs, from another thread."""
        self._token.cancel()

    def release(self) -> None:
        """Close the connections, once ``run`` has ended."""
        self._rest()
        self._warm.close()


class _Machines:
    """The logs and the use of these machines, followed in threads until ``close``."""

    def __init__(self, options: Options, screen: LogFeed, machines: tuple[str, ...]) -> None:
        self.machines, self.ended = machines, False
        self._used: CurrentUsage | None = None
        self._screen = screen
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._follow, args=(options,), daemon=True)
        self._thread.start()

    def _follow(self, options: Options) -> None:
        try:
            world = options.world()
            with following(world, self._screen, tail=PAST_LINES):
                self._used = CurrentUsage(world, self.machines)
                self._end.wait()
                self._used.close()
        except LabError as error:  # a machine has just gone; the next look tries again
            self._screen.notice(f"logs: {error.what}")
        finally:
            self.ended = True

    def usage(self) -> Usage | None:
        """Return what is used now; None before the first sample."""
        used = self._used.usage() if self._used is not None else None
        return used if used is not None and used.machines else None

    def close(self) -> None:
        self._end.set()
        self._thread.join()


def _shown_event(event: LabEvent) -> Json:
    return {**to_json(event), "text": event_text(event)}


@contextmanager
def collecting(options: Options, feed: Feed) -> Iterator[Collector]:
    """Fill the feed in threads during the block."""
    collector = Collector(options, feed)
    state = state_of(options.lab)
    follower = RunFollower(feed, ended=lambda: feed.put("runs", past_runs(state)))
    feed.put("runs", past_runs(state))
    reader = Reader(state.root.parent) if not client.is_off() else None
    looking = threading.Thread(target=collector.run)
    looking.start()
    if reader is not None:
        threading.Thread(target=_follow_runs, args=(reader, follower, feed), daemon=True).start()
    else:
        feed.put("deaf", True)
    try:
        yield collector
    finally:
        feed.close()
        collector.close()
        if reader is not None:
            reader.close()
        looking.join()
        collector.release()


def _follow_runs(reader: Reader, follower: RunFollower, feed: Feed) -> None:
    try:
        follower.follow(reader)
    except Outdated:
        feed.put("outdated", True)
