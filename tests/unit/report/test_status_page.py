"""The page of `hashlab status` and of `hashlab doctor`."""

from __future__ import annotations

import io
from typing import Any

import pytest
from standins import Terminal

from hashlab.report import show_checks, show_status


def document(**changes: Any) -> dict[str, Any]:
    """A lab of one machine with one service, up to date."""
    whole = {
        "lab": "demo",
        "provider": "docker",
        "box": {"version": "0.0.3f2a9c", "stale": False},
        "machines": [
            {
                "name": "web",
                "address": "192.168.60.6",
                "state": "running",
                "ssh": {"host": "127.0.0.1", "port": 2201, "user": "core"},
                "recipe": "5f0c1e9a7b21",
                "stale": False,
            }
        ],
        "services": [
            {
                "name": "nginx",
                "machine": "web",
                "state": "running",
                "health": "healthy",
                "build": "91ab22cd33ef",
                "running_build": "91ab22cd33ef",
                "stale": None,
                "problem": None,
            }
        ],
        "urls": {"api": "http://127.0.0.1:9000", "web": "http://127.0.0.1:8080"},
        "notes": [],
    }
    return {**whole, **changes}


def shown(page: dict[str, Any]) -> str:
    stream = io.StringIO()
    show_status(page, stream)
    return stream.getvalue()


def test_the_page_names_lab_box_machines_services_and_addresses() -> None:
    said = shown(document())
    for word in (
        "lab demo, provider docker",
        "box 0.0.3f2a9c",
        "192.168.60.6",
        "core@127.0.0.1:2201",
        "nginx",
        "healthy",
    ):
        assert word in said
    assert said.index(":8080") < said.index(":9000")
    assert "differs" not in said


def test_builds_that_differ_stand_side_by_side_and_are_marked() -> None:
    service = {**document()["services"][0], "running_build": "000000000000"}
    line = next(one for one in shown(document(services=[service])).splitlines() if "nginx" in one)
    assert line.split()[-3:] == ["91ab22cd33ef", "000000000000", "differs"]


def test_what_is_stale_inside_a_container_is_said() -> None:
    service = {**document()["services"][0], "stale": "runs an older /app/user.jar"}
    assert "runs an older /app/user.jar" in shown(document(services=[service]))


def test_builds_that_differ_are_red_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    service = {**document()["services"][0], "running_build": "000000000000"}
    stream = Terminal()
    show_status(document(services=[service]), stream)
    assert "\x1b[1;31m000000000000" in stream.getvalue()


def test_a_lab_of_which_nothing_is_there_says_what_to_do() -> None:
    said = shown(document(box=None, machines=[], services=[], urls={}, notes=["no machine is up"]))
    assert "no box yet: hashlab init-box" in said
    box = {"name": "demo", "version": "1", "registered": False, "stale": False}
    assert "no box yet: hashlab init-box" in shown(document(box=box))
    assert "no machine is up" in said


def test_an_old_box_and_machines_made_from_it_are_marked() -> None:
    machine = {**document()["machines"][0], "stale": True, "ssh": None, "address": None}
    page = document(box={"version": "1", "stale": True}, machines=[machine])
    assert "not built yet, an older one is there" in shown(page)
    assert "older box 5f0c1e9a7b21" in shown(page)


def test_a_service_that_does_not_run_shows_no_running_build() -> None:
    service = {
        **document()["services"][0],
        "state": "missing",
        "health": None,
        "running_build": None,
    }
    line = next(one for one in shown(document(services=[service])).splitlines() if "nginx" in one)
    assert line.split() == ["nginx", "web", "missing", "91ab22cd33ef", "-"]


def test_a_failed_check_says_what_to_do() -> None:
    stream = io.StringIO()
    show_checks(
        [
            ("docker", True, "20.10", "", True),
            ("vagrant", False, "not found", "apt install vagrant", True),
        ],
        stream,
    )
    said = stream.getvalue()
    assert "✓ docker" in said
    assert "✗ vagrant" in said
    assert "vagrant: apt install vagrant" in said
    assert "All is there" not in said


def test_checks_that_all_pass_say_so() -> None:
    stream = io.StringIO()
    show_checks([("docker", True, "20.10", "", True)], stream)
    assert "All is there" in stream.getvalue()


def test_what_the_lab_does_not_need_may_be_missing_and_is_told_apart() -> None:
    stream = io.StringIO()
    show_checks(
        [
            ("docker", True, "20.10", "", True),
            ("libvirt", False, "not found: virsh", "apt-get install libvirt-clients", False),
            ("virtualbox", False, "not found: VBoxManage", "", False),
        ],
        stream,
    )
    said = stream.getvalue()
    assert "· libvirt     no " in said
    assert "All is there" in said
    more = said.partition("What more could be had")[2].split("\n")
    assert more[1].strip() == "libvirt: apt-get install libvirt-clients"
    assert "virtualbox" not in " ".join(more)
