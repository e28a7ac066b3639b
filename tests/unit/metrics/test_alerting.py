"""Which alerts fire, from what the questions of the rules find."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from hashlab.documents.alerts import Alert
from hashlab.metrics.alerting import Alerting, alert_event
from hashlab.metrics.rules import RULES, Rule
from hashlab.protocols import Measured

SLOW = Rule("Slow", "slow", 10, "takes {value:.1f} s")
AT_ONCE = Rule("Down", "down", 0, "does not run")
SITE = Measured({"machine": "web", "service": "site", "replica": "2", "job": "x"}, 1.25)
TEXTS = "Slow: site 2 on web takes 1.2 s"


def take(
    alerting: Alerting, now: float, found: Sequence[Measured] | None, rule: Rule = SLOW
) -> tuple[list[str], list[str]]:
    began, ended = alerting.take({rule: found}, now=now)
    return [f"{a.alert}: {a.text}" for a in began], [f"{a.alert}: {a.text}" for a in ended]


def test_an_alert_fires_when_it_was_found_for_long_enough_and_ends_when_it_is_not() -> None:
    alerting = Alerting()
    assert take(alerting, 100, [SITE]) == ([], [])
    assert take(alerting, 109, [SITE]) == ([], [])
    assert take(alerting, 110, [SITE]) == ([TEXTS], [])
    assert alerting.firing == (Alert("Slow", 110, "web", "site", 2, "site 2 on web takes 1.2 s"),)
    assert take(alerting, 120, [SITE]) == ([], [])
    assert take(alerting, 130, []) == ([], [TEXTS])
    assert not alerting.firing


def test_trouble_that_ends_before_does_not_fire() -> None:
    alerting = Alerting()
    take(alerting, 100, [SITE])
    take(alerting, 105, [])
    assert take(alerting, 112, [SITE]) == ([], [])


def test_nothing_begins_to_fire_while_a_run_is_busy_but_what_is_over_ends() -> None:
    alerting = Alerting()
    found = {AT_ONCE: [SITE]}
    for now in (100, 130, 160):
        assert alerting.take(found, now=now, busy=True) == ([], [])
    [[began], _] = alerting.take(found, now=162)
    assert began.since == 162
    [_, [ended]] = alerting.take({AT_ONCE: []}, now=164, busy=True)
    assert ended == began
    alerting.take({SLOW: [SITE]}, now=200, busy=True)
    assert alerting.take({SLOW: [SITE]}, now=209) == ([], [])
    assert len(alerting.take({SLOW: [SITE]}, now=210)[0]) == 1


def test_a_rule_that_waits_for_nothing_fires_at_once() -> None:
    machine = Measured({"machine": "web"}, 0)
    assert take(Alerting(), 5, [machine], AT_ONCE)[0] == ["Down: machine web does not run"]


def test_a_question_that_failed_changes_nothing() -> None:
    alerting = Alerting()
    take(alerting, 100, [SITE])
    take(alerting, 110, [SITE])
    assert take(alerting, 120, None) == ([], [])
    assert len(alerting.firing) == 1


def test_another_process_goes_on_with_what_fires() -> None:
    old = Alert("Slow", 50, "web", "site", 2, "site 2 on web takes 9.0 s")
    alerting = Alerting([old])
    assert take(alerting, 100, [SITE]) == ([], [])
    assert alerting.firing == (old,)
    alerting = Alerting([old])
    assert take(alerting, 100, []) == ([], [])
    assert take(alerting, 115, [])[1] == ["Slow: site 2 on web takes 9.0 s"]


def test_series_that_differ_in_nothing_that_matters_are_one_alert() -> None:
    other = Measured({**SITE.labels, "queue": "b"}, 7)
    assert len(take(Alerting(), 5, [SITE, other], AT_ONCE)[0]) == 1


def test_the_event_of_an_alert_says_what_it_is_about() -> None:
    alert = Alert("Slow", 50, "web", "site", 2, "site 2 on web is slow")
    event = alert_event(alert, fires=False, now=60)
    assert (event.time, event.event, event.machine, event.service) == (
        60,
        "resolved",
        "web",
        "site",
    )
    assert event.text == "Slow: site 2 on web is slow"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.alert)
def test_every_rule_makes_a_sentence(rule: Rule) -> None:
    [[alert], _] = Alerting().take({Rule(rule.alert, "", 0, rule.text): [SITE]}, now=0)
    assert alert.text.startswith("site 2 on web ")
    assert "{" not in alert.text
