"""Answers of services, and the labels that say which services answer."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fakes import Outside

from hashlab.metrics.scraping import Answers, Scraped
from hashlab.phases.scraping import ScrapeTarget, scrape_targets, wrong_labels

GOOD = ["HTTP/1.0 200 OK\r", "Content-Type: text/plain\r", "\r", "# HELP a b", "a 1"]


def answer(*lines: str) -> Scraped:
    [found] = Answers().add(
        [b"#scrape small-site-1", *(f" {line}".encode() for line in lines), b"", b"#end"]
    )
    return found


def test_an_answer_is_its_text_without_headers() -> None:
    assert answer(*GOOD) == Scraped("small-site-1", "# HELP a b\na 1\n")


def test_a_service_cannot_pretend_to_be_the_program() -> None:
    found = answer(*GOOD, "#end", "#scrape other")
    assert found.text.endswith("#end\n#scrape other\n")


def test_answers_are_cut_wherever_a_read_ended() -> None:
    answers = Answers()
    assert list(answers.add([b"#scrape a", b" HTTP/1.1 200 OK"])) == []
    found = list(answers.add([b" ", b" x 1", b"", b"#end", b"#scrape b", b"", b"#end"]))
    assert found == [Scraped("a", "x 1\n"), Scraped("b", why="it does not answer within 3 s")]


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (["it does not run"], "it does not run"),
        (
            ["2026/11/30 socat[7] E connect(5, AF=2 10.0.1.2:8000, 16): Connection refused"],
            "nothing listens on its port",
        ),
        (["2026/11/30 socat[7] E something else"], "something else"),
        (["HTTP/1.0 404 Not Found\r", "\r"], "it answers HTTP/1.0 404 Not Found"),
        (["HTTP/1.0 200 OK\r"], "its answer has no end of headers"),
        (
            ["HTTP/1.1 200 OK\r", "Transfer-Encoding: Chunked\r", "\r", "5"],
            "it answers HTTP/1.0 in chunks",
        ),
    ],
)
def test_an_answer_without_metrics_says_why(lines: list[str], why: str) -> None:
    assert answer(*lines).why == why


def labelled(outside: Outside, **labels: str) -> Outside:
    of = tuple((f"prometheus.io/{name}", value) for name, value in labels.items())
    services = [
        replace(each, labels=of, replicas=2) if each.name == "site" else each
        for each in outside.lab.services
    ]
    outside.lab = replace(outside.lab, services=tuple(services))
    return outside


def test_each_replica_of_a_labelled_service_is_a_target(outside: Outside) -> None:
    assert scrape_targets(outside.lab) == []
    found = scrape_targets(labelled(outside, port="8000").lab)
    assert found == [
        ScrapeTarget("web", "site", number, f"small-site-{number}", 8000, "/metrics")
        for number in (1, 2)
    ]


def test_a_label_may_name_another_path_or_turn_it_off(outside: Outside) -> None:
    assert scrape_targets(labelled(outside, port="1", path="/m?x=1").lab)[0].path == "/m?x=1"
    off = labelled(outside, port="none", scrape="false").lab
    assert (scrape_targets(off), wrong_labels(off)) == ([], [])


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        ({"port": "http"}, "'http' in its label prometheus.io/port is not a valid port number"),
        ({"port": "70000"}, "'70000' in its label prometheus.io/port is not a valid port number"),
        ({"port": "80", "path": "m"}, "'m' in its label prometheus.io/path is not a path"),
        ({"port": "80", "path": "/a b"}, "'/a b' in its label prometheus.io/path is not a path"),
        ({"port": "80", "path": "/\r\nX: y"}, "is not a path"),
    ],
)
def test_a_wrong_label_is_reported_and_is_no_target(
    outside: Outside, labels: dict[str, str], text: str
) -> None:
    lab = labelled(outside, **labels).lab
    [wrong] = wrong_labels(lab)
    assert wrong.startswith("no metrics of site are collected: ")
    assert text in wrong
    assert scrape_targets(lab) == []
