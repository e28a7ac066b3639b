"""Collects the metrics of the services on one machine, by one program that stays."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hashlab.metrics.scraping import Answers, Scraped
from hashlab.metrics.streaming import Reader, Stream
from hashlab.phases.programs import SCRAPE
from hashlab.phases.scraping import ScrapeTarget
from hashlab.phases.world import World
from hashlab.pipeline import CancelToken


class Scraper:
    """Collects until it is cancelled; as `sampler.Sampler`. ``targets``: those on the machine."""

    def __init__(
        self,
        world: World,
        machine: str,
        targets: Sequence[ScrapeTarget],
        *,
        seconds: float,
        take: Callable[[Scraped], None],
        lost: Callable[[str], None],
        cancel: CancelToken,
    ) -> None:
        self._take = take
        asked = [word for each in targets for word in (each.container, str(each.port), each.path)]
        words = ["sudo", "sh", "-c", SCRAPE, "sh", f"{seconds:g}", *asked]
        self._stream = Stream(world, machine, words, reader=self._reader, lost=lost, cancel=cancel)

    def run(self) -> None:
        """Collect until the end; it is the thread's target."""
        self._stream.run()

    def _reader(self) -> Reader:
        answers = Answers()

        def read(lines: Sequence[bytes]) -> None:
            for scraped in answers.add(lines):
                self._stream.heard()
                self._take(scraped)

        return read
