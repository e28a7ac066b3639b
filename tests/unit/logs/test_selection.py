"""The words of `hashlab logs`: what they ask the machines for, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fakes import small_lab
from journals import NOON, entry

from hashlab.config.model import Lab
from hashlab.documents.logs import Level, LogLine
from hashlab.errors import UsageError
from hashlab.logs.selection import Selection, select

NOTHING: dict[str, Any] = {
    "services": (),
    "machines": (),
    "units": (),
    "follow": False,
    "since": "",
    "until": "",
    "tail": "",
    "grep": "",
    "level": "",
}


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return small_lab(tmp_path)


def chosen(lab: Lab, **words: Any) -> Selection:
    return select(lab, **{"changed": lambda: None, **NOTHING, **words}, now=NOON)


def asked(lab: Lab, **words: Any) -> list[str]:
    """Return what journalctl is asked for, without the list of fields."""
    return chosen(lab, **words).for_journalctl(lab)[1:]


def test_without_words_all_lines_of_the_lab_are_asked_for(lab: Lab) -> None:
    assert chosen(lab).machines == ("broker", "web", "spare")
    assert asked(lab) == ["--lines=all", f"HASHLAB_LAB={lab.id}"]


def test_services_are_asked_for_on_their_machines(lab: Lab) -> None:
    assert chosen(lab, services=("site",)).machines == ("web",)
    assert asked(lab, services=("site", "queue"))[-2:] == [
        "HASHLAB_SERVICE=site",
        "HASHLAB_SERVICE=queue",
    ]


def test_a_service_on_several_machines_is_asked_for_on_all_of_them(lab: Lab) -> None:
    site = next(service for service in lab.services if service.name == "site")
    copies = [
        replace(site, name=f"site.{machine}", machine=machine, copy_of="site")
        for machine in ("web", "spare")
    ]
    spread = replace(lab, services=(*(s for s in lab.services if s is not site), *copies))
    both = chosen(spread, services=["site"])
    assert (both.machines, both.services) == (("web", "spare"), ("site.web", "site.spare"))
    one = chosen(spread, services=["site.web"])
    assert (one.machines, one.services) == (("web",), ("site.web",))


def test_a_unit_is_asked_for_without_the_lines_of_containers(lab: Lab) -> None:
    selection = chosen(lab, machines=("web",), units=("docker",))
    assert selection.for_journalctl(lab)[1:] == ["--unit=docker", "--lines=all"]
    assert selection.takes(entry("engine", container=""))
    assert not selection.takes(entry("a service's"))


@pytest.mark.parametrize(
    ("text", "seconds"), [("10m", 600), ("1h30m", 5400), ("2d", 172800), ("1.5s", 1.5)]
)
def test_a_time_may_be_so_long_ago(lab: Lab, text: str, seconds: float) -> None:
    assert asked(lab, since=text)[0] == f"--since=@{NOON - seconds:.6f}"


def test_a_time_may_be_a_date_or_a_time_of_today(lab: Lab) -> None:
    assert chosen(lab, until="2026-11-29T08:00:00Z").until == NOON
    today = chosen(lab, since="00:00").since
    assert today is not None
    assert 0 <= NOON - today < 86400


def test_the_last_lines_are_asked_for_with_those_before_that_may_begin_a_trace(lab: Lab) -> None:
    assert asked(lab, tail="5")[0] == "--lines=105"
    assert asked(lab, tail="0")[0] == "--lines=0"


@pytest.mark.parametrize("filtering", [{"grep": "x"}, {"level": "warn"}, {"units": ("docker",)}])
def test_lines_that_the_laptop_filters_are_all_asked_for(lab: Lab, filtering: Any) -> None:
    assert "--lines=all" in asked(lab, tail="5", **filtering)


def test_following_begins_with_the_last_lines_or_at_a_time(lab: Lab) -> None:
    assert chosen(lab, follow=True).tail == 20
    assert chosen(lab, follow=True, since="1m").tail is None


def test_a_lost_machine_is_asked_for_all_lines_after_the_last_one(lab: Lab) -> None:
    selection = chosen(lab, follow=True, since="1m")
    options = selection.for_journalctl(lab, after="s=1;i=2")
    assert options[1:3] == ["--after-cursor=s=1;i=2", "--lines=all"]


def log_line(level: Level | None, message: str = "x") -> LogLine:
    return LogLine(NOON, "web", "site", 1, "b1", None, level, message)


def test_a_level_and_a_pattern_choose_lines(lab: Lab) -> None:
    warn = chosen(lab, level="warn")
    assert [
        level for level in ("info", "warn", "fatal", None) if warn.accepts(log_line(level))
    ] == [
        "warn",
        "fatal",
    ]
    found = chosen(lab, grep=r"at .*Users")
    assert found.accepts(log_line(None, "ERROR\n\tat com.Users.save"))
    assert not found.accepts(log_line(None, "Users at"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"services": ("sit",)}, "no service 'sit'"),
        ({"machines": ("web2",)}, "no machine 'web2'"),
        ({"services": ("site",), "units": ("docker",)}, "--unit shows logs of machines"),
        ({"follow": True, "until": "1m"}, "--follow has no end"),
        ({"level": "loud"}, "unknown level 'loud'"),
        ({"since": "yesterday"}, "--since yesterday: not a duration or a time"),
        ({"until": "25:00"}, "--until 25:00: not a duration or a time"),
        ({"tail": "-3"}, "--tail -3: not a number"),
        ({"grep": "("}, r"--grep \(: not a regular expression"),
    ],
)
def test_a_wrong_word_is_refused_with_what_to_type(lab: Lab, words: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message) as refused:
        chosen(lab, **words)
    assert refused.value.next_step


def test_everything_is_lines_of_services_and_of_units(tmp_path: Path) -> None:
    selection = Selection(("web",), follow=True, everything=True)
    words = selection.for_journalctl(small_lab(tmp_path / "lab"), after="c1")
    assert words[1:] == ["--after-cursor=c1", "--lines=all"]
    assert selection.takes(entry("a"))
    assert selection.takes(entry("b", container=""))


def test_since_refresh_begins_with_the_last_change(tmp_path: Path) -> None:
    lab = small_lab(tmp_path / "lab")
    assert chosen(lab, since="refresh", changed=lambda: NOON - 7).since == NOON - 7
    with pytest.raises(UsageError, match="no run that changed a service is recorded"):
        chosen(lab, since="refresh")
