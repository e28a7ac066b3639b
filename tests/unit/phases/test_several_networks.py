"""Several networks: each service is on its own, and a change of one touches its services only."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fakes import Outside, change_service, go, rows, run, running, track_of
from fakes.engine import FakeEngine
from fakes.running import register_box

from hashlab.config.model import AddressPool, Attachment, Dependency, Lab, Link, Network, Service
from hashlab.errors import LabError
from hashlab.phases import names
from hashlab.phases.containers import renewal
from hashlab.phases.containers.networking import endpoints, misplaced, parted, settings_of
from hashlab.phases.names import choose_askers
from hashlab.phases.status import status_document
from hashlab.protocols import ContainerState, NetworkPlace
from hashlab.run import workflows

FRONT, BACK = Network("front", "small_front"), Network("back", "small_back", internal=True)
LEADER = "192.168.60.5"
AGENT = Service(
    *("agent", "broker", "small/queue"),
    command=("agent",),
    networks=(),
    network_mode="service:queue",
    depends_on=(Dependency("queue"),),
    restart="always",
)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (names, renewal):
        monkeypatch.setattr(module, "POLL_SECONDS", 0.001)
    monkeypatch.setattr(names, "FIRST_POLL_SECONDS", 0.001)


def with_networks(lab: Lab, *, back: Network = BACK) -> Lab:
    """The small lab with the queue on one network, its migration and the site on two."""
    lab = change_service(lab, "queue", networks=(Attachment("back", ("broker",)),))
    for name in ("migrate", "site"):
        lab = change_service(lab, name, networks=(Attachment("back"), Attachment("front")))
    return replace(lab, networks=(FRONT, back))


def without_front(lab: Lab) -> Lab:
    """The same lab with all services on the network back."""
    for name in ("migrate", "site"):
        lab = change_service(lab, name, networks=(Attachment("back"),))
    return replace(lab, networks=(BACK,))


def engine(outside: Outside, machine: str) -> FakeEngine:
    return outside.machines[machine].engine


def networks_of(outside: Outside, machine: str, name: str) -> dict[str, frozenset[str]]:
    state = engine(outside, machine).container(f"{name}.sandbox")
    assert state is not None
    return {network: place.aliases - {name} for network, place in state.networks.items()}


def created(outside: Outside) -> list[str]:
    names = [str(call.words[1]) for call in outside.faults.calls if call.name == "engine.create"]
    return sorted(name for name in names if not name.endswith(".sandbox"))


def test_each_service_is_on_its_networks_under_its_names(outside: Outside) -> None:
    outside.lab = with_networks(outside.lab)
    running(outside)
    overlays = outside.clusters[LEADER].overlays
    assert {name: each.internal for name, each in overlays.items()} == {
        "small_front": False,
        "small_back": True,
    }
    assert networks_of(outside, "broker", "small-queue-1") == {
        "small_back": frozenset({"queue", "broker"})
    }
    site = frozenset({"site"})
    expected = {"small_back": site, "small_front": site}
    assert networks_of(outside, "web", "small-site-1") == expected


def test_each_further_network_of_a_container_costs_one_call(outside: Outside) -> None:
    register_box(outside)
    go(outside, workflows.DEV)
    assert not [call for call in outside.faults.calls if call.name == "engine.connect"]
    outside.lab = with_networks(outside.lab)
    go(outside, workflows.DEV)
    connected = [call.words[1] for call in outside.faults.calls if call.name == "engine.connect"]
    assert connected == 3 * ["small_front"]


def test_a_second_refresh_changes_nothing(outside: Outside) -> None:
    outside.lab = with_networks(outside.lab)
    running(outside)
    outside.faults.calls.clear()
    result = go(outside, workflows.REFRESH)
    assert outside.faults.changes() == []
    assert rows(result, "network")[0].detail == "joined already"


def test_a_lab_of_an_earlier_version_moves_to_the_new_network(outside: Outside) -> None:
    """It had one network, which bore the lab's name and no hash of its settings."""
    before = replace(outside.lab, networks=(Network("default", outside.lab.name),))
    after, outside.lab = outside.lab, before
    running(outside)
    outside.clusters[LEADER].overlays["small"].labels = {"hashlab.lab": outside.lab.id}
    outside.lab = after
    go(outside, workflows.DEV)
    assert set(outside.clusters[LEADER].overlays) == {"small_default"}
    assert {*networks_of(outside, "web", "small-site-1")} == {"small_default"}
    assert "small_data" in engine(outside, "broker").volume_labels


def test_a_network_whose_settings_changed_is_made_again_and_only_its_services_move(
    outside: Outside,
) -> None:
    lab = change_service(with_networks(outside.lab), "site", networks=(Attachment("front"),))
    outside.lab = lab
    running(outside)
    before = dict(outside.clusters[LEADER].overlays)
    changed = replace(BACK, internal=False)
    outside.lab = replace(lab, networks=(FRONT, changed))
    outside.faults.calls.clear()
    go(outside, workflows.REFRESH)
    after = outside.clusters[LEADER].overlays
    assert after["small_front"] is before["small_front"]
    assert after["small_back"].id != before["small_back"].id
    assert after["small_back"].labels["hashlab.network"] == settings_of(changed)
    assert created(outside) == ["small-migrate-1", "small-queue-1"]


def test_a_network_that_the_file_no_longer_has_is_removed(outside: Outside) -> None:
    outside.lab = with_networks(outside.lab)
    running(outside)
    outside.lab = without_front(outside.lab)
    go(outside, workflows.REFRESH)
    assert set(outside.clusters[LEADER].overlays) == {"small_back"}


def test_a_service_that_the_file_no_longer_has_goes_with_its_network(outside: Outside) -> None:
    lab = outside.lab
    alone = replace(AGENT, networks=(Attachment("front"),), network_mode="")
    outside.lab = replace(lab, services=(*lab.services, alone), networks=(*lab.networks, FRONT))
    running(outside)
    outside.lab = lab
    go(outside, workflows.DEV)
    assert set(outside.clusters[LEADER].overlays) == {"small_default"}
    assert created(outside) == []


def test_a_network_that_a_strangers_container_is_on_stays_and_is_noted(
    outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renewal, "LEAVING_SECONDS", 0.01)
    outside.lab = with_networks(outside.lab)
    running(outside)
    broker = engine(outside, "broker")
    body = {"Image": "small/queue", "NetworkingConfig": {"EndpointsConfig": {"small_front": {}}}}
    broker.start(broker.create("stranger", body))
    outside.lab = without_front(outside.lab)
    world = outside.world()
    assert run(outside, workflows.REFRESH, world).error is None
    assert "small_front" in outside.clusters[LEADER].overlays
    [note] = world.facts.notes
    assert note.startswith("the network small_front is no longer needed, and stays: ")


def test_a_network_is_made_again_when_the_manager_has_forgotten_the_old_one(
    outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside.lab = with_networks(outside.lab)
    broker = engine(running(outside), "broker")
    known = [broker.network("small_back"), broker.network("small_back"), None]
    monkeypatch.setattr(broker, "network", lambda name: known.pop(0))
    outside.lab = with_networks(outside.lab, back=replace(BACK, internal=False))
    go(outside, workflows.REFRESH)
    assert known == []
    removed = [call for call in outside.faults.calls if call.name == "engine.remove_network"]
    assert len(removed) == 1


def test_a_network_that_does_not_get_empty_cannot_be_made_again(
    outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renewal, "LEAVING_SECONDS", 0.01)
    outside.lab = with_networks(outside.lab)
    running(outside)
    broker = engine(outside, "broker")
    body = {"Image": "small/queue", "NetworkingConfig": {"EndpointsConfig": {"small_back": {}}}}
    broker.start(broker.create("stranger", body))
    outside.lab = with_networks(outside.lab, back=replace(BACK, internal=False))
    result = run(outside, workflows.REFRESH)
    assert "cannot remove network small_back" in str(result.error)


def test_a_failed_build_leaves_the_containers_on_a_network_that_goes(outside: Outside) -> None:
    outside.lab = with_networks(outside.lab)
    running(outside)
    (outside.lab.folder / "src/main.txt").write_text("source 2\n")
    outside.runner.prepare("make", "app", code=2, stderr="line 3: no\n")
    outside.lab = with_networks(outside.lab, back=replace(BACK, internal=False))
    outside.faults.calls.clear()
    assert run(outside, workflows.REFRESH).error is not None
    assert outside.faults.changes() == []


def test_a_lost_machine_does_not_keep_the_others_from_a_network_that_is_made_again(
    outside: Outside,
) -> None:
    """No container of the lost one is on it."""
    outside.lab = with_networks(outside.lab)
    running(outside)
    outside.machines["spare"].state = "stopped"
    outside.lab = with_networks(outside.lab, back=replace(BACK, internal=False))
    result = run(outside, workflows.REFRESH)
    assert "spare: the machine is stopped" in str(result.error)
    assert not outside.clusters[LEADER].overlays["small_back"].internal
    assert {row.service for row in rows(result, "container")} == {"queue", "migrate", "site"}


def test_without_any_machine_no_container_is_reported_as_unchanged(outside: Outside) -> None:
    running(outside)
    for machine in outside.machines.values():
        machine.state = "stopped"
    result = run(outside, workflows.REFRESH)
    assert [row.status for row in rows(result, "containers")] == ["not-reached"]


def test_an_external_network_is_used_and_stays(outside: Outside) -> None:
    running(outside)
    made = engine(outside, "broker").create_overlay(Network("there", "there"), {})
    there = Network("there", "there", external=True)
    lab = change_service(outside.lab, "site", networks=(Attachment("default"), Attachment("there")))
    outside.lab = replace(lab, networks=(*lab.networks, there))
    go(outside, workflows.REFRESH)
    assert engine(outside, "web").by_name("small-site-1.sandbox").networks["there"] == made
    outside.lab = replace(
        change_service(outside.lab, "site", networks=(Attachment("default"),)),
        networks=lab.networks,
    )
    go(outside, workflows.REFRESH)
    assert "there" in outside.clusters[LEADER].overlays


def test_an_external_network_that_does_not_exist_is_reported_with_the_command_that_makes_it(
    outside: Outside,
) -> None:
    there = Network("there", "there", external=True)
    outside.lab = replace(
        change_service(outside.lab, "site", networks=(Attachment("there"),)),
        networks=(*outside.lab.networks, there),
    )
    register_box(outside)
    result = run(outside, workflows.DEV)
    assert "the external network 'there' does not exist" in str(result.error)
    assert "docker network create --driver overlay --attachable there" in str(result.error)


def test_an_external_network_of_one_machine_is_refused(outside: Outside) -> None:
    running(outside)
    engine(outside, "broker").create_bridge("there", "10.9.0.0/24", {})
    there = Network("there", "there", external=True)
    outside.lab = replace(
        change_service(outside.lab, "site", networks=(Attachment("there"),)),
        networks=(*outside.lab.networks, there),
    )
    error = str(run(outside, workflows.REFRESH).error)
    assert "the external network 'there' is not an attachable overlay" in error


def test_a_network_of_the_same_name_that_the_lab_did_not_make_is_reported(
    outside: Outside,
) -> None:
    running(outside)
    engine(outside, "broker").create_overlay(Network("front", "small_front"), {})
    outside.lab = with_networks(outside.lab)
    error = str(run(outside, workflows.REFRESH).error)
    assert "cannot create network small_front: network already exists" in error
    assert "write external: true for 'front'" in error


def test_names_are_asked_for_on_each_network(outside: Outside) -> None:
    lab = change_service(with_networks(outside.lab), "site", networks=(Attachment("front"),))
    outside.lab = lab
    running(outside)
    outside.faults.calls.clear()
    go(outside, workflows.REFRESH)
    asked = [call.words for call in outside.faults.calls if call.name == "shell.ask_names"]
    assert {str(words[0]): words[-1] for words in asked} == {"broker": "queue", "web": "site"}


def place(address: str = "10.0.1.2") -> NetworkPlace:
    return NetworkPlace("1", address, frozenset({"site"}))


def state(name: str = "small-site-1", **changes: object) -> ContainerState:
    given = {"pid": 1, "networks": {"small_front": place()}, **changes}
    return ContainerState(
        *(name, name, "running", "", 0, "site:1", {}),
        started_at="2026-01-01T00:00:02Z",
        **given,  # type: ignore[arg-type]
    )


def test_as_few_containers_are_asked_as_are_on_all_networks() -> None:
    both = state("both", networks={"small_front": place(), "small_back": place()})
    front, back = state("front"), state("back", networks={"small_back": place()})
    asked = ["small_front", "small_back"]
    assert choose_askers([both], asked) == [both]
    assert choose_askers([both, front], asked) == [front, both]
    assert choose_askers([both, front, back], asked) == [front, back]
    assert choose_askers([replace(front, pid=0)], asked) == []


def test_a_container_that_left_a_network_is_not_what_should_run(outside: Outside) -> None:
    outside.lab = with_networks(outside.lab)
    running(outside)
    engine(outside, "web").disconnect("small_front", "small-site-1.sandbox")
    with track_of() as track:
        document = status_document(outside.world(), track)
    problems = {s.problem for s in document.services if s.name == "site"}
    assert "it is not on the network small_front" in problems
    go(outside, workflows.REFRESH)
    assert "small_front" in networks_of(outside, "web", "small-site-1")


def test_a_container_without_a_name_of_its_service_is_misplaced(outside: Outside) -> None:
    lab = with_networks(outside.lab)
    site = replace(
        next(s for s in lab.services if s.name == "site"), networks=(Attachment("front", ("www",)),)
    )
    assert misplaced(lab, site, state()) == "it is not called www on the network small_front"
    named = state(networks={"small_front": replace(place(), aliases=frozenset({"site", "www"}))})
    assert misplaced(lab, site, named) == ""


def test_links_name_services_for_one_container_only(outside: Outside) -> None:
    lab = change_service(
        outside.lab, "site", links=(Link("queue", "broker"), Link("queue", "queue"))
    )
    [found] = endpoints(lab, next(s for s in lab.services if s.name == "site")).values()
    assert found == {"Aliases": ["site"], "Links": ["queue:broker"]}


def test_the_hash_of_settings_covers_what_an_overlay_is_made_of() -> None:
    changed = (
        replace(FRONT, internal=True),
        replace(FRONT, labels=(("a", "b"),)),
        replace(FRONT, pools=(AddressPool("10.5.0.0/24"),)),
        replace(FRONT, driver_opts=(("com.docker.network.driver.mtu", "1400"),)),
    )
    assert len({settings_of(network) for network in (FRONT, *changed)}) == len(changed) + 1
    assert settings_of(replace(FRONT, driver="bridge")) == settings_of(FRONT)


def sharing(lab: Lab) -> Lab:
    """The small lab with an agent in the network of the queue."""
    return replace(lab, services=(*lab.services, AGENT))


def test_a_service_runs_in_the_network_of_another(outside: Outside) -> None:
    outside.lab = sharing(outside.lab)
    running(outside)
    broker = engine(outside, "broker")
    queue, agent = broker.by_name("small-queue-1.sandbox"), broker.by_name("small-agent-1")
    assert agent.body["HostConfig"]["NetworkMode"] == f"container:{queue.id}"
    outside.lab = change_service(outside.lab, "queue", environment=(("A", "1"),))
    outside.faults.calls.clear()
    go(outside, workflows.REFRESH)
    assert created(outside) == ["small-queue-1"]


def test_a_service_in_the_network_of_another_follows_it_to_another_network(
    outside: Outside,
) -> None:
    outside.lab = sharing(outside.lab)
    running(outside)
    outside.lab = change_service(outside.lab, "queue", hostname="other")
    outside.faults.calls.clear()
    result = go(outside, workflows.REFRESH)
    assert created(outside) == ["small-agent-1", "small-queue-1"]
    told = {row.service: row.detail for row in rows(result, "container")}
    assert told["agent"] == "replaced: the container that holds its network was replaced"


def test_a_container_whose_processes_it_shares_was_started_again() -> None:
    service = replace(AGENT, network_mode="", pid="service:queue")
    owner = state("queue", networks={})
    own = state("agent", networks={}, shares=frozenset({"queue"}))
    assert parted(service, own, {"queue": owner}) == ""
    later = {"queue": replace(owner, started_at="2026-01-01T00:00:03Z")}
    assert parted(service, own, later) == "queue, whose processes it shares, was started again"
    assert parted(service, replace(own, pid=0), later) == ""
    assert "was replaced" in parted(service, own, {"queue": replace(owner, id="other")})
    assert "was replaced" in parted(service, own, {"queue": None})
    assert parted(AGENT, own, {}) == ""


def test_down_removes_each_network_and_the_sandboxes_on_it(outside: Outside) -> None:
    outside.lab = with_networks(outside.lab)
    running(outside)
    go(outside, workflows.DOWN)
    assert outside.clusters[LEADER].overlays == {}
    assert engine(outside, "broker").all == {} == engine(outside, "web").all


def test_down_waits_until_the_swarm_knows_that_the_last_container_has_left(
    outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside.lab = with_networks(outside.lab)
    broker = engine(running(outside), "broker")
    refused = ["rpc error: network small_back is in use by task x"]
    remove = broker.remove_network

    def remove_later(name: str) -> None:
        if refused:
            raise LabError(refused.pop())
        remove(name)

    monkeypatch.setattr(broker, "remove_network", remove_later)
    go(outside, workflows.DOWN)
    assert outside.clusters[LEADER].overlays == {}


def test_a_service_shares_ipc_processes_and_volumes_of_another(outside: Outside) -> None:
    agent = replace(
        AGENT,
        network_mode="",
        networks=outside.lab.services[0].networks,
        ipc="service:queue",
        pid="service:queue",
        volumes_from=("queue:ro",),
    )
    outside.lab = replace(outside.lab, services=(*outside.lab.services, agent))
    running(outside)
    broker = engine(outside, "broker")

    def shared() -> None:
        queue = broker.by_name("small-queue-1")
        config = broker.by_name("small-agent-1").body["HostConfig"]
        assert config["IpcMode"] == config["PidMode"] == f"container:{queue.id}"
        assert config["VolumesFrom"] == [f"{queue.id}:ro"]

    shared()
    outside.lab = change_service(outside.lab, "queue", environment=(("A", "1"),))
    result = go(outside, workflows.REFRESH)
    shared()
    told = {row.service: row.detail for row in rows(result, "container")}
    assert told["agent"].startswith("replaced: queue, whose ")
    assert created(outside) == ["small-agent-1", "small-queue-1"]
