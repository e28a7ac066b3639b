"""The page of `hashlab status` and of `hashlab doctor`."""

from __future__ import annotations

import io
from typing import get_args

import pytest
from fakes.documents import BUILD, NOW, box_status, lab_status, machine_status, service_status
from standins import Terminal

from hashlab.documents.alerts import Alert
from hashlab.documents.doctor import Check
from hashlab.documents.status import LastExit, ServiceState, ServiceStatus, Status
from hashlab.report import show_checks, show_status
from hashlab.report.status import status_page
from hashlab.report.view import Table


def shown(status: Status) -> str:
    stream = io.StringIO()
    show_status(status, stream, now=NOW)
    return stream.getvalue()


def line_of(service: ServiceStatus) -> str:
    lines = shown(lab_status(services=(service,))).splitlines()
    return next(line for line in lines if "nginx" in line)


def cells(service: ServiceStatus) -> list[list[str]]:
    """Return the texts of the table of services."""
    tables = [b for b in status_page(lab_status(services=(service,)), NOW) if isinstance(b, Table)]
    return [[cell.text for cell in row] for row in tables[-1].rows]


def test_the_page_names_lab_box_machines_services_and_addresses() -> None:
    said = shown(lab_status())
    for word in (
        "lab demo, provider docker",
        "box 1.0.0.r5f0c1e9a7b21",
        "192.168.60.6",
        "core@127.0.0.1:2201",
        "nginx",
        "healthy",
    ):
        assert word in said
    assert said.index(":8080") < said.index(":9000")
    assert "differs" not in said


def test_builds_that_differ_stand_side_by_side_and_are_marked() -> None:
    line = line_of(service_status(running_build="000000000000"))
    assert line.split()[-3:] == ["91ab22cd33ef", "000000000000", "differs"]


def test_stale_files_inside_a_container_are_shown() -> None:
    assert "runs an older /app/user.jar" in line_of(
        service_status(stale="runs an older /app/user.jar")
    )


def test_builds_that_differ_are_red_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    stream = Terminal()
    other = service_status(running_build="000000000000")
    show_status(lab_status(services=(other,)), stream, now=NOW)
    assert "\x1b[1;31m000000000000" in stream.getvalue()


def test_a_lab_without_a_box_says_what_to_do() -> None:
    box = box_status(registered=False)
    said = shown(lab_status(box=box, machines=(), services=(), urls={}, notes=("no machine",)))
    assert "no box yet: hashlab dev builds it" in said
    assert "no machine" in said


def test_alerts_that_fire_are_shown_with_their_age() -> None:
    alert = Alert("ServiceDown", NOW - 90, "web", "site", 1, "site 1 on web does not run")
    said = shown(lab_status(alerts=(alert,)))
    assert "ServiceDown: site 1 on web does not run, for 1 min" in said
    assert "Alerts" not in shown(lab_status())


def test_an_old_box_and_machines_made_from_it_are_marked() -> None:
    machine = machine_status(stale=True, ssh=None)
    page = lab_status(box=box_status(stale=True), machines=(machine,))
    assert "not built yet, an older one exists" in shown(page)
    assert "older box 5f0c1e9a7b21" in shown(page)


def test_a_service_that_does_not_run_has_a_dash_for_its_build() -> None:
    missing = service_status(state="not created", since=None, health=None, running_build=None)
    assert line_of(missing).split() == ["nginx", "web", "not", "created", BUILD, "-"]


@pytest.mark.parametrize("state", get_args(ServiceState))
def test_the_screen_says_the_state_in_the_words_of_the_document(state: ServiceState) -> None:
    assert f"web      {state}" in line_of(service_status(state=state, health=None, exit_code=3))


def test_an_ended_service_shows_its_exit_code_and_when_it_ended() -> None:
    ended = service_status(state="ended", exit_code=137, since=NOW - 300, running_build=None)
    assert line_of(ended).split()[2:6] == ["ended", "(137)", "5", "min"]


def test_restarts_are_shown_where_there_were_any() -> None:
    assert "restarts" not in shown(lab_status())
    said = shown(lab_status(services=(service_status(restarts=4),)))
    assert "restarts" in said and "  4  " in said


def test_replicas_have_numbers_where_a_service_has_several() -> None:
    assert "replica" not in shown(lab_status())
    said = shown(lab_status(services=(service_status(), service_status(replica=2))))
    assert [line.split()[2] for line in said.splitlines() if "nginx" in line] == ["1", "2"]


def test_a_failed_check_says_what_to_do() -> None:
    stream = io.StringIO()
    show_checks(
        [
            Check("docker", True, "20.10", "", True),
            Check("vagrant", False, "not found", "apt install vagrant", True),
        ],
        stream,
    )
    said = stream.getvalue()
    assert "✓ docker" in said
    assert "✗ vagrant" in said
    assert "vagrant: apt install vagrant" in said
    assert "Nothing is missing" not in said


def test_checks_that_all_pass_say_so() -> None:
    stream = io.StringIO()
    show_checks([Check("docker", True, "20.10", "", True)], stream)
    assert "Nothing is missing" in stream.getvalue()


def test_a_check_that_the_lab_does_not_need_may_fail() -> None:
    stream = io.StringIO()
    show_checks(
        [
            Check("docker", True, "20.10", "", True),
            Check("libvirt", False, "not found: virsh", "apt-get install libvirt-clients", False),
            Check("virtualbox", False, "not found: VBoxManage", "", False),
        ],
        stream,
    )
    said = stream.getvalue()
    assert "· libvirt     no " in said
    assert "Nothing is missing" in said
    more = said.partition("What could be improved")[2].split("\n")
    assert more[1].strip() == "libvirt: apt-get install libvirt-clients"
    assert "virtualbox" not in " ".join(more)


def test_the_last_exit_of_a_restarted_service_is_shown_with_its_last_line() -> None:
    last = LastExit(NOW - 120, None, "out of \x1b[31mmemory")
    [row] = cells(service_status(restarts=2, last_exit=last))
    assert row[-1] == "ended 2 min ago: out of memory"
    ended = service_status(
        state="ended", exit_code=3, problem="it ended", last_exit=LastExit(NOW - 5, 3, None)
    )
    assert cells(ended)[0][-1] == "it ended; ended (3) 5 s ago"


def test_an_end_by_a_command_or_one_that_went_well_is_not_worth_a_word() -> None:
    last = LastExit(NOW - 120, 0, "done")
    assert "done" not in cells(service_status(state="ended", exit_code=0, last_exit=last))[0][-1]
    stopped = service_status(state="stopped", stopped_by="command", restarts=1, last_exit=last)
    assert "done" not in cells(stopped)[0][-1]


def test_a_healthy_service_shows_since_when() -> None:
    shown = cells(service_status(healthy_since=NOW - 60))[0]
    assert "1 min" in shown
