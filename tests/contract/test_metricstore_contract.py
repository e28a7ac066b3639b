"""The metrics store: VictoriaMetrics collects what hashlab serves, and every rule of an alert finds
what it is for, and stops finding it.

The store and the server run on ports of 127.0.0.1; each test ends its own.
"""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fakes import small_lab

from hashlab.documents.samples import ContainerSample, MachineSample
from hashlab.drivers.laptop import free_port
from hashlab.drivers.metricstore import (
    HttpMetricStore,
    metric_store_answers,
    metric_store_process,
)
from hashlab.drivers.storeprocess import StoreConnection
from hashlab.errors import StoreError
from hashlab.metrics.exposition import machine_text, series
from hashlab.metrics.rules import RULES, Rule
from hashlab.observe.exporting import ExportServer
from hashlab.protocols import Measured, StoreAddress

SECONDS = 20.0
FLUSH = "/internal/force_flush"
SITE = ContainerSample(
    "small-site-1", "site", 1, "b1", "running", None, 0, 100.0, 1.0, 10, None, 100, 50, 7, 0
)
WEB = MachineSample(
    "web", 1000.0, 60.0, 2.0, 10.0, 500, 1000, 1000, 500, 0, 0, 100, 50, True, (SITE,)
)


class Real:
    """A store that collects from pages that the test decides about. None: the target is down."""

    def __init__(self, program: Path, folder: Path) -> None:
        (folder / "password").write_text("secret")
        self.pages: dict[str, str | None] = {}
        self.server = ExportServer("secret", self.pages.get)
        self.server.__enter__()
        target = {"__metrics_path__": "/machine/web", "job": "machine", "machine": "web"}
        listed = [{"targets": [f"127.0.0.1:{self.server.port}"], "labels": target}]
        self.pages["/targets"] = json.dumps(listed)
        self.address = StoreAddress(free_port(), "hashlab", "secret")
        self.process = metric_store_process(
            program,
            folder=folder,
            address=self.address,
            days=7,
            targets=self.server.port,
            seconds=1,
        )
        deadline = time.monotonic() + SECONDS
        while not metric_store_answers(self.address):
            assert not self.process.ended
            assert time.monotonic() < deadline
        self.store = HttpMetricStore(self.address)

    def close(self) -> None:
        self.store.close()
        self.process.stop()
        self.server.__exit__()

    def insert(self, *lines: str) -> None:
        """Store samples, and let questions find them."""
        self.store.insert("".join(f"{line}\n" for line in lines))
        self.flush()

    def flush(self) -> None:
        """Let questions find samples at once, which they would do within seconds."""
        connection = StoreConnection(self.address, "store")
        connection.ask(FLUSH, "", {}, seconds=10).read()
        connection.close()

    def until(self, question: str, fits: Callable[[list[Measured]], object]) -> list[Measured]:
        """Ask until the answer fits."""
        deadline = time.monotonic() + SECONDS
        while not fits(found := self.store.query(question)):
            assert time.monotonic() < deadline, found
            time.sleep(0.05)
            self.flush()
        return found


@pytest.fixture
def real(metric_store: Path, tmp_path: Path) -> Iterator[Real]:
    made = Real(metric_store, tmp_path)
    yield made
    made.close()


@pytest.fixture(scope="module")
def asked(metric_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Real]:
    """A store that several tests fill and ask, each of another machine."""
    made = Real(metric_store, tmp_path_factory.mktemp("store"))
    yield made
    made.close()


def test_it_collects_what_is_served_and_sees_a_target_go_and_come(
    real: Real, tmp_path: Path
) -> None:
    page = machine_text(WEB, small_lab(tmp_path))
    real.pages["/machine/web"] = page
    [info] = real.until("hashlab_container_info", bool)
    wanted = {"machine": "web", "service": "site", "replica": "1", "build": "b1"}
    assert wanted.items() <= info.labels.items()
    assert real.store.query("hashlab_container_memory_bytes")[0].value == 10
    up = 'up{job="machine",machine="web"}'
    assert real.store.query(up)[0].value == 1
    real.pages["/machine/web"] = None
    real.until(up, lambda found: found[0].value == 0)
    # What a target that is down said before does not stay.
    real.until("hashlab_container_info", lambda found: not found)
    real.pages["/machine/web"] = page
    real.until(up, lambda found: found[0].value == 1)


def test_only_who_knows_the_password_reads_store_and_server(real: Real) -> None:
    stranger = HttpMetricStore(StoreAddress(real.address.port, "hashlab", "guess"))
    with pytest.raises(StoreError, match="401"):
        stranger.query("1")
    for address in (real.address.page("metrics"), f"http://127.0.0.1:{real.server.port}/targets"):
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(address, timeout=5)
    assert b"secret" not in Path(f"/proc/{real.process.pid}/cmdline").read_bytes()


def test_a_mark_is_one_sample_at_its_moment_however_often_it_is_stored(asked: Real) -> None:
    at = time.time() - 100
    line = f"{series('hashlab_refresh', {'service': 'mark'})} 1 {round(at * 1000)}"
    asked.insert(line)
    asked.insert(line)
    count = 'max(max_over_time(hashlab_refresh{service="mark"}[1m]))'
    found = asked.store.query('timestamp(hashlab_refresh{service="mark"}[5m])')
    assert found[0].value == pytest.approx(at, abs=0.01)
    assert asked.store.query(count, at=at + 1)[0].value == 1


def test_a_question_that_is_wrong_is_an_error(asked: Real) -> None:
    with pytest.raises(StoreError, match="refuses"):
        asked.store.query("sum by (")


# What a rule is about, by the seconds since the trouble began; it lasts for 300 s.
Values = Callable[[float], float]
LASTS = 300
START = round(time.time()) - 3600


def while_(wrong: float, right: float) -> Values:
    """Return a gauge that is wrong while the trouble lasts."""
    return lambda t: wrong if 0 <= t < LASTS else right


def faster(rate: float, usual: float) -> Values:
    """Return a counter that grows by ``rate`` a second while the trouble lasts."""
    return lambda t: 10_000 + usual * t + (rate - usual) * min(max(t, 0), LASTS)


GIB = 1024**3
HTTP = "http_server_requests_seconds"
# By rule: series and their values, seconds into the trouble at which it is found, and seconds after
# its end at which it is found no more.
CASES: dict[str, tuple[dict[str, Values], float, float]] = {
    "MachineDown": ({'up{job="machine",': while_(0, 1)}, 5, 5),
    "EngineDown": ({"hashlab_machine_engine_up{": while_(0, 1)}, 5, 5),
    "ServiceDown": ({'hashlab_container_up{service="site",': while_(0, 1)}, 5, 5),
    "ServiceRestarts": (
        {
            'hashlab_container_up{service="site",': lambda t: 1,
            'hashlab_container_restarts_total{service="site",': lambda t: min(max(t, 0), 300) // 40,
            'hashlab_container_start_time_seconds{service="site",': lambda t: (
                START + min(max(t, 0), 300) // 40 * 40
            ),
        },
        120,
        90,
    ),
    "QueueGrows": ({'rabbitmq_queue_messages{service="broker",': faster(5, 0)}, 130, 130),
    "DiskFills": (
        {
            "hashlab_machine_disk_available_bytes{": while_(1 * GIB, 30 * GIB),
            "hashlab_machine_disk_total_bytes{": lambda t: 40 * GIB,
        },
        5,
        5,
    ),
    "ErrorsRise": (
        {
            f'{HTTP}_count{{service="site",status="200",': faster(10, 10),
            f'{HTTP}_count{{service="site",status="500",': faster(2, 0),
        },
        70,
        70,
    ),
    "LatencyRises": (
        {
            f'{HTTP}_count{{service="site",': faster(10, 10),
            f'{HTTP}_sum{{service="site",': faster(5, 0.5),
        },
        70,
        70,
    ),
    "MetricsMissing": ({'up{job="service",service="site",': while_(0, 1)}, 5, 5),
}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.alert)
def test_a_rule_finds_its_trouble_and_nothing_before_and_after_it(asked: Real, rule: Rule) -> None:
    values, found_after, over_after = CASES[rule.alert]
    machine = f'machine="{rule.alert}"}}'
    asked.insert(
        *(
            f"{name}{machine} {value(t):.3f} {round((START + t) * 1000)}"
            for name, value in values.items()
            for t in range(-900, 2 * LASTS, 5)
        )
    )

    def found(t: float) -> list[Measured]:
        answer = asked.store.query(rule.question, at=START + t)
        return [each for each in answer if each.labels["machine"] == rule.alert]

    assert found(-2) == []
    [wrong] = found(found_after)
    assert rule.text.format(value=wrong.value)
    assert found(LASTS + over_after) == []


def test_no_disk_fills_that_is_large(asked: Real) -> None:
    """A tenth of a laptop's disk may be 100 GiB."""
    at = round(time.time()) - 60
    asked.insert(
        f'hashlab_machine_disk_available_bytes{{machine="large"}} {50 * GIB} {at * 1000}',
        f'hashlab_machine_disk_total_bytes{{machine="large"}} {1000 * GIB} {at * 1000}',
    )
    [rule] = [each for each in RULES if each.alert == "DiskFills"]
    answer = asked.store.query(rule.question, at=at + 1)
    assert [each for each in answer if each.labels["machine"] == "large"] == []
