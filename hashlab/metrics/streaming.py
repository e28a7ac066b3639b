"""Runs a program on a machine that prints again and again, and again when the machine is back."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from contextlib import suppress

from hashlab.errors import LabError
from hashlab.phases.connect import is_located, renew_endpoint
from hashlab.phases.world import World
from hashlab.pipeline import Cancelled, CancelToken
from hashlab.run.openssh import lasting

# Seconds between two attempts to reach a machine that is away. After many of them, the machine is
# probably switched off, and each attempt costs the provider.
AGAIN_SECONDS = 1.0
MANY_ATTEMPTS = 20
SELDOM = 10

Reader = Callable[[Sequence[bytes]], None]


class Stream:
    """Runs one program until it is cancelled. OpenSSH's files must be current
    (`openssh.check_machines`).

    ``words``: the program and its arguments; ``reader``: makes what gets the lines of a connection,
    and calls ``heard`` when they make sense. ``lost`` gets the reason when there are none, once
    until ``heard``. All are called in the thread of ``run``.
    """

    def __init__(
        self,
        world: World,
        machine: str,
        words: Sequence[str],
        *,
        reader: Callable[[], Reader],
        lost: Callable[[str], None],
        cancel: CancelToken,
    ) -> None:
        self._world, self._machine, self._words = world, machine, words
        self._reader, self._lost, self._cancel = reader, lost, cancel
        self._failures = 0
        self._away = False

    def heard(self) -> None:
        """Note that the program works."""
        self._failures, self._away = 0, False

    def run(self) -> None:
        """Run the program again and again; it is the thread's target."""
        with suppress(Cancelled):
            while True:
                why = self._attempt()
                self._failures += 1
                # It failed for the first time: its cached address may be old; ask the provider.
                if self._failures == 1:
                    continue
                if not self._away:
                    self._away = True
                    self._lost(why)
                self._cancel.wait(AGAIN_SECONDS * (SELDOM if self._failures > MANY_ATTEMPTS else 1))

    def _attempt(self) -> str:
        """Run the program while the connection lasts; return why it ended. Raises Cancelled."""
        try:
            if self._failures or not is_located(self._world, self._machine):
                renew_endpoint(self._world, self._machine)
            argv = lasting(self._world, self._machine, shlex.join(self._words))
            done = self._world.runner.stream(argv, cancel=self._cancel, on_lines=self._reader())
        except LabError as error:
            return error.what
        return done.stderr.strip() or f"the connection ended (ssh: {done.code})"
