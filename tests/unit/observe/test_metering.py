"""What the process serves for the metrics store, watches in it, and marks there."""

from __future__ import annotations

import base64
import json
import threading
import urllib.error
import urllib.request
from dataclasses import replace

import pytest
from fakes import Outside
from fakes.metricstore import FakeMetricStore

from hashlab.documents.events import LabEvent
from hashlab.documents.samples import ContainerSample, MachineSample
from hashlab.metrics.rules import Rule
from hashlab.metrics.scraping import Scraped
from hashlab.observe import metering
from hashlab.observe.alerts import AlertWatch
from hashlab.observe.annotating import Annotations
from hashlab.observe.exporting import ExportServer
from hashlab.observe.metering import Latest
from hashlab.phases.alerts import FILE, read_alerts
from hashlab.phases.happened import read_events, record_events
from hashlab.phases.scraping import scrape_targets
from hashlab.pipeline import CancelToken
from hashlab.protocols import Measured
from hashlab.report import event_text
from hashlab.run.lock import held
from hashlab.state.files import write_json

SITE = ContainerSample("small-site-1", "site", 1, "b1", "running", None, 0, 100.0)
WEB = MachineSample(
    "web", 1000.0, 60.0, 2.0, 10.0, 500, 1000, 1000, 500, 0, 0, 100, 50, True, (SITE,)
)
DOWN = Rule("Down", "down", 0, "does not run")
NOON = 1_795_939_200.0


@pytest.fixture
def latest(outside: Outside) -> Latest:
    labels = (("prometheus.io/port", "8000"),)
    services = [
        replace(each, labels=labels, replicas=1) if each.name == "site" else each
        for each in outside.lab.services
    ]
    outside.lab = replace(outside.lab, services=tuple(services))
    return Latest(outside.world(), scrape_targets(outside.lab))


def jobs(latest: Latest) -> list[tuple[str, ...]]:
    page = latest.page("/targets")
    assert page is not None
    return [
        (of["job"], of["machine"], of.get("service", ""), of["__metrics_path__"])
        for of in (each["labels"] for each in json.loads(page))
    ]


def test_machines_and_labelled_services_are_targets(latest: Latest) -> None:
    assert jobs(latest) == [
        ("machine", "broker", "", "/machine/broker"),
        ("machine", "web", "", "/machine/web"),
        ("machine", "spare", "", "/machine/spare"),
        ("service", "web", "site", "/service/web/small-site-1"),
    ]


def test_a_service_that_a_person_stopped_or_intercepted_is_no_target(
    latest: Latest, outside: Outside
) -> None:
    latest.sampled(replace(WEB, intercepted=("site",)))
    assert "site" not in {service for _, _, service, _ in jobs(latest)}
    latest.sampled(WEB)
    assert "site" in {service for _, _, service, _ in jobs(latest)}
    write_json(outside.state.stopped, ["site"])
    assert "site" not in {service for _, _, service, _ in jobs(latest)}


def test_a_page_is_there_while_it_is_fresh(latest: Latest, monkeypatch: pytest.MonkeyPatch) -> None:
    machine, service = "/machine/web", "/service/web/small-site-1"
    assert latest.page(machine) is latest.page(service) is None
    latest.sampled(WEB)
    latest.scraped("web", Scraped("small-site-1", "a 1\n"))
    assert "hashlab_container_info" in (latest.page(machine) or "")
    assert latest.page(service) == "a 1\n"
    latest.scraped("web", Scraped("small-site-1", why="nothing listens on its port"))
    assert latest.page(service) is None
    latest.lost("web", "Connection refused")
    assert latest.page(machine) is None
    latest.sampled(WEB)
    monkeypatch.setattr(metering, "FRESH_SECONDS", -1.0)
    assert latest.page(machine) is None


@pytest.mark.parametrize("path", ["/", "", "/machine", "/machine/a/b", "/service/x", "/other/web"])
def test_other_paths_have_nothing(latest: Latest, path: str) -> None:
    latest.sampled(WEB)
    assert latest.page(path) is None


def test_the_server_answers_only_with_the_password() -> None:
    pages: dict[str, str | None] = {"/targets": "[]", "/machine/web": None}
    with ExportServer("secret", pages.get) as server:

        def status(path: str, password: str) -> int:
            request = urllib.request.Request(f"http://127.0.0.1:{server.port}{path}")
            token = base64.b64encode(f"hashlab:{password}".encode()).decode()
            request.add_header("Authorization", f"Basic {token}")
            try:
                with urllib.request.urlopen(request, timeout=5) as answer:
                    return int(answer.status)
            except urllib.error.HTTPError as error:
                error.close()
                return error.code

        assert status("/targets", "secret") == 200
        assert status("/machine/web", "secret") == 503
        assert status("/targets", "guess") == 401


def watch(outside: Outside, store: FakeMetricStore) -> AlertWatch:
    return AlertWatch(
        outside.world(), store, log=lambda _: None, cancel=CancelToken(), rules=[DOWN]
    )


def test_an_alert_is_saved_and_recorded_when_it_begins_and_when_it_ends(outside: Outside) -> None:
    store = FakeMetricStore()
    watching = watch(outside, store)
    watching.evaluate(NOON)
    assert not (outside.state.observe / FILE).exists()
    store.answers["down"] = [Measured({"machine": "web", "service": "site", "replica": "1"}, 0)]
    watching.evaluate(NOON + 2)
    [alert] = read_alerts(outside.state.observe)
    assert (alert.alert, alert.since, alert.text) == (
        "Down",
        NOON + 2,
        "site 1 on web does not run",
    )
    store.answers["down"] = None
    watching.evaluate(NOON + 4)
    assert read_alerts(outside.state.observe) == (alert,)
    # Another process goes on with it.
    watching = watch(outside, store)
    store.answers["down"] = []
    watching.evaluate(NOON + 6)
    assert read_alerts(outside.state.observe) == (alert,)
    watching.evaluate(NOON + 21)
    assert read_alerts(outside.state.observe) == ()
    assert [event_text(event) for _, event in read_events(outside.state)] == [
        "alert Down: site 1 on web does not run",
        "over: alert Down: site 1 on web does not run",
    ]


@pytest.mark.parametrize(
    "text", ["", "{}", "[1]", '[{"alert": 1}]', '[{"alert": "x", "since": "y"}]']
)
def test_a_damaged_file_has_no_alerts(outside: Outside, text: str) -> None:
    write_json(outside.state.observe / FILE, [])
    (outside.state.observe / FILE).write_text(text)
    assert read_alerts(outside.state.observe) == ()


def test_no_alert_begins_while_a_run_holds_the_lock(outside: Outside) -> None:
    store = FakeMetricStore()
    store.answers["down"] = [Measured({"machine": "web"}, 0)]
    watching = watch(outside, store)
    with held(outside.state.lock, "dev"):
        watching.evaluate(NOON)
        assert read_alerts(outside.state.observe) == ()
    watching.evaluate(NOON + 2)
    assert len(read_alerts(outside.state.observe)) == 1


def test_the_watch_goes_on_after_a_failure_and_closes_its_connection(outside: Outside) -> None:
    store, cancel, log = FakeMetricStore(), CancelToken(), list[str]()
    store.answers["down"] = None

    def note(text: str) -> None:
        log.append(text)
        if len(log) == 2:
            cancel.cancel()

    world = outside.world()
    watching = AlertWatch(world, store, log=note, cancel=cancel, rules=[DOWN, DOWN])
    thread = threading.Thread(target=watching.run)
    thread.start()
    thread.join(20)
    assert not thread.is_alive()
    assert log[0] == "alert Down: the metrics store does not answer: timed out"
    assert store.closed == 1


def test_each_change_to_a_service_is_a_sample_at_its_moment(outside: Outside) -> None:
    store = FakeMetricStore()
    marks = Annotations(outside.world(), store, log=lambda _: None, cancel=CancelToken())
    change = LabEvent(NOON + 0.5, "changed", machine="web", service="site", build="b2", text="new")
    run = LabEvent(NOON + 1, "run", command="refresh", ok=True)
    record_events(outside.state, [change, run])
    store.failing = 1
    with pytest.raises(Exception, match="timed out"):
        marks.store_new()
    marks.store_new()
    marks.store_new()
    assert store.inserted == [
        'hashlab_refresh{machine="web",service="site",build="b2"} 1 1795939200500'
    ]
    record_events(outside.state, [replace(change, time=NOON + 9, build="b3")])
    marks.store_new()
    assert len(store.inserted) == 2
