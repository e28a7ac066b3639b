"""One `hashlab top`: the live view of a lab in the terminal, or once, plain, for a pipe."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hashlab.documents.logs import LogLine
from hashlab.documents.overview import Overview
from hashlab.documents.status import Status
from hashlab.documents.usage import Usage
from hashlab.errors import ExitCode, HashlabError
from hashlab.logs.reading import reading
from hashlab.logs.selection import Selection
from hashlab.metrics.current import CurrentUsage
from hashlab.phases.status import status_document
from hashlab.report.formats import Tone, elapsed
from hashlab.report.overview import show_overview
from hashlab.report.terminal import is_rich
from hashlab.report.topscreen import TopScreen, TopView
from hashlab.run.execution import Options, fail, unseen_step
from hashlab.run.labs import lab_folder
from hashlab.run.openssh import check_machines, on_terminal
from hashlab.run.signals import terminating
from hashlab.ui.actions import Actions, lab_words
from hashlab.ui.collecting import collecting
from hashlab.ui.feed import MOST_ITEMS, Feed
from hashlab.ui.keys import Keys, run_in_terminal

# Between two frames. A key is answered at once.
FRAME_SECONDS = 0.5
# A message is shown for so long.
MESSAGE_SECONDS = 8.0
# Log lines that are shown once.
ONCE_LINES = 10
# Once: two samples of each machine make the rates.
SAMPLE_SECONDS = 0.5
MOST_SECONDS = 3.0


def show_top(options: Options, *, once: bool) -> ExitCode:
    """Show the lab until a person quits, which returns OK; ``once``, or without a terminal, once:
    LAB if something that should run does not.
    """
    live = not once and not options.json and on_terminal() and is_rich(sys.stdout)
    with terminating():
        try:
            return _live(options) if live else _once(options)
        except KeyboardInterrupt:
            return ExitCode.OK if live else ExitCode.INTERRUPTED
        except HashlabError as error:
            return fail(error, options)


class _Lines:
    """Collects the last log lines."""

    def __init__(self) -> None:
        self.lines: list[LogLine] = []

    def show(self, lines: Sequence[LogLine]) -> None:
        """Take lines in the order of time."""
        self.lines = [*self.lines, *lines][-ONCE_LINES:]

    def notice(self, text: str) -> None:
        """Do nothing: the status says which machine does not answer."""


def _once(options: Options) -> ExitCode:
    with options.opened() as world, unseen_step("status") as track:
        status = status_document(world, track)
    running = [machine.name for machine in status.machines if machine.state == "running"]
    logs = _Lines()
    usage = Usage()
    if running:
        world = options.world()
        check_machines(world)
        current = CurrentUsage(world, running, seconds=SAMPLE_SECONDS)
        try:
            with reading(world, Selection(tuple(running), tail=ONCE_LINES), logs) as past:
                past.past()
            usage = _sampled(current, len(running))
        finally:
            current.close()
    overview = Overview(status, usage, tuple(logs.lines))
    show_overview(overview, sys.stdout, now=time.time(), as_json=options.json)
    return ExitCode.OK if status.all_runs else ExitCode.LAB


def _sampled(current: CurrentUsage, machines: int) -> Usage:
    """Wait until two samples of each machine are there, but not for long."""
    until = time.monotonic() + MOST_SECONDS
    while True:
        usage = current.usage()
        rated = [each for each in usage.machines if each.cpu_cores is not None]
        if len(rated) == machines or time.monotonic() > until:
            return usage
        current.wait(SAMPLE_SECONDS)


def _live(options: Options) -> ExitCode:
    options.world().close()  # files that cannot be read are reported on the usual screen
    feed = Feed()
    actions = Actions(lab_folder(options.lab), options.provider, feed)
    keys = Keys(sys.stdin)
    feed.enter()
    with keys.single(), TopScreen(sys.stdout) as screen:
        screen.show(TopView(time.time()))
        with collecting(options, feed) as collector:
            Top(options, feed, actions, screen, keys).run(collector.check)
    return ExitCode.OK


@dataclass
class Choice:
    """The choices of a person, and the last message. ``row``: of a service; ``alone``: only its
    log lines are shown; ``said``: when the message came; ``ended``: the last command's number.
    """

    row: int = 0
    alone: bool = False
    message: str = ""
    bad: bool = False
    said: float = 0.0
    ended: int = 0


class Top:
    """The loop of keys and frames. ``now``: Unix time."""

    def __init__(
        self,
        options: Options,
        feed: Feed,
        actions: Actions,
        screen: TopScreen,
        keys: Keys,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._options, self._feed, self._actions = options, feed, actions
        self._screen, self._keys, self._now = screen, keys, now
        self._choice = Choice()
        self._does: Mapping[str, Callable[[], None]] = {
            "r": lambda: self._act("refresh"),
            "t": lambda: self._act("restart", self.service),
            "l": self._toggle_logs,
            "s": self._shell,
            "up": lambda: self._move(-1),
            "k": lambda: self._move(-1),
            "down": lambda: self._move(1),
            "j": lambda: self._move(1),
        }

    def run(self, check: Callable[[], None]) -> None:
        """Draw and answer keys until one of them is q. ``check`` raises what has gone wrong."""
        while True:
            check()
            self._screen.show(self.view())
            key = self._keys.next(FRAME_SECONDS)
            if key == "q":
                return
            if key in self._does:
                self._does[key]()

    @property
    def service(self) -> str:
        """Return the service of the chosen row; "" before the lab was observed."""
        status: Status | None = self._feed.value("status")
        if status is None or not status.services:
            return ""
        return status.services[min(self._choice.row, len(status.services) - 1)].name

    def view(self) -> TopView:
        """Return the next frame."""
        choice = self._choice
        self._take_end()
        only = self.service if choice.alone else ""
        lines: list[LogLine] = self._feed.last("logs", MOST_ITEMS)
        shown = [line for line in lines if only in ("", line.service)]
        message, tone = self._message()
        return TopView(
            now=self._now(),
            status=self._feed.value("status"),
            usage=self._feed.value("usage") or Usage(),
            logs=shown,
            chosen=choice.row,
            only=only,
            message=message,
            tone=tone,
        )

    def _message(self) -> tuple[str, Tone]:
        """Return the message of a key that was just pressed, else what is wrong, else the run."""
        choice, problem = self._choice, self._feed.value("problem")
        if choice.message and self._now() - choice.said < MESSAGE_SECONDS:
            return choice.message, "bad" if choice.bad else "plain"
        if problem:
            return problem["what"], "bad"
        return run_text(self._feed.value("run"), self._now()), "plain"

    def _take_end(self) -> None:
        """Report the end of a command that a key has started."""
        action = self._feed.value("action")
        if action and not action["running"] and action["number"] != self._choice.ended:
            failed = action["code"] != 0
            text = f"failed: {action['what']}" if failed else "done"
            self._choice.ended = action["number"]
            self._say(f"hashlab {action['command']}: {text}", bad=failed)

    def _say(self, message: str, *, bad: bool = False) -> None:
        choice = self._choice
        choice.message, choice.bad, choice.said = message, bad, self._now()

    def _act(self, name: str, value: str = "") -> None:
        refused = self._actions.start(name, value)
        self._say(refused, bad=bool(refused))

    def _move(self, by: int) -> None:
        status: Status | None = self._feed.value("status")
        last = len(status.services) - 1 if status else 0
        self._choice.row = min(max(0, self._choice.row + by), max(0, last))

    def _toggle_logs(self) -> None:
        self._choice.alone = not self._choice.alone

    def _shell(self) -> None:
        """Give the terminal to a shell in the chosen service's container, until that ends."""
        if not self.service:
            return
        words = [
            "exec",
            *lab_words(lab_folder(self._options.lab), self._options.provider),
            self.service,
            "sh",
        ]
        self._screen.pause()
        try:
            with self._keys.lent():
                code = run_in_terminal([sys.executable, "-P", "-m", "hashlab", *words])
        except OSError as error:
            self._say(f"the shell cannot be started: {error}", bad=True)
            code = 0
        finally:
            self._screen.resume()
        if code:
            self._say(f"the shell in {self.service} ended with exit code {code}", bad=True)


def run_text(run: Any, now: float) -> str:
    """Return a line about the current run; "" if there is none."""
    if run is None:
        return ""
    rows = [row["name"] for row in run["phases"] if row["status"] == "running"]
    step = f": {rows[-1]}" if rows else ""
    return f"hashlab {run['command']} runs since {elapsed(now - run['started'])}{step}"
