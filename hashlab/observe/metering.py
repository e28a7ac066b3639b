"""The metrics store of a lab: what it collects, how it is started, and who asks it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from hashlab.documents.samples import MachineSample
from hashlab.drivers.metricstore import (
    SCRAPE_SECONDS,
    HttpMetricStore,
    metric_store_answers,
    metric_store_process,
)
from hashlab.drivers.storeprocess import StoreProcess
from hashlab.metrics.exposition import machine_text
from hashlab.metrics.sampler import Sampler
from hashlab.metrics.scraper import Scraper
from hashlab.metrics.scraping import Scraped
from hashlab.observe.alerts import AlertWatch
from hashlab.observe.annotating import Annotations
from hashlab.observe.exporting import ExportServer
from hashlab.observe.keeping import Kept, Threads, log
from hashlab.observe.saying import Sayings
from hashlab.phases.scraping import ScrapeTarget, scrape_targets
from hashlab.phases.world import World
from hashlab.pipeline import CancelToken
from hashlab.protocols import StoreAddress
from hashlab.state.files import read_json

PORT = 8428
# What is older is not passed on: the machine is away, or the service does not answer.
FRESH_SECONDS = 2.5 * SCRAPE_SECONDS


class Latest:
    """The newest sample of each machine, and the newest metrics of each service's container."""

    def __init__(self, world: World, targets: list[ScrapeTarget]) -> None:
        self._world, self._targets = world, targets
        self._lock = threading.Lock()
        self._samples: dict[str, tuple[float, MachineSample]] = {}
        self._scraped: dict[tuple[str, str], tuple[float, Scraped]] = {}

    def sampled(self, sample: MachineSample) -> None:
        """Take a sample."""
        with self._lock:
            self._samples[sample.machine] = (time.monotonic(), sample)

    def lost(self, machine: str, why: str) -> None:
        """Note that a machine is not sampled any more, so that the store need not wait."""
        with self._lock:
            self._samples.pop(machine, None)
        log(f"machine {machine} is not measured: {why}")

    def scraped(self, machine: str, answer: Scraped) -> None:
        """Take what a container has answered."""
        with self._lock:
            before = self._scraped.get((machine, answer.container))
            self._scraped[machine, answer.container] = (time.monotonic(), answer)
        if answer.why and (before is None or before[1].why != answer.why):
            log(f"metrics of {answer.container} on {machine}: {answer.why}")

    def page(self, path: str) -> str | None:
        """Return what the store asks for: "/targets", "/machine/NAME", "/service/MACHINE/NAME"."""
        words = path.strip("/").split("/")
        if words == ["targets"]:
            return json.dumps(self._listed())
        if words[0] == "machine" and len(words) == 2:
            return self._machine(words[1])
        if words[0] == "service" and len(words) == 3:
            return self._service(words[1], words[2])
        return None

    def _listed(self) -> list[dict[str, object]]:
        """Return the targets as http_sd has them: all are this port, with a path for each."""
        machines = [
            _target(f"/machine/{name}", job="machine", machine=name)
            for name in self._world.machine_names()
        ]
        services = [
            _target(
                f"/service/{each.machine}/{each.container}",
                job="service",
                machine=each.machine,
                service=each.service,
                replica=str(each.replica),
            )
            for each in self._targets
            if each.service not in self._resting()
        ]
        return [*machines, *services]

    def _machine(self, name: str) -> str | None:
        with self._lock:
            at, sample = self._samples.get(name, (0.0, None))
        if sample is None or time.monotonic() - at > FRESH_SECONDS:
            return None
        return machine_text(sample, self._world.lab, stopped=_stopped(self._world))

    def _service(self, machine: str, container: str) -> str | None:
        with self._lock:
            at, answer = self._scraped.get((machine, container), (0.0, None))
        if answer is None or answer.why or time.monotonic() - at > FRESH_SECONDS:
            return None
        return answer.text

    def _resting(self) -> set[str]:
        """Return the services that do not run because a person wants it so."""
        with self._lock:
            samples = [sample for _, sample in self._samples.values()]
        return _stopped(self._world).union(*(each.intercepted for each in samples))


def _target(path: str, **labels: str) -> dict[str, object]:
    return {
        "targets": ["127.0.0.1"],
        "labels": {"__metrics_path__": path, "instance": path.partition("/")[2], **labels},
    }


def _stopped(world: World) -> set[str]:
    """Return the services that a person has stopped; ``World.stopped`` asks once in a run."""
    saved = read_json(world.state.stopped)
    return {name for name in saved if isinstance(name, str)} if isinstance(saved, list) else set()


class Metering:
    """Samples machines and collects from services during a block, for the metrics store."""

    def __init__(self, world: World, password: str, sayings: Sayings) -> None:
        self._world, self._sayings = world, sayings
        self._targets = scrape_targets(world.lab)
        self._latest = Latest(world, self._targets)
        self._server = ExportServer(password, self._page)
        self._stack = ExitStack()

    def __enter__(self) -> Metering:
        self._stack.enter_context(self._server)
        self._stack.enter_context(Threads(self._collecting))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def keep(self, program: Path) -> Kept:
        """Return the metrics store as a store to keep."""

        def start(address: StoreAddress) -> StoreProcess:
            return metric_store_process(
                program,
                folder=self._world.state.observe,
                address=address,
                days=self._world.lab.observe.days,
                targets=self._server.port,
            )

        return Kept(
            name="metrics",
            port=PORT,
            start=start,
            answers=metric_store_answers,
            using=lambda address: Threads(partial(self._asking, address)),
        )

    def _page(self, path: str) -> str | None:
        text = self._latest.page(path)
        if path != "/targets" or text is None:
            return text
        port = f"127.0.0.1:{self._server.port}"
        return text.replace('"targets": ["127.0.0.1"]', f'"targets": ["{port}"]')

    def _collecting(self, cancel: CancelToken) -> list[Callable[[], None]]:
        works: list[Callable[[], None]] = []
        for name in self._world.machine_names():
            sampler = Sampler(
                self._world,
                name,
                seconds=SCRAPE_SECONDS,
                take=self._sampled,
                lost=partial(self._latest.lost, name),
                cancel=cancel,
            )
            works.append(sampler.run)
            if targets := [each for each in self._targets if each.machine == name]:
                scraper = Scraper(
                    self._world,
                    name,
                    targets,
                    seconds=SCRAPE_SECONDS,
                    take=partial(self._latest.scraped, name),
                    lost=lambda _: None,  # the sampler says it
                    cancel=cancel,
                )
                works.append(scraper.run)
        return works

    def _sampled(self, sample: MachineSample) -> None:
        self._sayings.machine_answered()
        self._latest.sampled(sample)

    def _asking(self, address: StoreAddress, cancel: CancelToken) -> list[Callable[[], None]]:
        alerts = AlertWatch(self._world, HttpMetricStore(address), log=log, cancel=cancel)
        marks = Annotations(self._world, HttpMetricStore(address), log=log, cancel=cancel)
        return [alerts.run, marks.run]
