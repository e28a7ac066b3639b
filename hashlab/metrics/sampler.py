"""Samples a machine every few seconds by one program that stays, and again when it is back."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from hashlab.documents.samples import MachineSample
from hashlab.metrics.sampling import Blocks, read_sample
from hashlab.metrics.streaming import Reader, Stream
from hashlab.phases.programs import SAMPLE
from hashlab.phases.world import World
from hashlab.pipeline import CancelToken


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
        self._machine, self._take = machine, take
        words = ["sudo", "sh", "-c", SAMPLE, "sh", world.lab.id, f"{seconds:g}"]
        self._stream = Stream(world, machine, words, reader=self._reader, lost=lost, cancel=cancel)

    def run(self) -> None:
        """Sample until the end; it is the thread's target."""
        self._stream.run()

    def _reader(self) -> Reader:
        blocks = Blocks()

        def read(lines: Sequence[bytes]) -> None:
            for block in blocks.add(lines):
                sample = read_sample(self._machine, block, now=time.time())
                self._stream.heard()
                self._take(sample)

        return read
