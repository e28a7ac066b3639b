"""Turns: one run at a time in the main thread, and the end of the process."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from hashlab.commands import Command
from hashlab.daemon.listener import Request
from hashlab.run.lock import now

# A client waits this long for a run that is about to be over, or that needs no lock.
WAIT_SECONDS = 0.5


@dataclass(frozen=True)
class Job:
    """A run that a client asked for. ``fds``: the client's standard streams; ``locks``: it needs
    the lab's lock.
    """

    sock: socket.socket
    request: Request
    command: Command
    fds: Sequence[int]
    locks: bool
    since: str = field(default_factory=now)
    pid: int = field(default_factory=os.getpid)


class Occupied(Exception):
    """Another run, which holds the lab's lock, has the turn."""

    def __init__(self, job: Job) -> None:
        super().__init__(job.command.name)
        self.job = job


class Busy(Exception):
    """A run without the lock has the turn, or (``ending``) this process is about to end."""

    def __init__(self, *, ending: bool) -> None:
        super().__init__()
        self.ending = ending


class Turns:
    """Hands one job at a time to the main thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._job: Job | None = None
        self._over = False  # or about to be: it was cancelled
        self._woken = False
        self.ending = ""
        self.restarting = False

    def take(self, job: Job) -> None:
        """Give the turn to a job, which the main thread carries out. Raises Occupied, Busy."""
        with self._changed:
            self._changed.wait_for(lambda: self._job is None or self._holds(job), WAIT_SECONDS)
            if self._holds(job) and self._job is not None:
                raise Occupied(self._job)
            if self._job is not None or self.ending:
                raise Busy(ending=self._job is None)
            self._job, self._over = job, False
            self._changed.notify_all()

    def _holds(self, job: Job) -> bool:
        """True if the current run keeps this one from the lock."""
        current = self._job
        return current is not None and current.locks and job.locks and not self._over

    def next(self, seconds: float) -> Job | None:
        """Wait for the next job; return None after ``seconds``, or if something else happened."""
        with self._changed:
            self._changed.wait_for(lambda: self._job is not None or self._woken, seconds)
            self._woken = False
            return self._job

    def over(self) -> None:
        """Note that the current run has ended or was cancelled, so the next client waits for the
        lock.
        """
        with self._changed:
            self._over = True
            self._changed.notify_all()

    def free(self) -> None:
        """Note that the main thread is ready for the next job."""
        with self._changed:
            self._job = None
            self._woken = bool(self.ending)
            self._changed.notify_all()

    def end(self, reason: str, *, restart: bool) -> bool:
        """Begin no further run. Returns True if the main thread has one to finish."""
        with self._changed:
            self.ending, self.restarting = reason, restart
            self._woken = True
            self._changed.notify_all()
            return self._job is not None

    def wake(self) -> None:
        """Let the main thread check its conditions."""
        with self._changed:
            self._woken = True
            self._changed.notify_all()
