"""Status: one document of machines, services and addresses, whatever state the lab is in."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from fakes import Behaviour, Outside, change_service, go, running, track_of, write_files

from hashlab.config.model import Port
from hashlab.documents import to_json
from hashlab.phases import connect
from hashlab.phases.happened import read_events
from hashlab.phases.status import service_state, status_document
from hashlab.protocols import ContainerState
from hashlab.run import workflows


def document(outside: Outside) -> dict[str, Any]:
    """The document; it must survive JSON."""
    world = outside.world()
    with track_of() as track:
        made = to_json(status_document(world, track))
    world.close()
    copied: dict[str, Any] = json.loads(json.dumps(made))
    assert copied == made
    return copied


def service(outside: Outside, name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(s for s in document(outside)["services"] if s["name"] == name)
    return found


def machine(outside: Outside, name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(m for m in document(outside)["machines"] if m["name"] == name)
    return found


def test_before_anything_was_made_everything_is_not_created(outside: Outside) -> None:
    told = document(outside)
    assert (told["lab"], told["provider"]) == ("small", "docker")
    assert {m["state"] for m in told["machines"]} == {"not created"}
    assert [m["address"] for m in told["machines"]] == [
        "192.168.60.5",
        "192.168.60.6",
        "192.168.60.7",
    ]
    assert {s["state"] for s in told["services"]} == {"not created"}
    assert told["box"]["registered"] is False
    assert told["urls"] == {}
    assert told["notes"] == ["no box is registered; hashlab dev builds it"]


def test_a_running_lab_is_described_completely(outside: Outside) -> None:
    told = document(running(outside))
    assert told["machines"][1] == {
        "name": "web",
        "address": "192.168.60.6",
        "state": "running",
        "ssh": {"host": "127.0.0.1", "port": outside.machines["web"].port, "user": "core"},
        "recipe": told["box"]["recipe"],
        "stale": False,
    }
    queue, migrate, *sites = told["services"]
    assert queue["state"] == "running"
    assert queue["health"] == "healthy"
    assert queue["running_build"] == queue["build"]
    assert (migrate["state"], migrate["exit_code"], migrate["problem"]) == ("ended", 0, None)
    assert migrate["running_build"] == migrate["build"]
    assert [(site["name"], site["replica"]) for site in sites] == [("site", 1), ("site", 2)]
    assert told["urls"] == {"site": "http://127.0.0.1:8080"}
    assert told["box"]["version"] == f"1.0.0.r{told['box']['recipe']}"
    assert told["box"] | {"name": "", "version": "", "recipe": ""} == {
        "name": "",
        "version": "",
        "recipe": "",
        "registered": True,
        "stale": False,
    }
    assert told["notes"] == []


def test_status_changes_nothing(outside: Outside) -> None:
    running(outside)
    document(outside)
    assert outside.faults.changes() == []


def test_an_edit_that_was_not_refreshed_is_seen(outside: Outside) -> None:
    running(outside)
    write_files(outside.lab.folder, {"static/index.html": "edited"})
    site = service(outside, "site")
    assert site["running_build"] != site["build"]
    assert "it runs build" in site["stale"]


def test_a_one_shot_of_an_older_build_does_not_pass_for_the_new_one(outside: Outside) -> None:
    running(outside)
    outside.lab = change_service(outside.lab, "migrate", command=("other",))
    migrate = service(outside, "migrate")
    assert migrate["running_build"] != migrate["build"]


def test_a_service_that_ended_has_no_running_build(outside: Outside) -> None:
    running(outside).machines["broker"].engine.die("small-queue-1")
    queue = service(outside, "queue")
    assert (queue["state"], queue["exit_code"], queue["running_build"], queue["problem"]) == (
        "ended",
        1,
        None,
        "it ended with exit code 1 and was not started again",
    )


def test_a_service_tells_since_when_it_runs_and_its_restarts(outside: Outside) -> None:
    queue = running(outside).machines["broker"].engine.by_name("small-queue-1")
    queue.started_at, queue.restarts = "2026-11-23T17:45:24.115123456Z", 3
    told = service(outside, "queue")
    assert (told["since"], told["restarts"]) == ("2026-11-23T17:45:24.115Z", 3)


def test_an_ended_service_tells_when_it_ended(outside: Outside) -> None:
    engine = running(outside).machines["broker"].engine
    engine.die("small-queue-1", code=137)
    engine.by_name("small-queue-1").finished_at = "2026-11-23T18:00:00Z"
    told = service(outside, "queue")
    assert (told["exit_code"], told["since"]) == (137, "2026-11-23T18:00:00.000Z")


def test_a_service_that_ended_shows_its_last_line(outside: Outside) -> None:
    engine = running(outside).machines["broker"].engine
    engine.behaviours = {**engine.behaviours, "queue": Behaviour(log="fine\nout of memory\n")}
    engine.die("small-queue-1", code=137)
    engine.by_name("small-queue-1").finished_at = "2026-11-23T18:00:00Z"
    queue = service(outside, "queue")
    assert queue["last_exit"] == {
        "time": "2026-11-23T18:00:00.000Z",
        "code": 137,
        "line": "out of memory",
    }
    assert queue["healthy_since"] is None
    assert service(outside, "site")["last_exit"] is None
    [(_, event)] = read_events(outside.state)
    assert (event.event, event.service, event.text) == ("ended", "queue", "exit code 137")


def test_a_service_is_healthy_since_it_was_first_seen_so(outside: Outside) -> None:
    running(outside)
    first = service(outside, "site")["healthy_since"]
    assert first is not None
    assert service(outside, "site")["healthy_since"] == first


def test_a_container_that_is_gone_is_not_created(outside: Outside) -> None:
    running(outside).machines["broker"].engine.remove("small-queue-1")
    queue = service(outside, "queue")
    assert (queue["state"], queue["since"], queue["restarts"], queue["problem"]) == (
        "not created",
        None,
        None,
        "it does not exist",
    )


RAN = ContainerState("1", "site", "running", "", 0, "image", {}, 1, "2026-11-23T18:00:00Z")


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, "running"),
        ({"health": "healthy", "checked": True}, "running"),
        ({"health": "starting", "checked": True}, "starting"),
        ({"health": "unhealthy", "checked": True}, "unhealthy"),
        ({"state": "created", "pid": 0, "started_at": "0001-01-01T00:00:00Z"}, "starting"),
        ({"state": "restarting", "restarts": 2}, "restarting"),
        ({"restarts": 2, "started_at": "2999-01-01T00:00:00Z"}, "restarting"),
        ({"restarts": 2}, "running"),
        ({"state": "exited", "health": "unhealthy", "exit_code": 143}, "ended"),
        ({"state": "dead"}, "ended"),
        ({"state": "paused"}, "stopped"),
    ],
)
def test_each_state_of_an_engine_has_one_word(changes: dict[str, Any], state: str) -> None:
    assert service_state(replace(RAN, **changes)) == state


def test_a_service_without_health_check_has_no_health(outside: Outside) -> None:
    outside.lab = change_service(outside.lab, "queue", healthcheck=None)
    assert service(running(outside), "queue")["health"] is None


def test_a_stopped_machine_is_reported_and_the_others_are_observed(outside: Outside) -> None:
    running(outside).machines["web"].state = "stopped"
    told = document(outside)
    assert [m["state"] for m in told["machines"]] == ["running", "stopped", "running"]
    assert told["machines"][1]["ssh"] is None
    services = {s["name"]: s for s in told["services"]}
    assert services["queue"]["state"] == "running"
    site = services["site"]
    assert (site["state"], site["stopped_by"], site["problem"]) == (
        "stopped",
        "machine",
        "its machine is stopped",
    )


def test_a_machine_that_does_not_answer_is_unreachable(
    outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    running(outside)
    monkeypatch.setattr(connect, "CONNECT_SECONDS", 0)
    outside.faults.arm("connector.connect", always=True)
    told = document(outside)
    assert {m["state"] for m in told["machines"]} == {"unreachable"}
    assert {s["state"] for s in told["services"]} == {"unknown"}
    assert told["urls"] == {}
    assert any(note.startswith("machine web: ") for note in told["notes"])


def test_a_changed_recipe_makes_the_box_and_its_machines_stale(outside: Outside) -> None:
    running(outside)
    outside.provider.system = "system 2"
    told = document(outside)
    assert told["box"]["stale"] is True
    assert {m["stale"] for m in told["machines"]} == {True}
    assert told["notes"] == [
        "the box is stale: its recipe changed. To renew it: hashlab init-box",
        "broker, web, spare: on an older box. To renew: hashlab dev --replace",
    ]


def test_machines_on_the_old_box_are_stale_once_a_new_one_is_registered(outside: Outside) -> None:
    running(outside)
    outside.provider.system = "system 2"
    go(outside, workflows.INIT_BOX)
    told = document(outside)
    assert told["box"]["stale"] is False
    web = machine(outside, "web")
    assert web["stale"] is True
    assert web["recipe"] not in (None, told["box"]["recipe"])


def test_notes_of_the_configuration_are_passed_on(outside: Outside) -> None:
    outside.lab = replace(outside.lab, notes=("compose.yaml:3: 'links' is not acted on",))
    assert "compose.yaml:3: 'links' is not acted on" in document(outside)["notes"]


def test_status_finds_the_machines_without_any_local_state(outside: Outside) -> None:
    running(outside)
    outside.state.root.rename(outside.root / "lost")
    outside.vagrant_allowed = False
    assert machine(outside, "web")["state"] == "running"


def test_replaced_addresses_and_ports_are_reported(outside: Outside) -> None:
    outside.provider.subnets_in_use = ["192.168.60.0/24"]
    outside.ports_in_use = {8080}
    told = document(running(outside))
    assert told["machines"][1]["address"] == "192.168.61.6"
    assert told["urls"] == {"site": "http://127.0.0.1:40001"}


def test_an_address_at_which_nothing_listens_is_not_listed(outside: Outside) -> None:
    outside.lab = change_service(outside.lab, "site", ports=(Port(80, 80),), replicas=1)
    running(outside)
    assert document(outside)["urls"] == {"site": "http://127.0.0.1:8080"}
    go(outside, workflows.stopping(["site"]))
    assert document(outside)["urls"] == {}
