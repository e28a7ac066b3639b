"""`hashlab watch`: a refresh at each save, until Ctrl-C."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

from hashlab.config.model import Lab
from hashlab.daemon import client
from hashlab.daemon.reader import Reader
from hashlab.errors import ConfigError, ExitCode, HashlabError, Interrupted, LockedError, UsageError
from hashlab.logs.reading import beside
from hashlab.phases.connect import silent
from hashlab.protocols import Watcher
from hashlab.report import Round, Rounds, show_error
from hashlab.run.execution import Options, Run, fail
from hashlab.run.labs import lab_folder, read_folder
from hashlab.run.signals import terminating
from hashlab.run.wiring import open_watcher
from hashlab.watch.others import OtherRuns
from hashlab.watch.pace import Pace
from hashlab.watch.places import (
    Places,
    Wanted,
    find_places,
    names_of,
    wanted_files,
    wanted_of,
)
from hashlab.watch.refreshing import Refresher, Upgraded

IDLE_SECONDS = 600.0
# Seconds between two checks for the awaited event.
LOOK_SECONDS = 2.0
# A machine that answers may not be ready yet: so often is a refresh tried again, each time later.
RETRIES = 4
LOCKED_SECONDS = 1.0


@dataclass(frozen=True)
class Lookout:
    """An event other than a save that begins a refresh.

    Checked every ``every`` seconds; ``because`` returns the reason once it has happened, "" before.
    """

    because: Callable[[], str]
    every: float


class Watch:
    """The state between refreshes.

    ``read`` reads the lab's files, ``refresh`` runs one refresh, ``silent`` names machines that do
    not answer; each raises HashlabError. ``others`` returns a line for each run of another command
    since its last call. ``turn`` is held during a refresh. ``clock`` never goes back, ``now`` is
    Unix time.
    """

    def __init__(
        self,
        *,
        read: Callable[[], Lab],
        refresh: Callable[[], Run],
        silent: Callable[[], Sequence[str]],
        watcher: Watcher,
        rounds: Rounds,
        others: Callable[[], Sequence[str]] = tuple,
        turn: AbstractContextManager[object] | None = None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._read, self._refresh, self._silent = read, refresh, silent
        self._watcher, self._rounds, self._others = watcher, rounds, others
        self._turn = turn or nullcontext()
        self._clock, self._now = clock, now
        self._pace = Pace()
        self._lab: Lab | None = None
        self._places: Places | None = None
        self._names: list[str] = []
        self._saved: dict[Path, float] = {}
        self._ended = 0.0
        self._lookout: Lookout | None = None
        self._said = ""
        self._tries = 0

    def run(self) -> NoReturn:
        """Refresh at once, then at each save. Ends by KeyboardInterrupt; raises Interrupted if that
        cut off a refresh.
        """
        because = "start"
        while True:
            with self._turn:
                self._round(because)
            because = self._next()

    def _round(self, because: str) -> None:
        """Refresh once. If it could not do everything now, a lookout starts the next attempt."""
        saved, self._saved = self._saved, {}
        echo = self._pace.began()
        began = self._now()
        try:
            run, error = self._attempt()
        except LockedError as locked:
            self._wait_for_lock(locked, saved)
            return
        finally:
            self._ended = self._now()
            self._pace.ended(self._clock())
        if isinstance(error, Interrupted):
            raise error
        over = Round(
            ended=self._ended,
            seconds=self._ended - min(saved.values(), default=began),
            because=because,
            files=self._files(run, saved),
            rows=run.result.rows if run else (),
            record=run.record if run else None,
            error=error,
        )
        # Changes during a refresh that it had taken up already are not reported.
        if error is not None or over.done or not echo:
            self._rounds.tell(over)
        if run:
            self._rounds.note(run.notes)
        self._look_out(error)

    def _attempt(self) -> tuple[Run | None, HashlabError | None]:
        """Watch the files that the lab names now, and refresh. Raises LockedError; LaptopError if
        nothing can be watched.
        """
        broken: HashlabError | None = None
        try:
            self._lab = self._read()
            wanted = wanted_of(self._lab)
        except ConfigError as error:
            broken = error
            wanted = self._wanted_to_mend(error)
        places = find_places(wanted)
        if self._places is None or self._places.identities != places.identities:
            self._watcher.watch(places.folders())
        self._places = places
        if broken is not None:
            return None, broken
        self._tell_what_is_watched()
        try:
            run = self._refresh()
        except KeyboardInterrupt:  # before its first phase, or after its last
            raise Interrupted("interrupted. Half done: nothing") from None
        except LockedError:
            raise
        except HashlabError as refused:
            return None, refused
        return run, run.result.error

    def _wanted_to_mend(self, error: ConfigError) -> Wanted:
        """Return the files that may repair broken lab files: those that were read, and all that
        counted before.
        """
        if self._lab is None:
            return wanted_files(error.sources)
        return wanted_of(self._lab, also=error.sources)

    def _tell_what_is_watched(self) -> None:
        names = names_of(self._lab) if self._lab else []
        if self._lab and names != self._names:
            self._names = names
            self._rounds.watching(self._lab.name, names)

    def _files(self, run: Run | None, saved: Mapping[Path, float]) -> list[str]:
        """Return the reasons for a refresh: the files that differed, or else the saved ones."""
        causes = [name for cause in run.causes for name in cause.files] if run else []
        folder = self._lab.folder if self._lab else Path.cwd()
        names = causes or [os.path.relpath(path, folder) for path in sorted(saved)]
        return list(dict.fromkeys(names))

    def _wait_for_lock(self, locked: LockedError, saved: Mapping[Path, float]) -> None:
        """Keep the saves until the other run, which holds the lock, has ended."""
        for path, moment in saved.items():
            self._saved.setdefault(path, moment)
        self._say_once(f"{locked.what}; waiting for its end")
        self._lookout = Lookout(lambda: "the lab is free again", LOCKED_SECONDS)

    def _look_out(self, error: HashlabError | None) -> None:
        """Choose the event, other than the next save, that may end a failure."""
        self._lookout = None
        if error is None:
            self._tries, self._said = 0, ""
            return
        if isinstance(error, ConfigError):
            self._lookout = Lookout(self._mended, LOOK_SECONDS)
            return
        away = self._away()
        if away:
            self._tries = RETRIES
            self._say_once(f"waiting for the next save, or for {', '.join(away)} to answer")
            back = f"{', '.join(away)} answers"
            self._lookout = Lookout(lambda: "" if self._away() else back, LOOK_SECONDS)
        elif self._tries:
            self._tries -= 1
            every = LOOK_SECONDS * 2 ** (RETRIES - 1 - self._tries)
            self._lookout = Lookout(lambda: "tried again", every)

    def _say_once(self, text: str) -> None:
        if text != self._said:
            self._said = text
            self._rounds.say(text)

    def _mended(self) -> str:
        try:
            self._read()
        except HashlabError:
            return ""
        return "the lab's files are right again"

    def _away(self) -> list[str]:
        """Return the machines that do not answer; all of them if there is no engine to ask."""
        try:
            return list(self._silent())
        except HashlabError:
            return [machine.name for machine in self._lab.machines] if self._lab else []

    def _next(self) -> str:
        """Wait for the start of the next refresh; return its reason."""
        look_at = self._look_at()
        while True:
            due = self._pace.due()
            until = look_at if due is None else min(look_at, due)
            self._take(self._watcher.saves(until - self._clock()))
            for line in self._others():
                self._rounds.say(line)
            due, now = self._pace.due(), self._clock()
            if due is not None and now >= due:
                return "saved"
            if due is not None and self._pace.pause:
                self._say_pause()
            if now >= look_at:
                because = self._lookout.because() if self._lookout else ""
                if because:
                    return because
                look_at = self._look_at()

    def _look_at(self) -> float:
        return self._clock() + (self._lookout.every if self._lookout else IDLE_SECONDS)

    def _take(self, saves: Mapping[Path, float]) -> None:
        """Keep the saves that count."""
        places = self._places
        mine = {p: at for p, at in saves.items() if places is not None and places.counts(p)}
        if not mine:
            return
        for path, moment in mine.items():
            self._saved[path] = min(moment, self._saved.get(path, moment))
        meanwhile = all(moment <= self._ended for moment in mine.values())
        self._pace.saved(self._clock(), meanwhile=meanwhile)

    def _say_pause(self) -> None:
        name = self._files(None, self._saved)[0]
        self._say_once(
            f"{name} changes at each refresh: does a build write into its own inputs? "
            f"Looking again in {self._pace.pause:.0f} s, or at the next save"
        )


def watch(options: Options, *, logs: bool = False) -> ExitCode:
    """Refresh at each save until Ctrl-C: OK, or INTERRUPTED if a refresh was cut off.

    ``logs``: show new log lines between the refreshes.
    """
    with terminating():
        try:
            if logs and options.json:
                raise UsageError(
                    "--logs and --json print different things",
                    next_step="hashlab watch --json, and beside it hashlab logs --follow --json",
                )
            folder = lab_folder(options.lab)
            read_folder(folder, options.provider)
        except ConfigError:
            pass  # the first round reports it, and waits until the files are right
        except HashlabError as error:
            return fail(error, options)
        watcher, refresher = open_watcher(), Refresher(options, folder)
        reader = None if client.is_off() else Reader(folder, start=False)
        try:
            options = replace(options, lab=folder)
            turn = threading.Lock()
            with beside(options, turn) if logs else nullcontext():
                _watch(options, folder, watcher, refresher, reader=reader, turn=turn)
        except KeyboardInterrupt:
            return ExitCode.OK
        except HashlabError as error:
            show_error(error, stream=sys.stderr)
            return error.exit_code
        except BrokenPipeError:
            _forget_stdout()
            return ExitCode.OK
        except Upgraded:
            pass
        finally:
            if reader:
                reader.close()
            watcher.close()
            refresher.close()
        return start_again()


def start_again() -> NoReturn:
    """Replace this process by one that runs the code that is installed now."""
    print("hashlab was upgraded: watch starts again", file=sys.stderr, flush=True)
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - the same command


def _watch(
    options: Options,
    folder: Path,
    watcher: Watcher,
    refresher: Refresher,
    *,
    reader: Reader | None,
    turn: threading.Lock,
) -> NoReturn:
    document = (lambda text: print(text, flush=True)) if options.json else None
    Watch(
        read=lambda: read_folder(folder, options.provider),
        refresh=refresher.refresh,
        silent=lambda: _silent(options),
        watcher=watcher,
        rounds=Rounds(options.people, document=document),
        others=OtherRuns(reader, wake=watcher.wake).lines if reader else tuple,
        turn=turn,
    ).run()


def _forget_stdout() -> None:
    """Detach stdout if the reader of the documents has left: Python must not write the rest at
    exit.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _silent(options: Options) -> list[str]:
    with options.opened() as world:
        return silent(world)
