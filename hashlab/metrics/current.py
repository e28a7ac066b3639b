"""Samples all machines of a lab in threads, and holds what they use now."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from hashlab.documents.samples import MachineSample
from hashlab.documents.usage import Samples, Usage, usage_of
from hashlab.metrics.sampler import Sampler
from hashlab.phases.world import World
from hashlab.pipeline import CancelToken

# Between two samples of a machine.
EVERY_SECONDS = 2.0
# A sample says nothing about a machine any more after this time.
STALE_SECONDS = 10.0


class CurrentUsage:
    """The use of ``machines``, sampled every ``seconds`` until ``close``. ``now``: Unix time.

    OpenSSH's files must be current (`openssh.check_machines`).
    """

    def __init__(
        self,
        world: World,
        machines: Sequence[str],
        *,
        seconds: float = EVERY_SECONDS,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._seconds, self._now = seconds, now
        self._lock = threading.Lock()
        self._samples: dict[str, Samples] = {}
        self._cancel = CancelToken()
        self._threads = [
            threading.Thread(target=self._sampler(world, name).run, daemon=True)
            for name in machines
        ]
        for thread in self._threads:
            thread.start()

    def _sampler(self, world: World, name: str) -> Sampler:
        return Sampler(
            world,
            name,
            seconds=self._seconds,
            take=self.take,
            lost=lambda _: None,  # its samples become stale, and the status says why
            cancel=self._cancel,
        )

    def take(self, sample: MachineSample) -> None:
        """Take a sample."""
        with self._lock:
            before = self._samples.get(sample.machine)
            self._samples[sample.machine] = (before[1] if before else None, sample)

    def usage(self) -> Usage:
        """Return what is used now."""
        limit = self._now() - STALE_SECONDS
        with self._lock:
            fresh = {name: pair for name, pair in self._samples.items() if pair[1].time > limit}
        return usage_of(fresh)

    def wait(self, seconds: float) -> None:
        """Wait for more samples."""
        self._cancel.wait(seconds)

    def close(self) -> None:
        """End sampling."""
        self._cancel.cancel()
        for thread in self._threads:
            thread.join()
