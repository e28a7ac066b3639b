"""Samples a machine every few seconds by one program that stays, and again when it is back."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from hashlab.documents.samples import MachineSample
from hashlab.errors import LabError
from hashlab.metrics.sampling import Blocks, read_sample
from hashlab.phases.connect import is_located, renew_endpoint
from hashlab.phases.programs import SAMPLE
from hashlab.phases.world import World
from hashlab.pipeline import Cancelled, CancelToken
from hashlab.run.openssh import lasting

# Seconds between two attempts to reach a machine that is away. After many of them, the machine is
# probably switched off, and each attempt costs the provider.
AGAIN_SECONDS = 1.0
MANY_ATTEMPTS = 20
SELDOM = 10


class Sampler:
    """Samples one machine until it is cancelled. OpenSSH's files must be current
    (`openssh.check_machines`).

    ``take`` gets each sample; ``lost`` the reason when the machine cannot be sampled, once until it
    can again. Both are called in the thread of ``run``.
    """

    def __init__(
        self,
        world: World,
        machine: str,
        *,
        seconds: float,
        take: Callable[[MachineSample], None],
        lost: Callable[[str], None],
        cancel: CancelToken,
    ) -> None:
        self._world, self._machine, self._seconds = world, machine, seconds
        self._take, self._lost, self._cancel = take, lost, cancel
        self._failures = 0
        self._away = False

    def run(self) -> None:
        """Sample until the end; it is the thread's target."""
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
        """Sample while the connection lasts; return why it ended. Raises Cancelled."""
        try:
            if self._failures or not is_located(self._world, self._machine):
                renew_endpoint(self._world, self._machine)
            done = self._world.runner.stream(
                self._command(), cancel=self._cancel, on_lines=self._reader()
            )
        except LabError as error:
            return error.what
        return done.stderr.strip() or f"the connection ended (ssh: {done.code})"

    def _command(self) -> list[str]:
        words = ["sudo", "sh", "-c", SAMPLE, "sh", self._world.lab.id, f"{self._seconds:g}"]
        return lasting(self._world, self._machine, shlex.join(words))

    def _reader(self) -> Callable[[Sequence[bytes]], None]:
        blocks = Blocks()

        def read(lines: Sequence[bytes]) -> None:
            for block in blocks.add(lines):
                sample = read_sample(self._machine, block, now=time.time())
                self._failures, self._away = 0, False
                self._take(sample)

        return read
